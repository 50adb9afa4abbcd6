"""Duplicates below documents in a run: the same bytes on every engine and number of workers, every cut told."""

from __future__ import annotations

import json
import pydoc_data.topics
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import TypeAdapter

from pipelines import recipe
from pipelines.document import DOCUMENT_SCHEMA, canonical_json, document_id, documents, partitions_of
from pipelines.engines.local import LocalEngine
from pipelines.engines.plan import Engine
from pipelines.ledger import Account
from pipelines.recipe_errors import RecipeError
from pipelines.recipe_parts import (
    BloomUse,
    FilesUse,
    LinesUse,
    ParagraphsUse,
    PartUse,
    RepositoriesUse,
    SemanticUse,
    SubstringsUse,
)
from pipelines.steps import parts
from pipelines.steps.step import Finished, RunFailed, Steps
from pipelines.storage import write_parquet
from pipelines.why import why
from tests.engines.contract import NAMES, Engines
from tests.pipelines.runs import tiny

BANNER = "Share this page with your friends and colleagues 12\n"
QUOTED = sorted(pydoc_data.topics.topics.values(), key=len)[-1][:3000].rpartition(" ")[0]


def corpus() -> pa.Table:
    """Help topics with a banner on top; every fifth quotes the longest topic; some are empty or of one word."""
    rows: list[dict[str, Any]] = []
    for number, (name, text) in enumerate(sorted(pydoc_data.topics.topics.items())):
        text = BANNER + text + ("\n\n" + QUOTED + "\n\nThe end." if number % 5 == 0 else "")
        rows.append(row(name, text, "wiki" if number % 3 == 0 else "web"))
    rows += [row("empty", "", "web"), row("blank", "\n \n", "web"), row("a", "word " * 5000, "web")]
    return documents(rows)


def row(name: str, text: str, source: str, kind: str = "web") -> dict[str, Any]:
    uri = f"http://{source}.test/{name}"
    return {
        "id": document_id(source, uri, text.encode()), "uri": uri, "source": source, "kind": kind, "text": text,
    }  # fmt: skip


def finished(table: pa.Table, folder: Path, partitions: int) -> Finished:
    """The step that made these documents."""
    numbers = partitions_of(table["id"], partitions)
    entries = [
        write_parquet(
            folder / "documents" / f"part-{part:05d}.parquet",
            table.filter(pa.compute.equal(numbers, part)).sort_by("id").cast(DOCUMENT_SCHEMA),
        )
        for part in range(partitions)
    ]
    return Finished("04-dedup", "0" * 16, folder, Account(table.num_rows, table.num_rows), {"documents": entries})


def signals_of(done: Finished, folder: Path) -> Finished:
    """A signal of every document: its characters."""
    entries = []
    for number, path in enumerate(done.parts("documents")):
        table = pq.read_table(path)
        measured = table.select(["id"]).append_column(
            "made.chars", pa.compute.utf8_length(table["text"]).cast(pa.float64())
        )
        entries.append(write_parquet(folder / "signals" / f"part-{number:05d}.parquet", measured))
    return Finished("02-measure", "1" * 16, folder, Account(), {"signals": entries})


def performed(
    table: pa.Table, uses: Sequence[PartUse], folder: Path, engine: Engine | None = None, partitions: int = 3
) -> list[Finished]:
    done = finished(table, folder / "before", partitions)
    measured = signals_of(done, folder / "signals")
    steps = Steps(folder / "steps", engine or LocalEngine(1))
    found: list[Finished] = []
    for use in uses:
        done = parts.run(steps, use, done, measured)
        found.append(done)
    return found


def texts(done: Finished) -> dict[str, str]:
    table = done.table("documents")
    return dict(zip(table["uri"].to_pylist(), table["text"].to_pylist(), strict=True))


def ledger(done: Finished) -> dict[str, dict[str, Any]]:
    return {one["uri"]: one for one in done.table("ledger").to_pylist()}


