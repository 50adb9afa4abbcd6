"""After a take-down every file of the run is opened, and none has the text: of a crawl, several entries and phases."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import run as runs
from pipelines import storage
from pipelines.engines.local import LocalEngine
from pipelines.mixture.repetition import cost, effective
from pipelines.recipe import load
from pipelines.runs.folder import opened
from pipelines.runs.verify import verify
from pipelines.sources.archive import ArchiveRecord, Damage, read_archive
from pipelines.takedown.archives import notice
from pipelines.takedown.selection import Asked
from pipelines.takedown.takedown import takedown
from pipelines.why import why
from tests.takedown.crawled import distinctive, holding, page_of, site
from trainer.data import MixtureLoader


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with site(tmp_path_factory.mktemp("crawled")) as path:
        yield path


@pytest.fixture(scope="module")
def built(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "crawled"
    runs.build(load(recipe), runs.Options(out), LocalEngine(1))
    return out


@pytest.fixture
def run(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "run"))


@pytest.mark.slow
def test_every_file_is_searched_and_none_has_the_text(run: Path, recipe: Path) -> None:
    page = page_of(run)
    lines = distinctive(page)
    before = holding(run, lines)
    kinds = {name.split("/")[0] for name in before}
    assert {"crawl", "mixture", "steps", "tokens"} <= kinds, before
    archive = next(name for name in before if name.startswith("crawl/site/warc/"))
    was = (run / archive).read_bytes()
    done = takedown(run, Asked(urls=(page,)), reason="letter of 3 March")
    assert holding(run, lines) == {}
    (struck,) = done.archives
    assert (struck.path, struck.records) == (str(run / archive), 1)
    now = (run / archive).read_bytes()
    assert len(now) == len(was)
    manifest = storage.read_json(run / "crawl/site/crawl.json")
    (entry,) = [file for file in manifest["files"] if f"crawl/site/{file['path']}" == archive]
    assert entry["sha256"] == struck.after != struck.before
    (withdrawn,) = entry["withdrawn"]
    # Every other record is where it was, byte for byte.
    with (run / archive).open("rb") as stream:
        records = list(read_archive(stream, 1 << 20))
    assert not [one for one in records if isinstance(one, Damage)]
    at = [one.offset for one in records].index(withdrawn["offset"])
    end = records[at + 1].offset if at + 1 < len(records) else len(now)
    assert now[: withdrawn["offset"]] == was[: withdrawn["offset"]]
    assert now[end:] == was[end:]
    assert manifest["in"] == manifest["kept"] + sum(manifest["dropped"].values()) + sum(manifest["failed"].values())
    assert not verify(opened(run)).faults
    # A build reads the same crawl again, and its sums close without the page.
    runs.build(load(recipe), runs.Options(run), LocalEngine(1))
    (story,) = why(run, page).records
    assert [(one.step, one.verdict, one.reason) for one in story.verdicts] == [
        ("00-crawl-site", "dropped", "taken-down")
    ]
    assert holding(run, lines) == {}


def test_shares_epochs_and_phases_are_those_of_what_is_left(run: Path) -> None:
    """Counted again from the rows of the new version, not from the code's own sums."""
    old = {stage: storage.read_json(run / "mixture" / stage / "manifest.json") for stage in ("core", "anneal")}
    tokenized = pa.concat_tables(
        [pq.read_table(path) for path in sorted(run.glob("steps/07-tokenize-*/tokens/*.parquet"))]
    )
    counts = dict(zip(tokenized["id"].to_pylist(), tokenized["count"].to_pylist(), strict=True))
    done = takedown(run, Asked(urls=(page_of(run),)))
    gone = done.records[0].id
    for stage, before in old.items():
        told = storage.read_json(run / "mixture" / stage / "manifest.json")
        rows = [row for path in (run / "mixture" / stage).glob("*.parquet") for row in pq.read_table(path).to_pylist()]
        taken: dict[str, int] = {}
        for row in rows:
            taken[row["entry"]] = taken.get(row["entry"], 0) + round(row["tokens"] * row["weight"])
        assert told["tokens"] == taken != before["tokens"]
        assert told["slots"] == before["total_tokens"] > told["total_tokens"] == sum(taken.values())
        lost = {name: before["supply"][name]["tokens"] - told["supply"][name]["tokens"] for name in taken}
        assert sorted(lost.values()) == [0, counts[gone]]
        for name, tokens in taken.items():
            have = told["supply"][name]["tokens"]
            assert told["epochs"][name] == pytest.approx(tokens / have, abs=1e-6)
            assert told["effective_tokens"][name] == round(effective(tokens, have))
            assert told["repetition_cost"][name] == pytest.approx(cost(tokens, have), abs=1e-6)
            assert told["short"][name] == before["short"][name] + before["tokens"][name] - tokens
        assert sum(told["realised_weights"].values()) == pytest.approx(1)
        assert told["together"] != before["together"]
    # Over both stages together: from how often each document is in the rows of both.
    times: dict[str, float] = {}
    for stage in old:
        for path in (run / "mixture" / stage).glob("*.parquet"):
            for row in pq.read_table(path).to_pylist():
                times[row["id"]] = times.get(row["id"], 0.0) + row["weight"]
    source = dict(zip(tokenized["id"].to_pylist(), tokenized["source"].to_pylist(), strict=True))
    for name, both in storage.read_json(run / "mixture/anneal/manifest.json")["together"].items():
        own = [id_ for id_ in times if source[id_] == name]
        assert both["tokens"] == pytest.approx(sum(times[id_] * counts[id_] for id_ in own), abs=1)
        assert both["unique"] == sum(counts[id_] for id_ in own)
        value = sum(effective(round(times[id_] * counts[id_]), counts[id_]) for id_ in own)
        assert both["effective_tokens"] == pytest.approx(value, abs=2)
    # Phases: slots stay, which is what a loader goes by; shares are of what they carry.
    tokens = storage.read_json(run / "tokens/core/manifest.json")
    told = storage.read_json(run / "mixture/core/manifest.json")
    assert [phase["tokens"] for phase in tokens["phases"]] == [phase["tokens"] for phase in old["core"]["phases"]]
    order = pq.read_table(run / "tokens/core/documents.parquet").to_pylist()
    ends = np.cumsum([phase["tokens"] for phase in tokens["phases"]])
    carried = [dict.fromkeys(("site", "notes"), 0) for _ in ends]
    start = 0
    for one in order:
        if one["id"] != gone:
            carried[int(np.searchsorted(ends, start, side="right"))][one["source"]] += one["length"]
        start += one["length"]
    for phase, mixed, sums in zip(tokens["phases"], told["phases"], carried, strict=True):
        total = sum(sums.values())
        assert phase["carried"] == mixed["tokens"] == total
        shares = {name: count / total for name, count in sums.items()}
        assert phase["realised_weights"] == pytest.approx(shares)
        assert mixed["realised_weights"] == pytest.approx(shares)
    assert tokens["carried"] == told["total_tokens"]
    assert tokens["sources"] == told["sources"]
    MixtureLoader(run / "tokens/core", sequence_length=64, batch_size=1).batch(0)
    # What is taken down later adds up with what was before.
    takedown(run, Asked(domains=("notes.example.org",)))
    last = storage.read_json(run / "mixture/core/manifest.json")
    assert last["tokens"]["notes"] == last["supply"]["notes"]["tokens"] == 0
    assert (last["realised_weights"], last["epochs"]["notes"]) == ({"site": 1.0, "notes": 0.0}, 0.0)
    assert last["slots"] == old["core"]["total_tokens"]


