"""The step deduplicates as the library does in memory, on any engine, whatever the partitions."""

from __future__ import annotations

import datetime
import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pyarrow as pa
import pytest

from dedup import DedupConfig, Index, deduplicate
from pipelines.document import document_id, documents, partitions_of
from pipelines.engines.local import LocalEngine
from pipelines.engines.plan import Engine
from pipelines.ledger import Account
from pipelines.recipe import Recipe
from pipelines.steps import dedup, dedup_components, dedup_index
from pipelines.steps.step import Finished, RunFailed, Steps
from pipelines.storage import FileEntry, write_parquet
from tests.engines.contract import Engines

RECIPE = {
    "name": "test",
    "partitions": 3,
    "sources": [{"name": name, "type": "warc", "paths": ["."]} for name in ("web", "wiki")],
    "stages": {"core": {"tokens": 1000, "weights": {"web": 1.0}}},
}
PAGES = sorted({" ".join(page.split()) for page in topics.values() if len(page) > 1000})
DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def recipe(**settings: Any) -> Recipe:
    return Recipe.model_validate({**RECIPE, "dedup": settings})


def one(text: str, uri: str, source: str = "web", day: int = 0) -> dict[str, Any]:
    return {
        "id": document_id(source, uri, text.encode()),
        "uri": uri,
        "source": source,
        "kind": "web",
        "text": text,
        "fetched_at": DAY + datetime.timedelta(days=day),
    }


def many() -> list[dict[str, Any]]:
    """Copies, changed copies, chains of changes, short texts and texts without words."""
    rng = random.Random(7)
    rows = [one(page, f"http://a.test/{i}") for i, page in enumerate(PAGES[:40])]
    for number, page in enumerate(PAGES[:30]):
        rows += [one(page, f"http://b.test/{number}-{copy}", "wiki") for copy in range(number % 4)]
        words = page.split()
        for version in range(number % 12):
            words[rng.randrange(len(words))] = f"word{version}"
            rows.append(one(" ".join(words), f"http://c.test/{number}-{version}", day=version))
    rows += [one(text, f"http://d.test/{i}") for i, text in enumerate(["ok", "ok", "", "", "?!", "...", "two words"])]
    return rows


def given(folder: Path, rows: list[dict[str, Any]], partitions: int = 3) -> Finished:
    """Write documents as the step before would have."""
    table = documents(rows)
    part = partitions_of(table["id"], partitions)
    files: list[FileEntry] = []
    for number in range(partitions):
        path = folder / "documents" / f"part-{number:05d}.parquet"
        chosen = table.filter(pa.compute.equal(part, number)).sort_by("id")
        write_parquet(path, chosen)
        files.append(
            FileEntry(path=f"documents/{path.name}", rows=chosen.num_rows, bytes=path.stat().st_size, sha256="")
        )
    digest = hashlib.sha256(repr(rows).encode()).hexdigest()[:16]
    return Finished("03-decide", digest, folder, Account(len(rows), len(rows)), {"documents": files})


def verdicts(done: Finished) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in done.table("ledger").to_pylist():
        assert row["id"] not in found
        evidence = json.loads(row["evidence"]) if row["evidence"] else {}
        found[row["id"]] = {**evidence, "keep": row["verdict"] == "kept", "reason": row["reason"]}
    return found


def run(tmp_path: Path, rows: list[dict[str, Any]], engine: Engine | None = None, **settings: Any) -> Finished:
    asked = recipe(**settings)
    held = engine or LocalEngine(1)
    return dedup.run(Steps(tmp_path / "steps", held), asked, given(tmp_path / "given", rows))


