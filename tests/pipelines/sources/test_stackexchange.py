from __future__ import annotations

import gzip
import html
import pydoc_data.topics
from pathlib import Path

import py7zr
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.extract import extract_body
from pipelines.sources import stackexchange_threads
from pipelines.sources.files import SourceError
from pipelines.sources.record import Failure, Outcome, Record, Refusal, Source
from pipelines.sources.stackexchange import StackExchangeSource, licence_of_post, tags_of

TOPICS = dict(sorted(pydoc_data.topics.topics.items()))
NAMES = list(TOPICS)


def _row(number: int, kind: int = 1, **fields: object) -> str:
    said = {"Id": number, "PostTypeId": kind, "CreationDate": "2020-05-06T07:08:09.123", **fields}
    attributes = (f'{name}="{_attribute(str(value))}"' for name, value in said.items())
    return f"  <row {' '.join(attributes)} />\n"


def _attribute(text: str) -> str:
    return html.escape(text).replace("\n", "&#xA;")  # as the dumps have it: a line a post


def _posts(rows: list[str]) -> str:
    return f'<?xml version="1.0" encoding="utf-8"?>\n<posts>\n{"".join(rows)}</posts>\n'


def _site(questions: int) -> list[str]:
    """Questions with 0 to 3 answers of real documentation, the answers long after the questions."""
    rows = [
        _row(number, Title=f"What of {NAMES[number]}?", Body=f"<p>{html.escape(TOPICS[NAMES[number]][:300])}</p>",
             Score=number, ViewCount=10, Tags="<python><docs>", AcceptedAnswerId=1000 + number * 10)
        for number in range(1, questions)
    ]  # fmt: skip
    for number in range(1, questions):
        for answer in range(number % 4):
            text = f"<p>Answer {answer}</p><pre><code>{html.escape(TOPICS[NAMES[-number]][:200])}</code></pre>"
            rows.append(_row(1000 + number * 10 + answer, 2, ParentId=number, Body=text, Score=[3, 7, 3][answer],
                             OwnerUserId=5))  # fmt: skip
    return rows


def _outcomes(path: Path, **fields: object) -> list[Outcome]:
    source = StackExchangeSource.model_validate({"name": "s", "paths": [path], **fields})
    assert isinstance(source, Source)
    return [outcome for unit in source.units() for outcome in source.read(unit)]


def _text(outcome: Outcome) -> str:
    assert isinstance(outcome, Record), outcome
    assert isinstance(outcome.body, str)
    return extract_body(outcome.body.encode(), outcome.content_type).text


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "docs.stackexchange.com"
    folder.mkdir()
    (folder / "Posts.xml").write_text(_posts(_site(40)))
    return folder / "Posts.xml"


def test_threads_are_documents_best_answer_first(site: Path) -> None:
    outcomes = _outcomes(site)
    assert [outcome.uri for outcome in outcomes] == [
        f"https://docs.stackexchange.com/questions/{number}" for number in range(1, 40)
    ]
    thread = outcomes[6]
    assert isinstance(thread, Record)
    assert (thread.kind, thread.license) == ("dialogue", "CC-BY-SA-4.0")
    assert [one["id"] for one in thread.metadata["answers"]] == [1071, 1070, 1072]  # 7 votes, then the accepted one
    assert thread.metadata["tags"] == ["python", "docs"]
    assert (thread.metadata["score"], thread.metadata["site"]) == (7, "docs.stackexchange.com")
    assert thread.metadata["authors"] == [None, 5, 5, 5]
    text = _text(thread)
    assert text.startswith(f"Q: What of {NAMES[7]}?\n\n")
    assert text.split("\n\nA:\n\n")[1].startswith("Answer 1\n\n```\n")
    assert len(text.split("\n\nA:\n\n")) == 4
    code = text.split("```\n")[1].removesuffix("\n")
    assert code == TOPICS[NAMES[-7]][:200].strip("\n")