@pytest.mark.slow
def test_a_store_of_its_own_is_searched_and_one_that_others_use_is_named(recipe: Path, tmp_path: Path) -> None:
    run, store, other = tmp_path / "run", tmp_path / "store", tmp_path / "other"
    runs.build(load(recipe), runs.Options(run, store=store), LocalEngine(1))
    page = page_of(run)
    lines = distinctive(page)
    library = run / "tokenizer/tokenizer.json"
    assert holding(store, lines, library)
    takedown(run, Asked(urls=(page,)))
    assert holding(run, lines) == holding(store, lines, library) == {}
    assert not verify(opened(run)).faults
    # Another run's steps are not this one's to change: it is said, with the run.
    runs.build(load(recipe, ["name=other"]), runs.Options(other, crawl=run / "crawl", store=store), LocalEngine(1))
    done = takedown(run, Asked(urls=(page_of(other),)))
    assert any(str(store) in text and str(other) in text for text in done.left)


@settings(max_examples=200, deadline=None)
@given(st.integers(200, 400) | st.integers(400, 70_000) | st.integers(65_500, 66_500) | st.integers(131_000, 140_000))
def test_a_record_of_any_length_takes_the_place_of_another(length: int) -> None:
    made = notice(length, "warc-00000.warc.gz#17", 2)
    assert len(made) == length
    (record,) = read_archive(io.BytesIO(made), 1 << 20)
    assert isinstance(record, ArchiveRecord)
    assert (record.kind, record.offset) == ("metadata", 0)
    assert record.block is not None
    assert record.length == len(record.block)
