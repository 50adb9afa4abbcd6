"""Every kind of end that a record can have is told, by id and by URL, with its evidence."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from pipelines import lookup
from pipelines.why import RecordStory, UnknownRecord, render, why
from tests.pipelines.report.sample_run import SITE, shared


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared(tmp_path_factory.getbasetemp)


def one(run: Path, key: str) -> RecordStory:
    story = why(run, key)
    assert len(story.records) == 1
    return story.records[0]


def printed(run: Path, key: str) -> str:
    out = io.StringIO()
    render(why(run, key), Console(file=out, width=160, highlight=False))
    return out.getvalue()


def test_kept(run: Path) -> None:
    story = one(run, f"{SITE}/keyword?key=if")
    assert story.outcome == "kept"
    assert [verdict.step for verdict in story.verdicts] == [
        "00-crawl-pydoc",
        "01-extract-pydoc",
        "02-measure",
        "03-decide",
        "04-dedup",
        "05-decontaminate",
        "07-tokenize",
        "08-mix",
    ]
    assert {(placed.stage, placed.weight) for placed in story.placements} == {("core", 1.0), ("continued", 1.0)}
    assert story.placements[0].tokens > 50
    assert (story.license, story.kind, story.language) == ("PSF-2.0", "web", "en")
    assert story.rights["robots_rule"] == "(no rule matches)"
    assert story.copies == len(story.copy_uris) == 4
    assert all(check.passed for check in story.checks if check.asked)
    assert "Kept to the end" in story.told


def test_dropped_by_rules(run: Path) -> None:
    story = one(run, f"{SITE}/topics")
    assert story.outcome == "dropped"
    checks = {check.rule: check for check in story.checks}
    assert {name for name, check in checks.items() if check.passed is False} == {
        "gopher-stop-words",
        "fineweb-short-lines",
    }
    assert (checks["gopher-stop-words"].value, checks["gopher-stop-words"].min) == (1.0, 2.0)
    assert (checks["code-longest-line"].asked, checks["code-longest-line"].passed) == (False, None)
    assert story.told == (
        "Dropped in 03-decide: gopher-stop-words, gopher.stop_words is 1, below 2; 1 more rule would have dropped it."
    )
    text = printed(run, f"{SITE}/topics")
    assert "✗  gopher-stop-words" in text
    assert "code-longest-line" not in text
    assert "1 rule is for other kinds or sources" in text
    assert text.index("fineweb-short-lines") < text.index("gopher-word-count")  # what failed comes first


def test_duplicate_names_its_parent(run: Path) -> None:
    story = one(run, f"{SITE}/topic?key=else")
    parent = one(run, f"{SITE}/keyword?key=if")
    assert story.duplicate is not None
    assert (story.duplicate.parent, story.duplicate.parent_uri) == (parent.id, parent.uri)
    assert story.duplicate.method == "minhash"
    assert 0.7 <= (story.duplicate.similarity or 0) < 1
    assert parent.uri in story.told
    assert story.uri in parent.copy_uris


def test_exact_duplicate(run: Path) -> None:
    story = one(run, f"{SITE}/topic?key=assert")
    assert story.verdicts[-1].reason == "exact-duplicate"
    assert story.duplicate is not None
    assert (story.duplicate.similarity, story.duplicate.method) == (1.0, "exact")


def test_benchmark_span(run: Path) -> None:
    story = one(run, f"{SITE}/keyword?key=lambda")
    span = story.spans[0]
    assert (span.benchmark, span.item) == ("language-reference", "lambda")
    assert span.text.startswith("Lambda expressions")
    assert len(span.text) == (span.end or 0) - (span.start or 0)
    assert "language-reference lambda" in story.told
    assert "Lambda expressions" in printed(run, story.uri)


def test_robots_refusal(run: Path) -> None:
    story = one(run, f"{SITE}/get?key=os")
    assert (story.outcome, story.checks, story.signals) == ("dropped", (), {})
    assert story.told == "Dropped in 00-crawl-pydoc: robots-refused, by the rule 'Disallow: /get?key='."
    assert len(story.verdicts[0].evidence["robots_digest"]) == 64


def test_broken_record(run: Path) -> None:
    story = one(run, f"{SITE}/broken")
    assert (story.outcome, story.told) == ("failed", "Failed in 01-extract-pydoc: undecodable.")
    assert "codec can't decode byte 0xff" in printed(run, f"{SITE}/broken")


def test_licence_refusal(run: Path) -> None:
    assert one(run, "pypi:gpl-thing/__init__.py").verdicts[0].evidence == {"license": "GPL-3.0-only"}


@pytest.mark.parametrize("spelling", ["#part", "/", "/#part"])
def test_url_spellings(run: Path, spelling: str) -> None:
    story = why(run, f"HTTP://127.0.0.1:7464/topics{spelling}")
    assert (story.matched, story.records[0].uri) == ("URL variant", f"{SITE}/topics")


def test_ids_and_their_beginnings(run: Path) -> None:
    whole = one(run, f"{SITE}/topics")
    assert why(run, whole.id).matched == "id"
    assert one(run, whole.id) == whole
    assert why(run, whole.id[:8]).matched == "id prefix"
    assert one(run, whole.id[:8]) == whole


def test_several_records_of_one_url(run: Path, tmp_path: Path) -> None:
    """The same address fetched twice with other content is two records; both are told, the kept one first."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    path = copy / "ledger" / "part-00000.parquet"
    table = pq.read_table(path)
    row = {"id": "f" * 32, "uri": f"{SITE}/keyword?key=if", "source": "pydoc", "step": "01-extract-pydoc"}
    again = pa.Table.from_pylist([{**row, "verdict": "failed", "reason": "empty"}], schema=table.schema)
    pq.write_table(pa.concat_tables([table, again]), path)
    story = why(copy, f"{SITE}/keyword?key=if")
    assert [record.outcome for record in story.records] == ["kept", "failed"]
    assert "2 records by URL" in printed(copy, f"{SITE}/keyword?key=if")


