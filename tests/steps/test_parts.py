"""Duplicates below documents in a run: the same bytes on every engine and number of workers, every cut told."""

from __future__ import annotations

import json
import pydoc_data.topics
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import TypeAdapter

from pipelines import recipe
from pipelines.document import documents
from pipelines.recipe_errors import RecipeError
from pipelines.recipe_parts import (
    BloomUse,
    LinesUse,
    ParagraphsUse,
    PartUse,
    SubstringsUse,
)
from pipelines.steps.step import Finished, RunFailed
from pipelines.why import why
from tests.engines.contract import NAMES, Engines
from tests.pipelines.runs import tiny
from tests.steps.parts_runs import bytes_of, ledger, performed, row, texts

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


USES: tuple[PartUse, ...] = (
    SubstringsUse(prefer=("wiki",)),
    LinesUse(preset="llama3", kinds=("web",)),
    ParagraphsUse(prefer=("wiki",)),
    BloomUse(prefer=("wiki",), threshold=0.1, ngram=5, groups=2),
)


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


def test_documents_out_of_scope_fill_no_bucket(tmp_path: Path) -> None:
    """Seven equal lines in one bucket go; documents of code beside them once made it two buckets, where they stayed."""
    line = "All rights reserved by the people who wrote this page.\n"
    pages = [row(f"{number}", f"{line}Page {'abcdefgh'[number] * 20} alone.\n", "web") for number in range(7)]
    other = [row(f"c{number}", f"x = {number}\n", "web", "code") for number in range(40)]
    use = LinesUse(preset="llama3", kinds=("web",), bucket=10)
    (done,) = performed(documents(pages + other), [use], tmp_path)
    assert (done.facts["documents"], done.facts["buckets"], done.facts["dropped"]) == (7, 1, 7)
    assert not any(line in text for text in texts(done).values())