USES: tuple[PartUse, ...] = (
    SubstringsUse(prefer=("wiki",)),
    LinesUse(preset="llama3", kinds=("web",)),
    ParagraphsUse(prefer=("wiki",)),
    BloomUse(prefer=("wiki",), threshold=0.1, ngram=5, groups=2),
)


def bytes_of(steps: Sequence[Finished]) -> dict[str, bytes]:
    return {
        f"{done.name}/{name}/{path.name}": path.read_bytes()
        for done in steps
        for name in done.outputs
        for path in done.parts(name)
    }


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[Finished]:
    return performed(corpus(), USES, tmp_path_factory.mktemp("alone"))


def test_lines_that_occur_too_often_are_dropped_everywhere(alone: list[Finished]) -> None:
    before, after, told = texts(alone[0]), texts(alone[1]), ledger(alone[1])
    times = Counter(line for text in before.values() for line in text.split("\n") if len(line.strip()) >= 10)
    assert times[BANNER.strip()] > 6
    for uri, text in before.items():
        gone = sum(times[line] > 6 for line in text.split("\n"))
        evidence = json.loads(told[uri]["evidence"] or "{}")
        # Normalising joins more lines than are equal: digits and letter case.
        assert evidence.get("lines", {"dropped": 0})["dropped"] >= gone
        if uri in after:
            lost = len(text.split("\n")) - len(after[uri].split("\n"))
            assert lost == evidence.get("lines", {"dropped": 0})["dropped"]
    assert not any(BANNER.strip() in text for text in after.values())
    assert after["http://web.test/empty"] == ""
    assert after["http://web.test/blank"] == "\n \n"
    assert alone[1].account.received == len(before)
    assert alone[1].facts["most"] == 6


def test_of_a_repeated_passage_one_copy_stays_at_the_preferred_source(alone: list[Finished]) -> None:
    after, told = texts(alone[0]), ledger(alone[0])
    middle = QUOTED[1000:1400]
    holders = [uri for uri, text in after.items() if middle in text]
    assert len(holders) == 1
    assert holders[0].startswith("http://wiki.test/")
    ids = {one["id"]: uri for uri, one in told.items()}
    shown = [json.loads(one["evidence"])["passages"] for one in told.values() if one["evidence"]]
    assert shown
    assert {ids[one["kept_in"]] for many in shown for one in many} <= set(ids.values())
    assert after["http://web.test/a"] == "word"
    assert alone[0].facts["tokens_cut"] > 4000


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("name", NAMES)
def test_engines_and_workers_do_not_show(name: str, workers: int, alone: list[Finished], tmp_path: Path) -> None:
    engines = Engines()
    try:
        made = performed(corpus(), USES, tmp_path, engines.get(name, workers))
        assert bytes_of(made) == bytes_of(alone)
    finally:
        engines.close()