def test_shares_of_a_site_together_are_the_site(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {outcome.uri: outcome for outcome in _outcomes(site)}
    monkeypatch.setattr(stackexchange_threads, "HEAP_BYTES", 2000)  # many heaps
    shares = _outcomes(site, split_bytes=site.stat().st_size // 4)
    assert len(StackExchangeSource(name="s", paths=(site,), split_bytes=site.stat().st_size // 4).units()) in (4, 5)
    assert len(shares) == len(whole)
    assert {outcome.uri: outcome for outcome in shares} == whole


@pytest.mark.parametrize("name", ["docs.stackexchange.com.7z", "docs.stackexchange.com/Posts.xml.gz"])
def test_packed_sites(site: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "packed" / name
    path.parent.mkdir(parents=True)
    if name.endswith(".7z"):
        with py7zr.SevenZipFile(path, "w") as archive:
            archive.write(site, "Posts.xml")
            archive.writestr("<users/>", "Users.xml")
    else:
        path.write_bytes(gzip.compress(site.read_bytes()))

    def told(path: Path) -> list[tuple[str, bytes]]:
        return [(outcome.uri, outcome.content) for outcome in _outcomes(path)]

    assert told(path) == told(site)


def test_licences_by_date_and_as_stated(tmp_path: Path) -> None:
    posts = [
        _row(1, Title="a", Body="<p>q</p>", CreationDate="2010-01-01T00:00:00"),
        _row(2, 2, ParentId=1, Body="<p>a</p>", CreationDate="2012-01-01T00:00:00"),
        _row(3, 2, ParentId=1, Body="<p>b</p>", CreationDate="2012-01-01T00:00:00", ContentLicense="CC BY-SA 4.0"),
    ]
    (tmp_path / "Posts.xml").write_text(_posts(posts))
    (thread,) = _outcomes(tmp_path, site="a.test")
    assert isinstance(thread, Record)
    assert thread.license == "CC-BY-SA-2.5 AND CC-BY-SA-3.0 AND CC-BY-SA-4.0"
    assert [licence_of_post({"CreationDate": f"{day}T12:00:00"}) for day in
            ("2011-04-07", "2011-04-08", "2018-05-01", "2018-05-02", "2026-01-01")] == [
        "CC-BY-SA-2.5", "CC-BY-SA-3.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-SA-4.0",
    ]  # fmt: skip
    assert tags_of({"Tags": "<a><b-c>"}) == tags_of({"Tags": "|a|b-c|"}) == ["a", "b-c"]


def test_bad_rows_are_counted_and_nothing_else_is_lost(tmp_path: Path) -> None:
    rows = [
        _row(1, Title="one", Body="<p>one</p>"),
        _row(2, 5, Body="a tag's wiki"),
        '  <row Id="3" PostTypeId="1" Body="&lol;" />\n',
        '  <row PostTypeId="1" Body="x" />\n',
        '  <row Id="4" PostTypeId="2" Body="an answer to nothing" />\n',
        _row(5, 2, ParentId=77, Body="<p>lost</p>"),
        _row(6, Title="long", Body="x" * 5000),
        '  <row Id="7" PostTypeId="1" Title="nul" Body="a\0b" />\n',
        "  and a line that is no row\n",
        _row(8, Title="last", Body="<p>last</p>"),
    ]
    (tmp_path / "Posts.xml").write_text(_posts(rows))
    outcomes = _outcomes(tmp_path, site="a.test", max_record_bytes=4000)
    told = [getattr(outcome, "reason", outcome.uri.rpartition("/")[2]) for outcome in outcomes]
    assert told == [
        "not-a-question", "invalid-xml", "invalid-post", "invalid-post", "too-large", "invalid-xml",
        "invalid-post", "1", "8", "orphan-answers",
    ]  # fmt: skip
    assert len({outcome.uri for outcome in outcomes}) == len(outcomes)
    answered = _outcomes(tmp_path, site="a.test", max_record_bytes=4000, unanswered=False)
    assert sum(isinstance(outcome, Refusal) and outcome.reason == "unanswered" for outcome in answered) == 2


def test_damaged_and_cut_files(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x" / "docs.stackexchange.com"
    folder.mkdir(parents=True)
    (folder / "Posts.xml.gz").write_bytes(gzip.compress(site.read_bytes())[:-800])
    outcomes = _outcomes(folder)
    assert sum(isinstance(outcome, Record) for outcome in outcomes) == 39
    last = outcomes[-1]
    assert isinstance(last, Failure)
    assert last.reason == "damaged-file"
    for name, data in (("rubbish", b"no archive"), ("cut", None)):
        path = tmp_path / f"{name}.stackexchange.com.7z"
        with py7zr.SevenZipFile(path, "w") as archive:
            archive.write(site, "Posts.xml")
        path.write_bytes(data if data is not None else path.read_bytes()[:-100])
        (failure,) = _outcomes(path)
        assert isinstance(failure, Failure)
        assert failure.reason == "damaged-file"
    with py7zr.SevenZipFile(tmp_path / "users.stackexchange.com.7z", "w") as archive:
        archive.writestr("<users/>", "Users.xml")
    (failure,) = _outcomes(tmp_path / "users.stackexchange.com.7z")
    assert isinstance(failure, Failure)
    assert failure.reason == "no-posts"
    with py7zr.SevenZipFile(tmp_path / "locked.stackexchange.com.7z", "w", password="secret") as archive:
        archive.write(site, "Posts.xml")
    (failure,) = _outcomes(tmp_path / "locked.stackexchange.com.7z")
    assert isinstance(failure, Failure)
    assert failure.reason == "encrypted-archive"


def test_a_site_without_a_name_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "Posts.xml").write_text(_posts([]))
    with pytest.raises(SourceError, match=r"nothing says which site it is of; name it in sources\.s\.site"):
        StackExchangeSource(name="s", paths=(tmp_path,)).units()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(-5, 5)), max_size=30), st.integers(1, 5))
def test_every_post_is_in_one_thread_or_told(tmp_path: Path, answers: list[tuple[int, int, int]], parts: int) -> None:
    rows = [_row(number, Title=f"t{number}", Body=f"<p>question-{number}</p>") for number in range(1, 9)]
    rows += [
        _row(100 + at, 2, ParentId=parent, Body=f"<p>answer-{at}</p>", Score=score)
        for at, (parent, _, score) in enumerate(answers)
    ]
    path = tmp_path / "Posts.xml"
    path.write_text(_posts(rows))
    outcomes = _outcomes(path, site="a.test", split_bytes=max(1, path.stat().st_size // parts))
    threads = {outcome.uri: outcome for outcome in outcomes if isinstance(outcome, Record)}
    assert len(threads) == 8
    orphans = sum(outcome.evidence["answers"] for outcome in outcomes if isinstance(outcome, Refusal))
    assert orphans == sum(parent > 8 for parent, _, _ in answers)
    for at, (parent, _, _) in enumerate(answers):
        if parent <= 8:
            assert f"answer-{at}" in _text(threads[f"https://a.test/questions/{parent}"]).split()
    for thread in threads.values():
        scores = [one["score"] for one in thread.metadata["answers"]]
        assert scores == sorted(scores, reverse=True)
