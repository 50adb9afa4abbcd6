from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from pipelines.crawl.crawler import CrawlConfig, CrawlError, CrawlSummary, crawl
from pipelines.document import document_id
from pipelines.sources.archive import ArchiveRecord, read_archive
from pipelines.sources.crawl import RecordedCrawl
from pipelines.sources.record import Record
from pipelines.storage import RunLocked, lock

if TYPE_CHECKING:
    from .conftest import Answer, LoopbackSite

HTML = "text/html; charset=utf-8"


def _script() -> Any:
    from . import conftest

    return conftest


def _page(*links: str, text: str, tag: str | None = None, modified: str | None = None, **fields: str) -> Answer:
    answer = _script().page(*links, text=text)
    for name, value in {"ETag": tag, "Last-Modified": modified, **fields}.items():
        if value is not None:
            answer.headers[name.replace("_", "-")] = value
    return answer


def _config(site: LoopbackSite, **fields: object) -> CrawlConfig:
    hosts = dict.fromkeys(("h.test", "two.test"), site.address)
    values = {"seeds": ["http://h.test/"], "delay": 0.0, "connect_to": hosts, "timeout": 2.0, "max_retries": 0}
    values |= {"tdmrep": False, "adaptive_delay": 0.0}
    return CrawlConfig.model_validate({**values, **fields})


def _ledger(folder: Path) -> dict[str, dict[str, Any]]:
    rows = pq.read_table(RecordedCrawl(folder).ledger).to_pylist()
    assert len({row["uri"] for row in rows}) == len(rows)
    return {row["uri"].removeprefix("http://h.test"): {**row, "evidence": json.loads(row["evidence"])} for row in rows}