def test_batches_do_not_show(alone: list[Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("lines", "substrings", "scope"):
        monkeypatch.setattr(f"pipelines.steps.{module}.ROWS", 7)
    assert bytes_of(performed(corpus(), USES, tmp_path)) == bytes_of(alone)


def test_the_number_of_parts_changes_no_text(alone: list[Finished], tmp_path: Path) -> None:
    # Groups of the Bloom filter are ranges of parts, so that step is left out here.
    assert texts(performed(corpus(), USES[:3], tmp_path, partitions=5)[-1]) == texts(alone[2])


def test_the_bloom_filter_drops_what_it_has_seen_and_tells_how_full_it_is(tmp_path: Path) -> None:
    topics = sorted(pydoc_data.topics.topics.values(), key=len)[-40:]
    rows = [row(f"{n}", text, "wiki") for n, text in enumerate(topics)]
    rows += [row(f"{n}", text + "\nAnd a line of its own at the end.", "web") for n, text in enumerate(topics)]
    (done,) = performed(documents(rows), [BloomUse(prefer=("wiki",))], tmp_path)
    told = ledger(done)
    assert {uri.split("/")[2] for uri in texts(done)} >= {"wiki.test"}
    assert done.account.dropped["ngrams-seen"] >= 35
    # Topics of the reference quote one another, so that of a few the twin at the preferred source goes as well.
    assert sum(told[f"http://wiki.test/{n}"]["verdict"] == "kept" for n in range(40)) >= 30
    assert all(told[f"http://web.test/{n}"]["verdict"] == "dropped" for n in range(40))
    gone = next(one for one in told.values() if one["reason"] == "ngrams-seen")
    assert gone["value"] > gone["threshold"] == 0.8
    evidence = json.loads(gone["evidence"])
    assert evidence["seen"] / evidence["ngrams"] == gone["value"]
    assert 0 < evidence["fill"] <= done.facts["fill"] < 0.5
    assert evidence["false_positive_rate"] <= done.facts["false_positive_rate"] < 0.01
    assert not done.facts["full"]


def test_a_bloom_filter_that_is_full_stops_the_run_or_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="step 04-bloom: the Bloom filter is full"):
        performed(corpus(), [BloomUse(ngrams=1000)], tmp_path)
    (done,) = performed(corpus(), [BloomUse(ngrams=1000, when_full="tell")], tmp_path / "tell")
    assert done.facts["full"]
    assert done.facts["false_positive_rate"] > 0.02
    with pytest.raises(RunFailed, match=r"step 04-bloom: [\d,]+ n-grams .* is the limit \(memory_gb\)"):
        performed(corpus(), [BloomUse(memory_gb=1e-5)], tmp_path / "small")


def test_what_is_out_of_scope_passes_and_counts_for_nothing(tmp_path: Path) -> None:
    text = "def main() -> None: return None  # the same in every file\n" * 3
    table = documents([row(f"{n}", text, "web", "code") for n in range(4)] + [row("p", text, "web")])
    (done,) = performed(table, [LinesUse(kinds=("web",))], tmp_path)
    after = texts(done)
    assert [after[f"http://web.test/{n}"] for n in range(4)] == [text] * 4
    assert after["http://web.test/p"].count("def main") == 1


def test_ten_thousand_equal_documents_cost_one_row_a_batch(tmp_path: Path) -> None:
    text = " ".join(QUOTED.split()[:120])
    table = documents([row(f"{n}", text, "web") for n in range(10_000)])
    lines, substrings = performed(table, [LinesUse(), SubstringsUse()], tmp_path)
    assert lines.account.kept == 1
    assert lines.account.dropped == {"all-lines-repeated": 9_999}
    assert substrings.account.kept == 1
    (again,) = performed(table, [SubstringsUse()], tmp_path / "again")
    assert again.account.dropped == {"all-text-repeated": 9_999}
    (kept,) = texts(again).values()
    assert kept == text


@pytest.mark.slow
def test_a_build_with_parts_accounts_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.lay_out(tmp_path)
    uses = [{"type": "lines"}, {"type": "substrings", "min_tokens": 30, "prefer": ["other"]}]
    run = tmp_path / tiny.build("run", dedup_parts=uses)
    steps = {step["name"]: step for step in json.loads((run / "run.json").read_bytes())["steps"]}
    assert steps["04-lines"]["in"] == steps["04-dedup"]["kept"]
    assert steps["04-substrings"]["in"] == steps["04-lines"]["kept"]
    assert steps["05-decontaminate"]["in"] == steps["04-substrings"]["kept"]
    rows = pa.concat_tables(pq.read_table(path) for path in run.glob("ledger/*.parquet")).to_pylist()
    cut = next(one for one in rows if one["step"] == "04-substrings" and one["evidence"])
    (story,) = why(run, cut["id"]).records
    assert any("cut" in verdict.evidence for verdict in story.verdicts)


def embedded(folder: Path, name: str = "embeddings") -> tuple[pa.Table, Path]:
    """Documents in groups that share a direction, with their embeddings in a file; one has none."""
    topics = sorted(pydoc_data.topics.topics)[:48]
    table = documents(
        [row(name, pydoc_data.topics.topics[name], "wiki" if n % 4 == 0 else "web") for n, name in enumerate(topics)]
    )
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(12, 24)), 4, axis=0) + 0.05 * rng.normal(size=(48, 24))
    file = folder / f"{name}.parquet"
    pq.write_table(
        pa.table({"id": table["id"][:47], "embedding": pa.array(vectors[:47].tolist(), pa.list_(pa.float32()))}), file
    )
    return table, file


