"""What other rules would do is what a build with them does, told without one."""

from __future__ import annotations

import io
import json
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from pipelines import cli, whatif
from pipelines.recipe_errors import RecipeError
from pipelines.whatif_text import render
from pipelines.why import render as show
from pipelines.why import why
from tests.pipelines.runs import tiny
from tests.tiny import archive

FILTERS: dict[str, Any] = {
    "families": ["gopher", "pii"],
    "rules": [
        {"signal": "gopher.mean_word_length", "min": 3.0, "name": "short-words"},
        {"signal": "gopher.words", "min": 150, "max": 3000, "name": "length"},
        {"signal": "line.words", "min": 2, "sources": ["web"], "name": "one-word-line"},
        {"signal": "gopher.stop_words", "min": 2, "sources": ["web"]},
        {"signal": "pii.email", "max": 0, "action": "redact", "name": "no-mail"},
    ],
}

pytestmark = pytest.mark.slow


def wider() -> dict[str, Any]:
    rules = [dict(rule) for rule in FILTERS["rules"]]
    rules[0]["min"] = 4.55
    rules[1]["min"] = 60
    return {**FILTERS, "rules": rules}


def kept(run: Path) -> dict[str, str]:
    files = run.glob("steps/03-decide-*/documents/*.parquet")
    return {
        row["id"]: row["source"] for file in files for row in pq.read_table(file, columns=["id", "source"]).to_pylist()
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("whatif")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tiny.lay_out(folder)
        archive(folder / "web" / "pages.warc.gz", [(name, topics[name]) for name in tiny.WEB])  # a line a paragraph
        return folder / tiny.build("run", filters=FILTERS), folder / tiny.build("wider", filters=wider())


def test_it_says_what_a_build_does(runs: tuple[Path, Path]) -> None:
    run, other = runs
    found = whatif.whatif(run, ["short-words=4.55", "length.min=60"], samples=1000)
    before, after = kept(run), kept(other)
    gained, lost = after.keys() - before.keys(), before.keys() - after.keys()
    assert gained
    assert lost
    assert (found.total.before, found.total.after) == (len(before), len(after))
    assert (found.total.gained, found.total.lost) == (len(gained), len(lost))
    assert {sample.id for sample in found.samples if sample.direction == "gained"} == gained
    assert {sample.id for sample in found.samples if sample.direction == "lost"} == lost
    for source in ("web", "other"):
        tally = found.sources[source]
        assert tally.gained == sum(after[id_] == source for id_ in gained)
        assert tally.lost == sum(before[id_] == source for id_ in lost)
    assert found.rules["length"].gained == len(gained)
    assert found.rules["short-words"].lost == len(lost)
    tokens = {
        row["id"]: row["count"]
        for file in run.glob("steps/07-tokenize-*/tokens/*.parquet")
        for row in pq.read_table(file, columns=["id", "count"]).to_pylist()
    }
    assert found.total.tokens_lost == sum(tokens.get(id_, 0) for id_ in lost) > 0
    assert found.total.lost_reached == sum(id_ in tokens for id_ in lost)
    built = {
        row["id"]: row["count"]
        for file in other.glob("steps/07-tokenize-*/tokens/*.parquet")
        for row in pq.read_table(file, columns=["id", "count"]).to_pylist()
    }
    assert found.total.tokens_gained == pytest.approx(sum(built.get(id_, 0) for id_ in gained), rel=0.35)


def test_nothing_changes_where_nothing_is_changed(runs: tuple[Path, Path]) -> None:
    found = whatif.whatif(runs[0], ["length.min=150"])
    assert found.changes == ()
    assert found.total.before == found.total.after == len(kept(runs[0]))
    assert found.total.gained == found.total.lost == 0


def test_rules_go_come_and_change_their_action(runs: tuple[Path, Path]) -> None:
    run = runs[0]
    off = whatif.whatif(run, ["length=off"])
    tagged = whatif.whatif(run, ["length.action=tag"])
    assert off.total == tagged.total
    assert off.total.gained > 0
    assert off.changes[0].after is None
    fresh = whatif.whatif(run, ["gopher.alphabetic_word_ratio.min=0.7"])
    assert fresh.changes[0].before is None
    assert fresh.total.lost == fresh.rules["gopher-alphabetic-word-ratio"].lost > 0
    of_web = whatif.whatif(run, ["gopher.alphabetic_word_ratio.min=0.7", "gopher.words.sources=[web]"])
    assert of_web.total != fresh.total
    assert whatif.whatif(run, ["no-mail=off"]).total.gained == 0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("lenght.min=4", "no rule 'lenght'; did you mean 'length'"),
        ("length=4", "two bounds; say which: length.min=… or length.max=…"),
        ("length.least=4", "no field 'least'"),
        ("length.min=few", "found 'few', expected a number"),
        ("length.min=9999", "above max"),
        ("length", "expected RULE=NUMBER"),
        ("one-word-line=4", "drops lines"),
        ("gopher.bullet_line_ratio=4", "say which bound"),
        ("short-words.action=vanish", "drop"),
    ],
)
def test_mistakes_are_told(runs: tuple[Path, Path], given: str, told: str) -> None:
    with pytest.raises(RecipeError) as error:
        whatif.whatif(runs[0], [given])
    assert told in str(error.value)
    assert f"--set {given}" in str(error.value)


