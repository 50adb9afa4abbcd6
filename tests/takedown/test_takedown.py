"""What is taken down is gone everywhere, told everywhere, and does not come back."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from pipelines import remix
from pipelines.engines.local import LocalEngine
from pipelines.recipe_errors import RecipeError
from pipelines.runs.folder import opened
from pipelines.runs.verify import verify
from pipelines.storage import read_json
from pipelines.takedown import journal
from pipelines.takedown.selection import Asked
from pipelines.takedown.takedown import Takedown, finish, takedown
from pipelines.why import why
from tests.takedown.conftest import COPIED
from tests.tiny import TOPICS
from trainer.data import MixtureLoader

URL = "http://topics.test/identifiers"
TEXT = dict(TOPICS)["identifiers"]
MANIFEST = "mixture/core/manifest.json"


@pytest.fixture
def run(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "run", copy_function=shutil.copy2)
    return tmp_path / "run"


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def strings(folder: Path) -> str:
    """Every string in every Parquet file of a run, its pages and JSON, and its tokens as text."""
    found: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            for column in table.columns:
                if str(column.type) in ("string", "large_string"):
                    found += [value for value in column.to_pylist() if value]
        elif path.suffix in (".html", ".json", ".md") and "train" not in path.parts and path.name != "tokenizer.json":
            found.append(path.read_text("utf-8"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))
    for path in sorted((folder / "tokens").rglob("*.bin")):
        found.append(tokenizer.decode(np.fromfile(path, "<u2").tolist()))
    return "\0".join(found)


def distinctive(text: str) -> list[str]:
    """Lines of a text that are long enough to be its own."""
    return [line.strip() for line in text.split("\n") if len(line.strip()) > 60 and "PEP" not in line][:8]


def test_gone_everywhere_and_told(run: Path) -> None:
    lines = distinctive(TEXT)
    assert any(line in strings(run) for line in lines)
    before = read_json(run / MANIFEST)
    old = hashlib.sha256((run / MANIFEST).read_bytes()).hexdigest()
    done = takedown(run, Asked(urls=(URL,)), reason="letter of 3 March")
    (record,) = done.records
    everything = strings(run)
    assert not [line for line in lines if line in everything]
    assert not verify(opened(run)).faults
    manifest = read_json(run / MANIFEST)
    assert manifest["version"] == done.version == 2
    (history,) = manifest["takedowns"]
    assert (history["previous"], history["removed"]) == (old, [record.id])
    assert manifest["total_tokens"] == before["total_tokens"] - done.stages["core"].tokens
    assert sum(shard["tokens"] for shard in manifest["shards"]) == manifest["total_tokens"]
    assert sum(manifest["realised_weights"].values()) == pytest.approx(1)
    (story,) = why(run, URL).records
    assert story.outcome == "dropped"
    assert story.placements == ()
    assert story.verdicts[-1].step == "10-takedown"
    assert story.told == f"Taken down (url {URL}): letter of 3 March; mixtures from version 2 on are without it."
    facts = read_json(run / "run.json")
    assert (facts["steps"][-1]["dropped"], facts["mixture_version"]) == ({"taken-down": 1}, 2)
    assert "taken-down" in (run / "report.html").read_text()
    assert "1 documents removed" in (run / "mixture" / "core" / "README.md").read_text()


def test_tokens_keep_their_places(run: Path, built: Path) -> None:
    done = takedown(run, Asked(urls=(URL,)))
    manifest = read_json(run / "tokens/core/manifest.json")
    excluded = manifest["excluded"]
    rows = pq.read_table(run / "tokens/core" / excluded["path"])["document"].to_numpy()
    assert excluded["documents"] == len(rows) == 1
    assert hashlib.sha256((run / "tokens/core" / excluded["path"]).read_bytes()).hexdigest() == excluded["sha256"]
    was, now = (
        np.concatenate([np.fromfile(f / s["path"], "<u2") for s in read_json(f / "manifest.json")["shards"]])
        for f in (built / "tokens/core", run / "tokens/core")
    )
    documents = pq.read_table(run / "tokens/core/documents.parquet").to_pylist()
    changed = np.flatnonzero(was != now)
    one = documents[rows[0]]
    assert one["id"] == done.records[0].id
    inside = slice(one["start"], one["start"] + one["length"])
    assert (now[inside] == manifest["eos_id"]).all()
    assert changed.min() >= inside.start
    assert changed.max() < inside.stop
    MixtureLoader(run / "tokens/core", sequence_length=32, batch_size=1).batch(0)  # digests agree


def test_a_dry_run_changes_nothing(run: Path) -> None:
    before = digests(run)
    dry = takedown(run, Asked(urls=(URL,)), dry_run=True)
    assert digests(run) == before
    done = takedown(run, Asked(urls=(URL,)))
    assert {name: (one.documents, one.tokens) for name, one in dry.stages.items()} == {
        name: (one.documents, one.tokens) for name, one in done.stages.items()
    }
    assert [one.steps for one in dry.exposures] == [one.steps for one in done.exposures]


def test_twice_is_once_and_others_add_up(run: Path) -> None:
    takedown(run, Asked(urls=(URL,)))
    before = digests(run)
    again = takedown(run, Asked(urls=(URL,)))
    assert again.version == 2
    assert any("taken down before" in note for note in again.notes)
    assert digests(run) == before
    other = takedown(run, Asked(urls=("http://topics.test/continue",)))
    assert other.version == 3
    tokens = read_json(run / "tokens/core/manifest.json")
    assert (tokens["excluded"]["documents"], len(tokens["takedowns"])) == (2, 2)
    assert [one["version"] for one in read_json(run / MANIFEST)["takedowns"]] == [2, 3]
    assert read_json(run / "run.json")["steps"][-1]["dropped"] == {"taken-down": 2}
    assert not verify(opened(run)).faults
    assert {why(run, url).records[0].outcome for url in (URL, "http://topics.test/continue")} == {"dropped"}


def readable(run: Path) -> int:
    """Read the mixture and the tokens as a reader does: shards as their manifest has them; return the version."""
    versions: set[int] = set()
    for kind in ("mixture", "tokens"):
        folder = run / kind / "core"
        manifest = read_json(folder / "manifest.json")
        for shard in manifest["shards"]:
            assert hashlib.sha256((folder / shard["path"]).read_bytes()).hexdigest() == shard["sha256"]
        if "excluded" in manifest:
            assert (folder / manifest["excluded"]["path"]).exists()
        versions.add(manifest.get("version", 1))
    return max(versions)


@pytest.mark.slow
def test_a_crash_anywhere_leaves_the_old_or_the_new(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before any move or removal, then begun again: every state on the way can be read."""
    whole = tmp_path / "whole"
    shutil.copytree(built, whole)
    calls = [0]
    real = {name: getattr(journal, name) for name in ("publish", "remove_file", "write_json")}

    class Killed(BaseException):
        pass

    def counted(name: str, stop: int) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            calls[0] += 1
            if calls[0] == stop:
                raise Killed
            return real[name](*given, **named)

        return call

    for name in real:
        monkeypatch.setattr(journal, name, counted(name, -1))
    takedown(whole, Asked(urls=(URL,)))
    total, expected = calls[0], comparable(whole)
    seen: set[int] = set()
    for stop in range(1, total + 1, 3):
        run = tmp_path / "stopped"
        shutil.copytree(built, run)
        calls[0] = 0
        for name in real:
            monkeypatch.setattr(journal, name, counted(name, stop))
        with pytest.raises(Killed):
            takedown(run, Asked(urls=(URL,)))
        seen.add(readable(run))
        for name in real:
            monkeypatch.setattr(journal, name, real[name])
        finish(run)  # as a build, a resume or the next take-down does first
        if stop == 1:
            assert readable(run) == 1
            takedown(run, Asked(urls=(URL,)))
        assert comparable(run) == expected
        shutil.rmtree(run)
    assert seen == {1, 2}


