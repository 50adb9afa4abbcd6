"""A finished run on a store is read and described as one on this machine, and nothing of it is found by listing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines import card, report, storage
from pipelines.lookup import UnknownRecord
from pipelines.report.folder import RunFolder, RunFolderError
from pipelines.why import why
from tests.pipelines.report.sample_run import SITE, shared
from tests.pipelines.storage.s3_server import Proxy


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """A copy on this machine."""
    return Path(shutil.copytree(shared(tmp_path_factory.getbasetemp), tmp_path / "sample-run"))


@pytest.fixture
def stored(run: Path, s3: Path) -> Path:
    """The same run on a store."""
    for file in run.rglob("*"):
        if file.is_file():
            storage.publish(file, s3 / "sample-run" / file.relative_to(run).as_posix())
    return s3 / "sample-run"


@pytest.mark.slow
def test_report_cards_and_stories_are_the_same(run: Path, stored: Path, faulty: Proxy) -> None:
    faulty.faults.blind_lists = True
    faulty.faults.busy = 0.02
    assert [path.name for path in RunFolder.open(stored).ledger] == [path.name for path in RunFolder.open(run).ledger]
    written = card.write(stored)
    assert [(path.parent.name, path.name) for path in written] == [
        (path.parent.name, path.name) for path in card.write(run)
    ]
    for path in written:
        assert storage.read_bytes(path) == (run / path.relative_to(stored).as_posix()).read_bytes()
    assert storage.read_bytes(report.write(stored)) == report.write(run).read_bytes()
    key = f"{SITE}/keyword?key=if"
    assert why(stored, key).records == why(run, key).records
    with pytest.raises(UnknownRecord, match=r"s3://.*nearest: "):
        why(stored, key + "x")
    assert faulty.faults.seen["GET", 503] > 0


def test_a_folder_without_a_manifest_is_no_run(s3: Path) -> None:
    with pytest.raises(RunFolderError, match=r"s3://.*/empty/run.json: not found. Expected a finished run"):
        RunFolder.open(s3 / "empty")


def test_a_damaged_manifest_is_named(stored: Path) -> None:
    storage.write_bytes(stored / "run.json", storage.read_bytes(stored / "run.json")[:100])
    with pytest.raises(RunFolderError, match=r"s3://.*run.json: not JSON .* build the run again"):
        RunFolder.open(stored)