def test_the_command(runs: tuple[Path, Path]) -> None:
    out = CliRunner().invoke(cli.app, ["whatif", str(runs[0]), "--set", "length.min=60", "--json"])
    assert out.exit_code == 0
    told = json.loads(out.stdout)
    assert told["total"]["gained"] > 0
    assert told["changes"][0]["after"] == {"min": 60.0, "max": 3000.0}
    text = io.StringIO()
    render(whatif.whatif(runs[0], ["length.min=60"]), Console(file=text, width=120))
    assert "length  gopher.words  ≥ 150, ≤ 3" in text.getvalue()
    assert "gained by length" in text.getvalue()


def test_why_tells_of_dropped_lines_and_redaction(runs: tuple[Path, Path]) -> None:
    run = runs[0]
    ledger = pa.concat_tables(pq.read_table(path) for path in run.glob("steps/03-decide-*/ledger/*.parquet"))
    row = next(row for row in ledger.to_pylist() if '"lines"' in (row["evidence"] or "") and row["verdict"] == "kept")
    lines = json.loads(row["evidence"])["lines"]
    (story,) = why(run, row["id"]).records
    check = next(one for one in story.checks if one.rule == "one-word-line")
    assert (check.value, check.passed, check.asked) == (lines["dropped"], False, True)
    assert story.signals["lines.one-word-line"] == lines["rules"]["one-word-line"]
    text = io.StringIO()
    show(why(run, row["id"]), Console(file=text, width=160, highlight=False))
    assert f"{lines['dropped']} of {lines['count']} lines dropped (one-word-line {lines['dropped']})" in text.getvalue()
    other = next(row for row in ledger.to_pylist() if row["source"] == "other")
    (story,) = why(run, other["id"]).records
    assert next(one for one in story.checks if one.rule == "one-word-line").passed is None


BAD = "I hate all niggers, they should all be killed."


def blanking(most: float) -> dict[str, Any]:
    return {
        "families": ["gopher", "safety_sentences"],
        "rules": [
            {"signal": "safety_sentences.hate_speech", "max": most, "action": "blank", "name": "hate"},
            {"signal": "gopher.words", "min": 5, "name": "length"},
        ],
    }


@pytest.fixture(scope="module")
def emptied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run that blanks all of one document, and one that blanks nothing."""
    folder = tmp_path_factory.mktemp("blank")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tiny.lay_out(folder)
        pages = [
            *((name, topics[name]) for name in tiny.OTHER),
            ("bad", BAD),
            ("half", f"{BAD} {topics[tiny.OTHER[0]]}"),
        ]
        archive(folder / "other" / "pages.warc.gz", pages)
        return folder / tiny.build("run", filters=blanking(0.4)), folder / tiny.build("all", filters=blanking(1.0))


def test_a_document_that_blanking_empties_is_lost_as_in_a_build(emptied: tuple[Path, Path]) -> None:
    run, whole = emptied
    few, many = kept(run), kept(whole)
    assert len(many) - len(few) == 1
    (gone,) = many.keys() - few.keys()
    same = whatif.whatif(run, ["length=4"])
    assert (same.total.before, same.total.after, same.total.gained) == (len(few), len(few), 0)
    for change in ("hate=off", "hate=1.0", "hate.action=tag"):
        found = whatif.whatif(run, [change])
        assert (found.total.before, found.total.after) == (len(few), len(many)), change
        assert found.rules["no-text-left"].gained == 1
        assert [sample.id for sample in found.samples] == [gone]
        assert found.samples[0].value is None
    lost = whatif.whatif(whole, ["hate=0.4"])
    assert (lost.total.before, lost.total.after) == (len(many), len(few))
    assert lost.rules["no-text-left"].lost == 1
    render(lost, Console(file=io.StringIO()))
    back = whatif.whatif(run, ["length=100000"])  # another rule drops it now: it is neither gained nor lost
    assert gone not in {sample.id for sample in back.samples}


def test_what_other_rules_bring_back_is_blanked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.lay_out(tmp_path)
    archive(tmp_path / "other" / "pages.warc.gz", [*((name, topics[name]) for name in tiny.OTHER), ("bad", BAD)])
    strict = blanking(0.4)
    strict["rules"][1]["min"] = 50
    run = tmp_path / tiny.build("run", filters=strict)
    found = whatif.whatif(run, ["length=5"])
    built = kept(tmp_path / tiny.build("wide", filters=blanking(0.4)))
    assert found.total.after == len(built)