def comparable(run: Path) -> dict[str, str]:
    """The mixture's bytes, without the moment at which it was made."""
    found = {name: digest for name, digest in digests(run).items() if name.endswith((".bin", ".parquet"))}
    found = {name: digest for name, digest in found.items() if name.startswith(("mixture", "tokens", "steps/0"))}
    return {name: digest for name, digest in found.items() if not name.startswith("steps/09")}


@pytest.mark.slow
def test_a_rebuild_does_not_bring_it_back(run: Path, rebuild: Callable[[Path], None]) -> None:
    takedown(run, Asked(urls=(URL,)))
    rebuild(run)
    (story,) = why(run, URL).records
    assert [(one.step, one.reason) for one in story.verdicts] == [("01-extract-pages", "taken-down")]
    assert story.verdicts[0].evidence["version"] == 2
    assert not [line for line in distinctive(TEXT) if line in strings(run)]
    step = next((run / "steps").glob("01-extract-pages-*/_manifest.json"))
    manifests = [read_json(path) for path in (run / "steps").glob("01-extract-pages-*/_manifest.json")]
    assert step.exists()
    assert sorted(one["facts"]["units_reused"] for one in manifests) == [0, 1]  # nothing was extracted again
    assert all(one["in"] == one["kept"] + sum(one["dropped"].values()) for one in manifests)
    assert list(run.glob("train-*"))  # what trained on the mixture before is kept apart