def test_of_texts_that_say_the_same_the_preferred_or_best_stays(tmp_path: Path) -> None:
    table, file = embedded(tmp_path)
    use = SemanticUse(embeddings=(file,), quality="made.chars", clusters=5, sample=30, threshold=0.9)
    (done,) = performed(table, [use], tmp_path)
    kept, told = texts(done), ledger(done)
    sizes = dict(zip(table["uri"].to_pylist(), (len(one) for one in table["text"].to_pylist()), strict=True))
    uris = table["uri"].to_pylist()
    assert len(kept) == 13
    assert done.facts["without_embedding"] == 1
    for group in range(12):
        mine = uris[4 * group : 4 * group + 4]
        some = [uri for uri in mine if uri != uris[47]]
        best = max(some, key=lambda uri: sizes[uri])
        assert best in kept
        for uri in set(some) - {best}:
            evidence = json.loads(told[uri]["evidence"])
            assert told[uri]["reason"] == "semantic-duplicate"
            assert evidence["parent_uri"] == best
            assert evidence["similarity"] == told[uri]["value"] >= told[uri]["threshold"] == 0.9
    (done,) = performed(table, [use.model_copy(update={"prefer": ("wiki",)})], tmp_path / "preferred")
    assert set(texts(done)) == {*uris[::4], uris[47]}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_engines_do_not_show_in_what_says_the_same(name: str, tmp_path: Path) -> None:
    table, file = embedded(tmp_path)
    use = SemanticUse(embeddings=(file,), quality="made.chars", clusters=5, sample=30)
    engines = Engines()
    try:
        made = [performed(table, [use], tmp_path / str(n), engines.get(name, n)) for n in (1, 3)]
        assert bytes_of(made[0]) == bytes_of(made[1]) == bytes_of(performed(table, [use], tmp_path / "local"))
    finally:
        engines.close()


def test_embeddings_that_are_wrong_are_told_with_their_file(tmp_path: Path) -> None:
    table, file = embedded(tmp_path)
    broken = pq.read_table(file)
    numbers = broken["embedding"].to_pylist()
    numbers[3][0] = float("nan")
    pq.write_table(broken.set_column(1, "embedding", pa.array(numbers, pa.list_(pa.float32()))), file)
    with pytest.raises(ValueError, match=f"embeddings.parquet: record {table['id'][3]}: vector 3"):
        performed(table, [SemanticUse(embeddings=(file,))], tmp_path)


def code(repository: str, files: dict[str, str], stars: int | None = None) -> list[dict[str, Any]]:
    about = {"repository": repository} | ({} if stars is None else {"stars": stars})
    rows = [row(f"{repository}/{path}", text, "code", "code") for path, text in files.items()]
    return [one | {"metadata": canonical_json(about)} for one in rows]


def library(start: int, count: int) -> dict[str, str]:
    sources = sorted(Path(json.__file__).parents[1].glob("*.py"))
    return {path.name: path.read_text("utf-8") for path in sources[start : start + count]}