@pytest.mark.parametrize("settings", [{}, {"preset": "dclm"}, {"exact": "normalised"}, {"edit_similarity": 0.9}])
def test_the_step_says_what_the_library_says(tmp_path: Path, settings: dict[str, Any]) -> None:
    rows = many()
    found = verdicts(run(tmp_path, rows, **settings))
    table = pa.table(
        {
            "id": [row["id"] for row in rows],
            "text": pa.array([row["text"] for row in rows], pa.large_string()),
            "date": pa.array([row["fetched_at"] for row in rows]),
        }
    )
    preset = DedupConfig.preset(settings.get("preset", "fineweb")).model_dump()
    config = DedupConfig(**{**preset, **{name: value for name, value in settings.items() if name != "preset"}})
    expected = deduplicate(table, config).to_pylist()
    assert len(found) == len(rows)
    assert sum(not row["keep"] for row in expected) > 60
    for row in expected:
        told = found[row["id"]]
        assert told["keep"] == row["keep"]
        if not row["keep"]:
            assert (told["parent"], told["cluster"]) == (row["parent"], row["cluster"])
            assert told["similarity"] == pytest.approx(row["similarity"])


@pytest.mark.slow
def test_bytes_do_not_depend_on_workers_nor_on_how_components_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = many()
    once = run(tmp_path / "one", rows)
    engine = LocalEngine(2)
    try:
        twice = run(tmp_path / "two", rows, engine)
    finally:
        engine.close()
    label = dedup_components.label
    monkeypatch.setattr(dedup, "label", lambda *given: label(*given, most=0))
    in_rounds = run(tmp_path / "rounds", rows)
    assert once.outputs == twice.outputs == in_rounds.outputs
    assert once.facts == twice.facts
    assert {path.name for path in once.folder.iterdir()} == {
        ".lock",
        "_manifest.json",
        "documents",
        "ledger",
        "verdicts",
    }


def test_the_newest_of_a_url_stays_however_it_differs(tmp_path: Path) -> None:
    url = "http://a.test/changing"
    old, new = one(PAGES[3] + " and more of it", url, day=0), one(PAGES[4], url, day=5)
    copy = one(old["text"], "http://b.test/copy", day=1)
    found = verdicts(run(tmp_path / "newest", [old, new, copy], url="newest"))
    assert [found[row["id"]]["keep"] for row in (old, new, copy)] == [False, True, True]
    assert found[old["id"]]["reason"] == "url-duplicate"
    assert found[old["id"]]["parent"] == found[old["id"]]["cluster"] == new["id"]
    assert 0.0 <= found[old["id"]]["similarity"] < 0.5
    best = verdicts(run(tmp_path / "best", [old, new, copy], url="best", order=["length"]))
    longest = max((old, new), key=lambda row: len(row["text"]))
    assert best[longest["id"]]["keep"] or longest is old
    none = verdicts(run(tmp_path / "none", [old, new, copy]))
    assert [none[row["id"]]["keep"] for row in (old, new, copy)].count(True) == 2


def test_what_differs_in_white_space_and_case_is_an_exact_copy_if_asked(tmp_path: Path) -> None:
    plain = one("Grüße an alle", "http://a.test/1")
    other = one("GRÜSSE".replace("SS", "ß").lower() + "  an\n\nALLE ", "http://a.test/2")
    decomposed = one("Gru\u0308ße an alle", "http://a.test/3")
    rows = [plain, other, decomposed]
    found = verdicts(run(tmp_path, rows, exact="normalised", threshold=1.0))
    assert [row["keep"] for row in found.values()].count(True) == 1
    assert {row["reason"] for row in found.values()} == {"", "normalised-duplicate"}


def test_protected_sources_keep_theirs_and_take_from_the_others(tmp_path: Path) -> None:
    web = one(PAGES[5] + " with a longer text, which would be the best", "http://w.test/1", "web")
    wiki, again = (one(PAGES[5], f"http://k.test/{i}", "wiki") for i in range(2))
    rows = [web, wiki, again]
    found = verdicts(run(tmp_path / "protected", rows, protect=["wiki"]))
    assert [found[row["id"]]["keep"] for row in rows] == [False, True, True]
    first = verdicts(run(tmp_path / "first", rows, order=["priority"], sources=["wiki", "web"]))
    assert [first[row["id"]]["keep"] for row in rows].count(True) == 1
    assert not first[web["id"]]["keep"]
    apart = verdicts(run(tmp_path / "apart", rows, within="source"))
    assert apart[web["id"]]["keep"]
    assert [apart[row["id"]]["keep"] for row in rows].count(True) == 2