@pytest.mark.slow
@pytest.mark.parametrize("along", [False, True])
def test_copies_are_told_and_taken_along(run: Path, rebuild: Callable[[Path], None], along: bool) -> None:
    kept = "https://notes.example.org/page:copy"
    done = takedown(run, Asked(urls=(kept,)), with_copies=along)
    assert {copy.uri for copy in done.copies} == {
        f"http://topics.test/{COPIED}",
        f"https://notes.example.org/note:{COPIED}",
    }
    assert any("--with-copies" in note for note in done.notes) != along
    rebuild(run)
    stories = [why(run, uri).records[0] for uri in (kept, *(copy.uri for copy in done.copies))]
    stayed = [one.uri for one in stories for said in one.verdicts if (said.step, said.verdict) == ("04-dedup", "kept")]
    assert (len(stayed) == 1) != along


def test_the_record_that_stayed_is_named_for_a_dropped_copy(run: Path) -> None:
    done = takedown(run, Asked(urls=(f"http://topics.test/{COPIED}",)), dry_run=True)
    (kept,) = [copy for copy in done.copies if copy.kept]
    assert kept.uri == "https://notes.example.org/page:copy"
    assert len(done.copies) == 2


def test_domain_licence_and_id(run: Path) -> None:
    by_domain = takedown(run, Asked(domains=("EXAMPLE.org.",)), dry_run=True)
    assert {one.source for one in by_domain.records} == {"notes"}
    assert len(by_domain.records) == 11
    by_licence = takedown(run, Asked(licences=("mit",)), dry_run=True)
    assert {one.id for one in by_licence.records} == {one.id for one in by_domain.records}
    id_ = by_domain.records[0].id
    assert [one.id for one in takedown(run, Asked(ids=(id_[:10],)), dry_run=True).records] == [id_]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Asked(), "nothing is named"),
        (Asked(urls=("http://topics.test/identifier",)), "nearest: http://topics.test/identifiers"),
        (Asked(domains=("xample.org",)), "no record of"),
        (Asked(domains=("topics.tst",)), "nearest: topics.test"),
        (Asked(licences=("GPL-3.0",)), "its documents have MIT"),
        (Asked(ids=("0" * 32,)), "no record of"),
        (Asked(ids=("0000",)), "expected 32 hex digits"),
        (Asked(ids=("00000000",)), "begins no id"),
        (Asked(urls=(URL,), domains=("nowhere.test",)), "--domain nowhere.test"),
    ],
)
def test_a_mistake_is_no_takedown(built: Path, asked: Asked, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        takedown(built, asked, dry_run=True)
    assert not (built / "takedowns.json").exists()


def test_checkpoints_that_saw_it(run: Path) -> None:
    """As the steps' own provenance says; the last clean one; what a replay takes."""
    settings = json.loads((run / "train/core/checkpoint-000004/state.json").read_text())["loader"]
    loader = MixtureLoader(
        run / "tokens/core", sequence_length=settings["sequence_length"], batch_size=2, seed=settings["seed"]
    )
    batches = [set(loader.provenance(step)["id"].to_pylist()) for step in range(24)]
    late = next(id_ for id_ in sorted(set().union(*batches)) if not any(id_ in batch for batch in batches[:9]))
    true = [step for step, batch in enumerate(batches, 1) if late in batch]
    done: Takedown = takedown(run, Asked(ids=(late,)), price=3.0)
    (found,) = done.exposures
    assert found.steps == {"core": true}
    assert [one.clean for one in found.checkpoints] == [one.step < true[0] for one in found.checkpoints]
    clean = [one for one in found.checkpoints if one.clean]
    assert found.last_clean == clean[-1].path
    assert len(clean) >= 2
    assert found.replay is not None
    assert found.replay.steps == 24 - clean[-1].step
    assert found.replay.tokens == found.replay.steps * 2 * 64
    assert (
        found.replay.flops
        == 6 * json.loads((run / "train/summary.json").read_text())["parameters"] * found.replay.tokens
    )
    assert found.replay.money == pytest.approx((found.replay.seconds or 0) / 3600 * 3.0)
    again = takedown(run, Asked(ids=(late,)), dry_run=True)
    assert again.exposures[0].steps == found.steps  # the order is told from the new version as well


def test_checkpoints_of_another_mixture_are_not_called_clean(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    shutil.copytree(run / "train", other)
    for path in other.glob("*/checkpoint-*/state.json"):
        state = json.loads(path.read_text())
        state["loader"]["manifest_sha256"] = "0" * 64
        path.write_text(json.dumps(state))
    done = takedown(run, Asked(urls=(URL,)), checkpoints=[other], dry_run=True)
    found = next(one for one in done.exposures if one.folder == str(other))
    assert not found.checkpoints
    assert "cannot be told" in found.notes[0]


def test_a_training_goes_on_after_it(run: Path, recipe: Path) -> None:
    """From a checkpoint made before: the order is the same, the text is not in it any more."""
    from pipelines.recipe import load
    from trainer.recipe import TrainConfig
    from trainer.training import train

    for path in (run / "train" / "core").glob("checkpoint-*"):
        if int(path.name.removeprefix("checkpoint-")) > 12:
            shutil.rmtree(path)
    takedown(run, Asked(urls=(URL,)))
    summary = train(run, TrainConfig.model_validate(load(recipe).train))
    assert summary.stages[0].steps == 24
    assert (run / "train/core/checkpoint-000024/state.json").exists()
    excluded = json.loads((run / "train/core/checkpoint-000024/state.json").read_text())["loader"]["excluded"]
    assert excluded == 1


def test_a_new_mixture_keeps_the_take_downs_and_brings_nothing_back(run: Path, built: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.yaml"
    weights.write_text("stages: {core: {weights: {pages: 0.8, notes: 0.2}, tokens: 40000}}")
    takedown(run, Asked(urls=(URL,)))
    out = remix.mix([run], weights, tmp_path / "out", LocalEngine(1))
    assert read_json(out / "takedowns.json") == read_json(run / "takedowns.json")
    with pytest.raises(RecipeError, match=re.escape(f"{built}: holds what was taken down in another run of these")):
        remix.mix([built], weights, out, LocalEngine(1))