def test_a_record_read_twice_stays_kept(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    kept = one(run, f"{SITE}/keyword?key=if")
    for path in sorted((copy / "ledger").glob("*.parquet")):
        table = pq.read_table(path)
        mine = table.filter(pa.compute.equal(table["id"], kept.id)).to_pylist()
        rows = [
            {**row, "verdict": "dropped", "reason": "repeated-record"} for row in mine if row["step"].startswith("01")
        ]
        pq.write_table(pa.concat_tables([table, pa.Table.from_pylist(rows, schema=table.schema)]), path)
    story = one(copy, kept.uri)
    assert story.outcome == "kept"
    assert len(story.verdicts) == len(kept.verdicts) + 1


def test_a_crawl_that_names_pages_otherwise_is_joined(run: Path, tmp_path: Path) -> None:
    """A crawl may give a page an id before it has its content; its verdict belongs to the record of that address."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    for path in sorted((copy / "ledger").glob("*.parquet")):
        rows = pq.read_table(path).to_pylist()
        for row in rows:
            if row["step"] == "00-crawl-pydoc":
                row["id"] = row["id"][::-1]
        pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(path)), path)
    by_url = one(copy, f"{SITE}/keyword?key=if")
    assert (by_url.outcome, by_url.verdicts[0].step, len(by_url.verdicts)) == ("kept", "00-crawl-pydoc", 8)
    assert one(copy, by_url.id) == by_url


def test_what_could_not_be_measured_does_not_pass(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    for path in copy.glob("steps/02-measure-*/signals/*.parquet"):
        table = pq.read_table(path)
        at = table.schema.get_field_index("gopher.word_count")
        pq.write_table(table.set_column(at, "gopher.word_count", pa.array([float("nan")] * len(table))), path)
    story = one(copy, f"{SITE}/keyword?key=if")
    check = next(check for check in story.checks if check.rule == "gopher-word-count")
    assert (check.value, check.passed) == (None, False)
    assert "not measured" in printed(copy, story.uri)


def test_unknown_key_suggests_the_nearest(run: Path) -> None:
    with pytest.raises(KeyError) as error:
        why(run, f"{SITE}/topic?key=wihle")
    assert isinstance(error.value, UnknownRecord)
    assert error.value.nearest[0] == f"{SITE}/topic?key=while"
    assert "nearest: " in str(error.value)
    with pytest.raises(UnknownRecord, match="no record has"):
        why(run, "ffffffffffffffffffffffffffffffff")


def test_every_story_is_json_and_prints(run: Path) -> None:
    uris = {row["uri"] for path in (run / "ledger").glob("*.parquet") for row in pq.read_table(path).to_pylist()[::40]}
    assert len(uris) > 20
    for uri in sorted(uris)[:25]:
        told = why(run, uri).as_dict()
        assert json.loads(json.dumps(told, allow_nan=False))["records"][0]["uri"] == uri
        assert uri in printed(run, uri).replace("\n", "")


def test_a_page_cannot_write_to_the_terminal(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    path = copy / "ledger" / "part-00000.parquet"
    uri = "http://127.0.0.1:7464/\x1b]0;owned\x07[bold]x"
    row = {"id": "0" * 32, "uri": uri, "source": "s", "step": "01-extract-pydoc", "verdict": "failed", "reason": "r"}
    pq.write_table(pa.Table.from_pylist([row], schema=pq.read_schema(path)), path)
    text = printed(copy, uri)
    assert "\x1b]" not in text
    assert "[bold]x" in text


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://Example.org:80/a", "http://example.org/a"),
        ("https://example.org", "https://example.org/"),
        ("http://example.org/a?q=1#x", "http://example.org/a?q=1"),
        ("http://example.org/a", "https://example.org/a"),
    ],
)
def test_variants(url: str, wanted: str) -> None:
    assert wanted in lookup.variants(url)
    assert url not in lookup.variants(url)


@pytest.mark.parametrize("key", ["pypi:numpy/a.py", "", "http://[broken", "not a url"])
def test_no_variants_of_what_is_no_url(key: str) -> None:
    assert lookup.variants(key) == []


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=40), st.integers(0, 39), st.characters(max_codepoint=127))
def test_one_edit_changes_two_letters_at_most(text: str, at: int, char: str) -> None:
    """The bound that lets the search for near URIs skip far ones."""
    ascii_ = text.encode("ascii", "replace").decode()
    edited = ascii_[:at] + char + ascii_[at + 1 :]
    letters = lookup._letters(pa.array([ascii_, edited]))  # pyright: ignore[reportPrivateUsage]
    assert abs(letters[0] - letters[1]).sum() <= 2
    assert letters.sum() == len(ascii_) + len(edited)