def test_snapshot_by_snapshot_with_an_index(tmp_path: Path) -> None:
    index = tmp_path / "index"
    first = [one(page, f"http://a.test/{i}") for i, page in enumerate(PAGES[:10])]
    second = [one(page + " changed", f"http://b.test/{i}") for i, page in enumerate(PAGES[5:15])]
    asked = recipe(index=str(index), index_add=True)
    done = run(tmp_path / "first", first, index=str(index), index_add=True)
    assert done.account.kept == 10
    assert dedup_index.remember(asked, done, done) == 10
    assert dedup_index.remember(asked, done, done) == 0
    later = run(tmp_path / "second", second, index=str(index), index_add=True)
    found = verdicts(later)
    assert [found[row["id"]]["keep"] for row in second] == [False] * 5 + [True] * 5
    for row, known in zip(second[:5], first[5:], strict=True):
        assert found[row["id"]]["reason"] == "indexed-duplicate"
        assert found[row["id"]]["parent"] == known["id"]
    assert dedup_index.remember(asked, later, later) == 5
    assert len(Index.open(index)) == 15
    # What is in the index itself is no duplicate: a repeated run keeps what it kept.
    assert run(tmp_path / "again", first, index=str(index), index_add=True).account.kept == 10


def chained() -> list[dict[str, Any]]:
    """Links of a chain, each much like the next: of three the last is not like the first, and goes all the same."""
    words = " ".join(PAGES[12:20]).split()
    texts = [" ".join(words[start : start + 200]) for start in (0, 20, 40)]
    return [one(text, f"http://chain.test/{number}", day=-number) for number, text in enumerate(texts)]


CHAIN = {"threshold": 0.75, "spread": 0.6, "preset": "afm", "order": ["date"]}


def test_a_repeated_run_keeps_what_it_kept_of_a_chain(tmp_path: Path) -> None:
    """What hung on the copy that stays through one that went is not like anything in the index; yet it goes again."""
    index = tmp_path / "index"
    use: dict[str, Any] = {"index": str(index), "index_add": True, **CHAIN}
    asked = recipe(**use)
    rows = chained()
    once = run(tmp_path / "once", rows, **use)
    assert once.account.kept == 1
    assert dedup_index.remember(asked, once, once) == 1
    # Another snapshot comes between: what it added does not count for the first one either.
    other = run(tmp_path / "other", [one(PAGES[30], "http://o.test/1")], **use)
    assert dedup_index.remember(asked, other, other) == 1
    again = run(tmp_path / "again", rows, **use)
    assert again.outputs == once.outputs
    assert again.digest == once.digest
    assert dedup_index.remember(asked, again, again) == 0
    # Of another input the last link is new: nothing that is kept is like it.
    alone = run(tmp_path / "alone", rows[2:], **use)
    assert alone.account.kept == 1
    # In a compacted index the state of then is gone where it had documents, and that is told.
    Index.open(index).compact()
    assert run(tmp_path / "first", rows, **use).outputs == once.outputs
    with pytest.raises(RunFailed, match="compacted since this input was added"):
        run(tmp_path / "later", [one(PAGES[30], "http://o.test/1")], **use)


def test_many_identical_and_many_near_identical_documents(tmp_path: Path) -> None:
    text = " ".join(PAGES[9].split()[:60])
    rows = [one(text, f"http://a.test/{i}") for i in range(3000)]
    rows += [one(f"{text} page {i}", f"http://b.test/{i}") for i in range(3000)]
    done = run(tmp_path, rows)
    assert done.account.kept == 1
    # At most 8 pairs a text, of the 9 million.
    assert done.facts["candidates"] <= 3 * 14 * 8 * 3001
    assert all(row["cluster"] for row in verdicts(done).values() if not row["keep"])