CHANGED = library(0, 18) | {"new.py": "import os\nprint(os.getcwd())\n", "other.py": "x = 1\n"}
CODE = [
    *code("a-fork", {name: text.replace("\n", "\r\n") for name, text in library(0, 20).items()}, 3),
    *code("b-original", library(0, 20), 900),
    *code("c-fork-that-went-on", CHANGED, 1),
    *code("d-other", library(20, 15)),
    *code("e-copies-one-file", {**library(40, 10), **library(0, 1)}),
    *code("f-empty", {"__init__.py": "", "a.py": "", "b.py": "\n"}),
    *code("g-small", library(0, 2)),
    row("page", "import this", "web"),
]


def test_forks_go_with_all_their_files_and_the_starred_repository_stays(tmp_path: Path) -> None:
    table = documents(CODE)
    (done,) = performed(table, [RepositoriesUse()], tmp_path)
    told = ledger(done)
    gone = {one["uri"].split("/")[3] for one in told.values() if one["verdict"] == "dropped"}
    assert gone == {"a-fork", "c-fork-that-went-on"}
    evidence = [json.loads(one["evidence"]) for one in told.values() if one["verdict"] == "dropped"]
    assert {one["kept_repository"] for one in evidence} == {"b-original"}
    assert {round(one["similarity"], 6) for one in evidence} == {1.0, round(18 / 22, 6)}
    assert done.facts == {"repositories": 5, "gone": 2}
    assert len(texts(done)) == table.num_rows - 20 - 20


def test_of_files_of_the_same_content_the_one_with_most_stars_stays(tmp_path: Path) -> None:
    (done,) = performed(documents(CODE), [FilesUse()], tmp_path)
    left = Counter(uri.split("/")[3] for uri in texts(done))
    assert left == {
        "b-original": 20, "c-fork-that-went-on": 2, "d-other": 15, "e-copies-one-file": 10, "f-empty": 3, "page": 1,
    }  # fmt: skip
    told = ledger(done)
    ids = {one["id"]: uri for uri, one in told.items()}
    gone = [(uri, one) for uri, one in told.items() if one["verdict"] == "dropped"]
    assert all(one["reason"] == "same-content" for _, one in gone)
    assert all(
        ids[json.loads(one["evidence"])["parent"]].split("/")[3:] == ["b-original", uri.split("/")[4]]
        for uri, one in gone
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_engines_do_not_show_in_code(name: str, tmp_path: Path) -> None:
    uses = [RepositoriesUse(), FilesUse()]
    engines = Engines()
    try:
        made = performed(documents(CODE), uses, tmp_path / "two", engines.get(name, 2))
        assert bytes_of(made) == bytes_of(performed(documents(CODE), uses, tmp_path / "one"))
    finally:
        engines.close()


def test_the_page_shows_a_recipe_that_is_right() -> None:
    page = (Path(__file__).parents[2] / "docs" / "dedup_parts.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.S)
    uses = TypeAdapter(tuple[PartUse, ...]).validate_python(yaml.safe_load(text)["dedup_parts"])
    assert [use.type for use in uses] == ["repositories", "lines", "substrings", "bloom"]


def test_mistakes_are_told_where_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.lay_out(tmp_path)
    for wrong, told in {
        "{type: lines}, {type: lines}": "dedup_parts.1.type: 'lines' is there already",
        "{type: lines, prefer: [wb]}": "dedup_parts.0.prefer: no source 'wb'; did you mean 'web'?",
        "{type: lines, mostt: 3}": "did you mean 'most'?",
        "{type: semantic}": "give either 'embeddings' or 'encoder'",
        "{type: semantic, embeddings: [no.parquet]}": "dedup_parts.0.embeddings: no.parquet: no such file",
        "{type: semantic, embeddings: [tiny.yaml], quality: gopher.wrds}": "no signal 'gopher.wrds' is measured",
    }.items():
        with pytest.raises(RecipeError) as error:
            recipe.load(Path("tiny.yaml"), [f"dedup_parts=[{wrong}]"])
        assert told in str(error.value)