def _documents(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Id and content of each page that the recorded crawl gives as a source."""
    source = RecordedCrawl(folder)
    outcomes = [outcome for unit in source.units() for outcome in source.read(unit)]
    assert all(isinstance(outcome, Record) for outcome in outcomes)
    assert len({outcome.uri for outcome in outcomes}) == len(outcomes)
    assert {outcome.uri.removeprefix("http://h.test") for outcome in outcomes} == {
        uri for uri, row in _ledger(folder).items() if row["verdict"] == "kept"
    }
    return {
        outcome.uri.removeprefix("http://h.test"): (document_id("web", outcome.uri, outcome.content), outcome.content)
        for outcome in outcomes
    }


def _units(folder: Path) -> dict[str, str]:
    return {unit.name: unit.digest for unit in RecordedCrawl(folder).units()}


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def _revisits(folder: Path) -> list[ArchiveRecord]:
    records: list[ArchiveRecord] = []
    for path in sorted((folder / "crawldiagnostics").iterdir()):
        with path.open("rb") as stream:
            records += [item for item in read_archive(stream, 1 << 20) if isinstance(item, ArchiveRecord)]
    return [record for record in records if record.kind == "revisit"]


@pytest.fixture
def small_site(site: LoopbackSite) -> LoopbackSite:
    """Pages with an ETag, with a date, and with neither."""
    site.answers = {
        "/": _page("tagged", "dated", text="front", tag='"f1"'),
        "/tagged": _page("bare", text="a page with a tag", tag='W/"t1"', modified="Mon, 05 Jan 2026 10:00:00 GMT"),
        "/dated": _page(text="a page with a date", modified="Mon, 05 Jan 2026 10:00:00 GMT"),
        "/bare": _page("/deep", text="a page with neither"),
        "/deep": _page(text="found on an unchanged page only", tag='"d1"'),
    }
    return site


def test_unchanged_site_sends_304_only_and_stays_the_same_input(small_site: LoopbackSite, tmp_path: Path) -> None:
    site, out = small_site, tmp_path / "out"
    site.answers["/bare"] = _page("/deep", text="a page with a tag, too", tag='"b1"')
    first = crawl(_config(site), out)
    assert site.statuses() == {200: 5}
    assert first.bytes > 0
    before, units = _documents(out), _units(out)
    site.forget()
    second = crawl(_config(site), out, previous=out)
    assert site.statuses() == {304: 5}
    assert second.bytes == 0
    assert second.update == {"unchanged": 5, "withdrawn": 0}
    assert (second.kept, second.addresses) == (first.kept, first.addresses)
    assert _units(out) == units
    assert _documents(out) == before
    assert {row["id"] for row in _ledger(out).values()} == {document for document, _ in before.values()}
    site.forget()
    third = crawl(_config(site), out, previous=out)
    assert (site.statuses(), third.update) == ({304: 5}, {"unchanged": 5, "withdrawn": 0})
    assert _units(out) == units
    manifest = json.loads((out / "crawl.json").read_text())
    assert manifest["generation"] == 2
    again = crawl(_config(site), out)
    assert again.reused
    assert again.update == third.update


def test_conditions_and_equal_bytes_both_make_revisits(small_site: LoopbackSite, tmp_path: Path) -> None:
    site, out = small_site, tmp_path / "out"
    crawl(_config(site), out)
    stored: dict[str, ArchiveRecord] = {}
    with (out / "warc/warc-00000.warc.gz").open("rb") as stream:
        for item in read_archive(stream, 1 << 20):
            if isinstance(item, ArchiveRecord) and item.kind == "response":
                stored[item.uri] = item
    site.forget()
    summary = crawl(_config(site), out, previous=out)
    assert site.statuses() == {304: 4, 200: 1}
    assert [path for path, status, _ in site.sent if status == 200 and path != "/robots.txt"] == ["/bare"]
    assert summary.bytes == len(site.answers["/bare"].body)  # type: ignore[union-attr]
    assert summary.update == {"unchanged": 5, "withdrawn": 0}
    revisits = {record.uri: record for record in _revisits(out)}
    assert set(revisits) == set(stored)
    for uri, record in revisits.items():
        assert record.headers["warc-refers-to"] == stored[uri].headers["warc-record-id"]
        assert record.headers["warc-refers-to-date"] == stored[uri].headers["warc-date"]
        assert record.headers["warc-refers-to-target-uri"] == uri
        profile = record.headers["warc-profile"].rpartition("/")[2]
        assert profile == ("identical-payload-digest" if uri.endswith("/bare") else "server-not-modified")
        assert record.block is not None
        assert record.block.endswith(b"\r\n\r\n"), "header only"
    assert (
        revisits["http://h.test/bare"].headers["warc-payload-digest"]
        == (stored["http://h.test/bare"].headers["warc-payload-digest"])
    )
    assert not list((out / "warc").glob("warc-g*"))
    for file in sorted(out.glob("*/*.warc.gz")):
        check = subprocess.run([sys.executable, "-m", "warcio.cli", "check", str(file)], capture_output=True, text=True)
        assert check.returncode == 0, check.stdout


def test_only_what_is_new_or_changed_is_fetched_and_stored(small_site: LoopbackSite, tmp_path: Path) -> None:
    site, out = small_site, tmp_path / "out"
    crawl(_config(site, warc_max_bytes=1), out)  # a file a page: what is withdrawn from one leaves the others alone
    before, units = _documents(out), _units(out)
    site.answers["/"] = _page("tagged", "dated", "news", text="front", tag='"f2"')
    site.answers["/news"] = _page(text="a new page", tag='"n1"')
    del site.answers["/dated"]
    site.forget()
    summary = crawl(_config(site, warc_max_bytes=1), out, previous=out)
    assert sorted((path, status) for path, status, _ in site.sent if path != "/robots.txt") == [
        ("/", 200), ("/bare", 200), ("/dated", 404), ("/deep", 304), ("/news", 200), ("/tagged", 304),
    ]  # fmt: skip
    assert summary.update == {"changed": 1, "new": 1, "unchanged": 3, "withdrawn": 2}
    rows = _ledger(out)
    assert (rows["/dated"]["verdict"], rows["/dated"]["reason"]) == ("dropped", "gone")
    assert rows["/dated"]["id"] == before["/dated"][0]
    assert rows["/dated"]["evidence"]["status"] == 404
    assert rows["/"]["evidence"]["supersedes"] == before["/"][0]
    after = _documents(out)
    assert set(after) == {"/", "/tagged", "/bare", "/deep", "/news"}
    assert {path for path in after if before.get(path) != after[path]} == {"/", "/news"}
    assert b"news" in after["/"][1]
    new_units = _units(out)
    changed = {name for name in units if new_units[name] != units[name]}
    assert len(changed) == 2, "the files of the changed page and of the page that is gone"
    assert {name for name in new_units if name not in units} == {
        "warc-g001-00000.warc.gz", "warc-g001-00001.warc.gz",
    }  # fmt: skip
    # Once more: nothing is asked of what is gone, and the changed page is the one that stands.
    site.forget()
    third = crawl(_config(site, warc_max_bytes=1), out, previous=out)
    assert third.update == {"unchanged": 5, "withdrawn": 0}
    assert "/dated" in site.paths(), "the front page still links to it"
    assert _ledger(out)["/dated"]["reason"] == "http-status"
    assert _units(out) == new_units
    assert _documents(out) == after


def test_a_page_that_comes_back_as_it_was_is_stored_again(small_site: LoopbackSite, tmp_path: Path) -> None:
    site, out = small_site, tmp_path / "out"
    first_version, second_version = site.answers["/"], _page("tagged", "dated", text="another front", tag='"f2"')
    crawl(_config(site), out)
    before = _documents(out)
    for answer in (second_version, first_version):
        site.answers["/"] = answer
        summary = crawl(_config(site), out, previous=out)
        assert summary.update == {"changed": 1, "unchanged": 4, "withdrawn": 1}
    assert _documents(out) == before
    assert [len(file.get("withdrawn", [])) for file in json.loads((out / "crawl.json").read_text())["files"]
            if file["path"].startswith("warc/")] == [1, 1, 0]  # fmt: skip


def _no_page(answer: Answer) -> Callable[[LoopbackSite], None]:
    def apply(site: LoopbackSite) -> None:
        site.answers["/tagged"] = answer

    return apply


def _robots(text: bytes) -> Callable[[LoopbackSite], None]:
    def apply(site: LoopbackSite) -> None:
        site.answers["/robots.txt"] = _script().Answer(text, 200, {"Content-Type": "text/plain"})

    return apply


def _answer(*fields: Any) -> Answer:
    return _script().Answer(*fields)


@pytest.mark.parametrize(
    ("change", "verdict", "reason"),
    [
        (lambda: _no_page(_answer(b"", 410)), "dropped", "gone"),
        (lambda: _no_page(_answer(b"", 403)), "failed", "http-status"),
        (lambda: _no_page(_answer(b"", 301, {"Location": "/dated"})), "dropped", "redirected"),
        (lambda: _no_page(_answer(b"%PDF", 200, {"Content-Type": "application/pdf"})), "dropped", "not-html"),
        (lambda: _no_page(_answer(b"<p>" * 9000)), "failed", "too-large"),
        (lambda: _robots(b"User-agent: *\nDisallow: /tagged\n"), "dropped", "robots-refused"),
    ],
    ids=["gone", "forbidden", "moved", "other-type", "too-large", "robots"],
)
def test_what_the_site_no_longer_gives_is_withdrawn(
    small_site: LoopbackSite, tmp_path: Path, change: Callable[[], Any], verdict: str, reason: str
) -> None:
    site, out = small_site, tmp_path / "out"
    crawl(_config(site, max_body_bytes=20_000), out)
    before = _documents(out)
    change()(site)
    summary = crawl(_config(site, max_body_bytes=20_000), out, previous=out)
    row = _ledger(out)["/tagged"]
    assert (row["verdict"], row["reason"], row["id"]) == (verdict, reason, before["/tagged"][0])
    assert row["evidence"]["withdrawn"].startswith("warc/warc-00000.warc.gz#offset=")
    assert summary.update == {"unchanged": 4, "withdrawn": 1}, "/bare is linked from nowhere else, and asked for"
    after = _documents(out)
    assert after == {path: page for path, page in before.items() if path != "/tagged"}
    (file,) = (file for file in json.loads((out / "crawl.json").read_text())["files"] if "withdrawn" in file)
    assert [(record["uri"], record["reason"]) for record in file["withdrawn"]] == [("http://h.test/tagged", reason)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda: _no_page(_answer(b"", 503)), "http-status"),
        (lambda: _no_page(_answer(b"", 429)), "http-status"),
        (lambda: _no_page(_answer(b"<p>slow", 200, {"Content-Type": HTML}, 3.0)), "timeout"),
        (lambda: _no_page(_answer(b"<p>cut", 200, {"Content-Type": HTML}, 0.0, 900)), "bad-http"),
        (lambda: lambda site: site.answers.update({"/robots.txt": _answer(b"", 503)}), "robots-unreachable"),
        (lambda: _robots(b"User-agent: *\nCrawl-delay: 900\n"), "crawl-delay-too-long"),
    ],
    ids=["error", "too-many", "timeout", "cut-off", "robots", "crawl-delay"],
)
def test_what_cannot_be_asked_for_stands_as_it_was_stored(
    small_site: LoopbackSite, tmp_path: Path, change: Callable[[], Any], reason: str
) -> None:
    site, out = small_site, tmp_path / "out"
    crawl(_config(site, timeout=1.0), out)
    before, units = _documents(out), _units(out)
    change()(site)
    summary = crawl(_config(site, timeout=1.0), out, previous=out)
    row = _ledger(out)["/tagged"]
    assert (row["verdict"], row["evidence"]["not_refreshed"]) == ("kept", reason)
    assert summary.update["not-refreshed"] == (5 if "robots" in reason or "delay" in reason else 1)
    assert _documents(out) == before
    assert _units(out) == units


def test_other_rights_are_another_page(small_site: LoopbackSite, tmp_path: Path) -> None:
    site, out = small_site, tmp_path / "out"
    crawl(_config(site), out)
    site.answers["/bare"] = _page("/deep", text="a page with neither", X_Robots_Tag="noai")
    deep = _page(text="found on an unchanged page only", tag='"d1"', X_Robots_Tag="noai")
    deep.not_modified = {"X-Robots-Tag": "noai"}
    asked: list[int] = []

    def answer(_: int) -> Answer:
        asked.append(1)
        return deep

    site.answers["/deep"] = answer
    summary = crawl(_config(site), out, previous=out)
    assert summary.update == {"changed": 2, "unchanged": 3, "withdrawn": 2}
    assert len(asked) == 2, "once on condition, then for the whole answer"
    source = RecordedCrawl(out)
    noted = {
        outcome.uri: outcome.rights.x_robots_tag
        for unit in source.units()
        for outcome in source.read(unit)
        if isinstance(outcome, Record)
    }
    assert noted["http://h.test/bare"] == noted["http://h.test/deep"] == "noai"
    assert noted["http://h.test/"] is None


def test_budget_leaves_stored_pages_standing(small_site: LoopbackSite, tmp_path: Path) -> None:
    site, out = small_site, tmp_path / "out"
    crawl(_config(site), out)
    before = _documents(out)
    site.forget()
    summary = crawl(_config(site, max_pages=2), out, previous=out)
    assert summary.update == {"not-refreshed": 3, "unchanged": 2, "withdrawn": 0}
    assert sum(site.statuses().values()) == 2
    assert _documents(out) == before


class _Interrupted(Exception):
    pass


def test_interrupted_update_leaves_the_generation_before_it(small_site: LoopbackSite, tmp_path: Path) -> None:
    site, out = small_site, tmp_path / "out"
    crawl(_config(site), out)
    before, documents = _files(out), _documents(out)
    site.answers["/"] = _page("tagged", "dated", "news", text="front", tag='"f2"')
    site.answers["/news"] = _page(text="a new page", tag='"n1"')

    def interrupt(now: Any) -> None:
        if now.kept == 2:
            raise _Interrupted

    with pytest.raises(ExceptionGroup) as caught:
        crawl(_config(site), out, interrupt, previous=out)
    assert caught.group_contains(_Interrupted)
    left = _files(out)
    assert {name: left[name] for name in before} == before
    assert set(left) > set(before), "it had begun to write"
    assert _documents(out) == documents
    for name in ("warc/warc-g001-00007.warc.gz", "warc/warc-g001-00008.warc.gz.open"):  # of an update that came further
        (out / name).write_bytes(b"left")
    crawl(_config(site), out, previous=out)
    assert not [name for name in _files(out) if name.endswith(".open")]
    assert set(_documents(out)) == {*documents, "/news"}
    names = {file["path"] for file in json.loads((out / "crawl.json").read_text())["files"]}
    assert {name for name in _files(out) if name.endswith(".warc.gz")} == names


def test_update_into_another_folder_leaves_the_first_alone(small_site: LoopbackSite, tmp_path: Path) -> None:
    site, first, second = small_site, tmp_path / "first", tmp_path / "second"
    crawl(_config(site), first)
    before, units = _files(first), _units(first)
    site.answers["/dated"] = _page(text="changed", modified="Tue, 06 Jan 2026 10:00:00 GMT")
    summary = crawl(_config(site), second, previous=first)
    assert summary.update == {"changed": 1, "unchanged": 4, "withdrawn": 1}
    assert _files(first) == before
    assert _units(first) == units
    old, new = first / "warc/warc-00000.warc.gz", second / "warc/warc-00000.warc.gz"
    assert old.stat().st_ino == new.stat().st_ino
    assert b"changed" in _documents(second)["/dated"][1]


def test_what_update_needs(small_site: LoopbackSite, tmp_path: Path) -> None:
    site = small_site
    with pytest.raises(CrawlError, match="no finished crawl here"):
        crawl(_config(site), tmp_path / "out", previous=tmp_path / "none")
    out = tmp_path / "fresh"
    summary: CrawlSummary = crawl(_config(site), out, previous=out)
    assert (summary.kept, summary.update) == (5, {}), "nothing to update: a first crawl"
    with lock(out, "another crawl"), pytest.raises(RunLocked, match="another crawl"):
        crawl(_config(site), out, previous=out)
    (out / "warc/warc-00000.warc.gz").unlink()
    with pytest.raises(CrawlError, match="missing"):
        crawl(_config(site), out, previous=out)


def test_folders_of_the_first_format_are_read_and_updated(small_site: LoopbackSite, tmp_path: Path) -> None:
    site, out = small_site, tmp_path / "out"
    crawl(_config(site), out)
    manifest = json.loads((out / "crawl.json").read_text())
    manifest["format"] = "pomona-crawl/1"
    del manifest["generation"], manifest["update"]
    (out / "crawl.json").write_text(json.dumps(manifest))
    assert crawl(_config(site), out).reused
    before = _documents(out)
    assert crawl(_config(site), out, previous=out).update == {"unchanged": 5, "withdrawn": 0}
    assert _documents(out) == before
    (out / "crawl.json").write_text('{"format": "pomona-crawl/9"}')
    with pytest.raises(ValueError, match="expected 'pomona-crawl/1' or 'pomona-crawl/2'"):
        RecordedCrawl(out).units()


def test_long_files_of_a_crawl_are_several_units(small_site: LoopbackSite, tmp_path: Path) -> None:
    out = tmp_path / "out"
    crawl(_config(small_site), out)
    whole, split = RecordedCrawl(out), RecordedCrawl(out, split_bytes=1000)
    units = split.units()
    assert len(units) > len(whole.units()) == 1
    assert [outcome for unit in units for outcome in split.read(unit)] == list(whole.read(whole.units()[0]))


def test_sample_site_without_conditions_is_the_same_input_again(
    pydoc_crawl: CrawlSummary, pydoc_config: CrawlConfig, tmp_path: Path
) -> None:
    """pydoc sends neither ETag nor a date: every page is fetched, compared, and stands."""
    summary = crawl(pydoc_config, tmp_path / "again", previous=pydoc_crawl.folder)
    assert summary.update["unchanged"] == summary.kept == pydoc_crawl.kept
    assert _units(tmp_path / "again") == _units(pydoc_crawl.folder)