def problems(**settings: Any) -> list[str]:
    from pipelines.recipe_checks import problems as found

    return [line for line in found(recipe(**settings), lambda *path: ".".join(map(str, path))) if "dedup" in line]


def test_a_recipe_is_checked_before_anything_starts(tmp_path: Path) -> None:
    assert problems() == []
    (line,) = problems(preset="finewb")
    assert "dedup.preset: no preset 'finewb', did you mean" in line or "fineweb" in line
    (line,) = problems(protect=["wikki"])
    assert "dedup.protect.0: no source 'wikki'" in line
    assert "wiki" in line
    (line,) = problems(quality="fineweb.line_punctuation")
    assert "dedup.quality: no signal 'fineweb.line_punctuation' is measured" in line
    (line,) = problems(threshold=0.7, spread=0.1)
    assert "dedup: spread: found 0.1, expected 0.3 or more" in line
    (line,) = problems(index=str(tmp_path / "nowhere"))
    assert "nothing is there" in line
    assert problems(index=str(tmp_path / "nowhere"), index_add=True) == []
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "segment-000000.parquet").write_bytes(b"PAR1")
    (line,) = problems(index=str(tmp_path / "half"))
    assert "half-written" in line
    Index.create(tmp_path / "other", DedupConfig(seed=3))
    (line,) = problems(index=str(tmp_path / "other"))
    assert "made with another configuration (seed 3, asked 0)" in line
    (line,) = problems(index=str(tmp_path / "other"), url="best")
    assert "an index stores neither texts nor URLs" in line
    (line,) = problems(index=str(tmp_path / "nowhere"), index_add=True, within="source")
    assert "an index does not know its documents' sources" in line
    with pytest.raises(ValueError, match="give 'index'"):
        recipe(index_add=True)


def test_quality_is_a_measured_signal(tmp_path: Path) -> None:
    short, long = one(PAGES[8], "http://a.test/1"), one(PAGES[8] + " and more", "http://a.test/2")
    start = given(tmp_path / "given", [short, long])
    part = partitions_of(pa.array([short["id"], long["id"]]), 3).to_pylist()
    files: list[FileEntry] = []
    for number in range(3):
        rows = [
            (row["id"], value) for row, value, at in zip((short, long), (0.9, 0.1), part, strict=True) if at == number
        ]
        path = tmp_path / "measured" / "signals" / f"part-{number:05d}.parquet"
        table = pa.table(
            {
                "id": pa.array([row[0] for row in rows], pa.string()),
                "gopher.words": pa.array([row[1] for row in rows], pa.float64()),
            }
        )
        write_parquet(path, table)
        files.append(FileEntry(path=f"signals/{path.name}", rows=len(rows), bytes=path.stat().st_size, sha256=""))
    measured = Finished("02-measure", "given", tmp_path / "measured", Account(2, 2), {"signals": files})
    steps = Steps(tmp_path / "steps", LocalEngine(1))
    by_length = verdicts(dedup.run(steps, recipe(), start))
    by_quality = verdicts(dedup.run(steps, recipe(quality="gopher.words"), start, measured))
    assert [by_length[row["id"]]["keep"] for row in (short, long)] == [False, True]
    assert [by_quality[row["id"]]["keep"] for row in (short, long)] == [True, False]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ray", "beam"])
def test_bytes_are_the_same_on_other_engines(
    tmp_path: Path, name: str, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = many()
    expected = run(tmp_path / "local", rows)
    engine = engines.get(name, 2)
    assert run(tmp_path / name, rows, engine).outputs == expected.outputs
    label = dedup_components.label
    monkeypatch.setattr(dedup, "label", lambda *given: label(*given, most=0))
    assert run(tmp_path / f"{name}-rounds", rows, engine).outputs == expected.outputs


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    held = Engines()
    yield held
    held.close()
