"""`pomona runs verify` names every file that is not as its manifest says, and finds nothing where nothing is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.runs.folder import opened
from pipelines.runs.verify import CHANGED, MISSING, UNLISTED, UNREADABLE, Verified, verify
from pipelines.steps.step import RunFailed
from pipelines.storage import lock, read_json, write_json
from tests.pipelines.runs import tiny
from tests.pipelines.runs.test_listing import Stopped, stop_at


def step(name: str) -> Path:
    (found,) = Path("run/steps").glob(f"{name}-*")
    return found


def faults(found: Verified) -> set[tuple[str, str]]:
    return {(fault.kind, str(fault.path)) for fault in found.faults}


def flip(path: Path) -> None:
    """Change one bit, the size and the other names of the file as they were."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    with path.open("r+b") as file:
        file.write(data)


def test_a_whole_run_has_no_fault_and_its_bytes_are_read_once(place: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = verify(opened(Path("run")), lambda done, total: seen.append((done, total)))
    assert found.faults == []
    assert found.leftovers == 0
    listed = [one for path in Path("run").rglob("_manifest.json") for files in read_json(path)["outputs"].values()
              for one in files]  # fmt: skip
    # Mixtures, tokens, ledger and tokenizer are names of the steps' files: read once, compared under every name.
    assert found.bytes == sum(one["bytes"] for one in listed)
    assert found.files > len(listed)
    assert seen[-1] == (found.files, found.files)


def test_a_flipped_bit_is_found_under_every_name_of_the_file(place: Path) -> None:
    shard = next(Path("run/mixture/core").glob("*.parquet"))
    flip(shard)
    found = verify(opened(Path("run")))
    assert faults(found) == {(CHANGED, str(shard)), (CHANGED, str(step("08-mix") / "core" / shard.name))}
    assert "SHA-256" in found.faults[0].detail


def test_missing_and_unlisted_files_are_named(place: Path) -> None:
    gone = [Path("run/ledger/part-00001.parquet"), step("03-decide") / "documents" / "part-00000.parquet",
            Path("run/tokens/core/documents.parquet"), Path("run/tokenizer/tokenizer.json")]  # fmt: skip
    extra = [Path("run/mixture/core/part-99999.parquet"), step("02-measure") / "signals" / "notes.txt"]
    for path in gone:
        path.unlink()
    for path in extra:
        path.write_bytes(b"more")
    wanted = {(MISSING, str(path)) for path in gone} | {(UNLISTED, str(path)) for path in extra}
    assert faults(verify(opened(Path("run")))) == wanted


@pytest.mark.parametrize(
    "change",
    [{"in": 7}, {"parameters": {"families": ["c4"]}}, {"inputs": []}, {"outputs": None}],
    ids=lambda change: next(iter(change)),
)
def test_an_edited_manifest_is_found(place: Path, change: dict[str, Any]) -> None:
    path = step("02-measure") / "_manifest.json"
    write_json(path, {**read_json(path), **change})
    found = faults(verify(opened(Path("run"))))
    assert (CHANGED, str(path)) in found
    assert all(str(path.parent) in one for _, one in found)


def test_manifests_that_are_gone_or_cut_off_are_faults_not_crashes(place: Path) -> None:
    gone, cut = step("04-dedup") / "_manifest.json", Path("run/mixture/core/manifest.json")
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:50])
    mix = step("08-mix") / "_manifest.json"
    mix.write_text("[]")
    found = faults(verify(opened(Path("run"))))
    assert {(MISSING, str(gone)), (CHANGED, str(cut)), (CHANGED, str(mix))} <= found


def test_a_crawl_is_part_of_a_run(place: Path, pydoc_crawl: Any) -> None:
    shutil.copytree(pydoc_crawl.folder, "run/crawl/docs")
    facts = read_json(Path("run/run.json"))
    write_json(Path("run/run.json"), {**facts, "crawl": {"docs": "crawl/docs"}})
    assert verify(opened(Path("run"))).faults == []
    archive = next(Path("run/crawl/docs/warc").glob("*.warc.gz"))
    flip(archive)
    assert faults(verify(opened(Path("run")))) == {(CHANGED, str(archive))}


def test_an_unreadable_file_is_named_and_the_rest_is_compared(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.runs import verify as module

    bad, whole = step("01-extract-web") / "documents" / "part-00000.parquet", module.sha256

    def broken(path: Path) -> str:
        if path == bad:
            raise OSError(5, "Input/output error")
        return whole(path)

    monkeypatch.setattr(module, "sha256", broken)
    assert faults(verify(opened(Path("run")))) == {(UNREADABLE, str(bad))}


def test_of_a_stopped_run_the_finished_steps_are_compared(place: Path) -> None:
    with pytest.raises(Stopped):
        tiny.build("stopped", begun=stop_at("03-decide"))
    run = opened(Path("stopped"))
    assert verify(run).faults == []
    shutil.copy("tiny.yaml", next(Path("stopped/steps").glob("02-measure-*")) / "tiny.yaml")
    assert {kind for kind, _ in faults(verify(run))} == {UNLISTED}


def test_a_run_that_is_written_to_is_not_verified(place: Path) -> None:
    with lock(Path("run"), "pomona build tiny"), pytest.raises(RunFailed, match="in use by pomona build tiny"):
        verify(opened(Path("run")))


def test_the_command_exits_with_1_when_anything_is_wrong(place: Path) -> None:
    runner = CliRunner()
    good = runner.invoke(app, ["runs", "verify", "run"], catch_exceptions=False)
    assert good.exit_code == 0
    assert "nothing wrong" in good.stdout
    assert "B/s" in good.stdout
    flip(step("02-measure") / "ledger" / "part-00000.parquet")
    bad = runner.invoke(app, ["runs", "verify", "run", "--json"], catch_exceptions=False)
    assert bad.exit_code == 1
    told = json.loads(bad.stdout)
    assert told["ok"] is False
    assert [fault["kind"] for fault in told["faults"]] == [CHANGED]
