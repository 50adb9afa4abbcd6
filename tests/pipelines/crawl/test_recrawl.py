from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.crawl.crawler import CrawlConfig, CrawlError, CrawlSummary, crawl
from pipelines.sources.archive import ArchiveRecord, read_archive
from pipelines.sources.crawl import RecordedCrawl
from pipelines.sources.record import Record
from pipelines.storage import RunLocked, lock
from tests.pipelines.crawl import recrawled

if TYPE_CHECKING:
    from .conftest import Answer, LoopbackSite


def test_unchanged_site_sends_304_only_and_stays_the_same_input(small_site: LoopbackSite, tmp_path: Path) -> None:
    site, out = small_site, tmp_path / "out"
    site.answers["/bare"] = recrawled.page("/deep", text="a page with a tag, too", tag='"b1"')
    first = crawl(recrawled.config(site), out)
    assert site.statuses() == {200: 5}
    assert first.bytes > 0
    before, units = recrawled.documents(out), recrawled.units(out)
    site.forget()
    second = crawl(recrawled.config(site), out, previous=out)
    assert site.statuses() == {304: 5}
    assert second.bytes == 0
    assert second.update == {"unchanged": 5, "withdrawn": 0}
    assert (second.kept, second.addresses) == (first.kept, first.addresses)
    assert recrawled.units(out) == units
    assert recrawled.documents(out) == before
    assert {row["id"] for row in recrawled.ledger(out).values()} == {document for document, _ in before.values()}
    site.forget()
    third = crawl(recrawled.config(site), out, previous=out)
    assert (site.statuses(), third.update) == ({304: 5}, {"unchanged": 5, "withdrawn": 0})
    assert recrawled.units(out) == units
    manifest = json.loads((out / "crawl.json").read_text())
    assert manifest["generation"] == 2
    again = crawl(recrawled.config(site), out)
    assert again.reused
    assert again.update == third.update


def test_conditions_and_equal_bytes_both_make_revisits(small_site: LoopbackSite, tmp_path: Path) -> None:
    site, out = small_site, tmp_path / "out"
    crawl(recrawled.config(site), out)
    stored: dict[str, ArchiveRecord] = {}
    with (out / "warc/warc-00000.warc.gz").open("rb") as stream:
        for item in read_archive(stream, 1 << 20):
            if isinstance(item, ArchiveRecord) and item.kind == "response":
                stored[item.uri] = item
    site.forget()
    summary = crawl(recrawled.config(site), out, previous=out)
    assert site.statuses() == {304: 4, 200: 1}
    assert [path for path, status, _ in site.sent if status == 200 and path != "/robots.txt"] == ["/bare"]
    assert summary.bytes == len(site.answers["/bare"].body)  # type: ignore[union-attr]
    assert summary.update == {"unchanged": 5, "withdrawn": 0}
    revisits = {record.uri: record for record in recrawled.revisits(out)}
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
    crawl(
        recrawled.config(site, warc_max_bytes=1), out
    )  # a file a page: what is withdrawn from one leaves the others alone
    before, units = recrawled.documents(out), recrawled.units(out)
    site.answers["/"] = recrawled.page("tagged", "dated", "news", text="front", tag='"f2"')
    site.answers["/news"] = recrawled.page(text="a new page", tag='"n1"')
    del site.answers["/dated"]
    site.forget()
    summary = crawl(recrawled.config(site, warc_max_bytes=1), out, previous=out)
    assert sorted((path, status) for path, status, _ in site.sent if path != "/robots.txt") == [
        ("/", 200), ("/bare", 200), ("/dated", 404), ("/deep", 304), ("/news", 200), ("/tagged", 304),
    ]  # fmt: skip
    assert summary.update == {"changed": 1, "new": 1, "unchanged": 3, "withdrawn": 2}
    rows = recrawled.ledger(out)
    assert (rows["/dated"]["verdict"], rows["/dated"]["reason"]) == ("dropped", "gone")
    assert rows["/dated"]["id"] == before["/dated"][0]
    assert rows["/dated"]["evidence"]["status"] == 404
    assert rows["/"]["evidence"]["supersedes"] == before["/"][0]
    after = recrawled.documents(out)
    assert set(after) == {"/", "/tagged", "/bare", "/deep", "/news"}
    assert {path for path in after if before.get(path) != after[path]} == {"/", "/news"}
    assert b"news" in after["/"][1]
    new_units = recrawled.units(out)
    changed = {name for name in units if new_units[name] != units[name]}
    assert len(changed) == 2, "the files of the changed page and of the page that is gone"
    assert {name for name in new_units if name not in units} == {
        "warc-g001-00000.warc.gz", "warc-g001-00001.warc.gz",
    }  # fmt: skip
    # Once more: nothing is asked of what is gone, and the changed page is the one that stands.
    site.forget()
    third = crawl(recrawled.config(site, warc_max_bytes=1), out, previous=out)
    assert third.update == {"unchanged": 5, "withdrawn": 0}
    assert "/dated" in site.paths(), "the front page still links to it"
    assert recrawled.ledger(out)["/dated"]["reason"] == "http-status"
    assert recrawled.units(out) == new_units
    assert recrawled.documents(out) == after


def test_a_page_that_comes_back_as_it_was_is_stored_again(small_site: LoopbackSite, tmp_path: Path) -> None:
    site, out = small_site, tmp_path / "out"
    first_version, second_version = (
        site.answers["/"],
        recrawled.page("tagged", "dated", text="another front", tag='"f2"'),
    )
    crawl(recrawled.config(site), out)
    before = recrawled.documents(out)
    for answer in (second_version, first_version):
        site.answers["/"] = answer
        summary = crawl(recrawled.config(site), out, previous=out)
        assert summary.update == {"changed": 1, "unchanged": 4, "withdrawn": 1}
    assert recrawled.documents(out) == before
    assert [len(file.get("withdrawn", [])) for file in json.loads((out / "crawl.json").read_text())["files"]
            if file["path"].startswith("warc/")] == [1, 1, 0]  # fmt: skip


def test_other_rights_are_another_page(small_site: LoopbackSite, tmp_path: Path) -> None:
    site, out = small_site, tmp_path / "out"
    crawl(recrawled.config(site), out)
    site.answers["/bare"] = recrawled.page("/deep", text="a page with neither", X_Robots_Tag="noai")
    deep = recrawled.page(text="found on an unchanged page only", tag='"d1"', X_Robots_Tag="noai")
    deep.not_modified = {"X-Robots-Tag": "noai"}
    asked: list[int] = []

    def answer(_: int) -> Answer:
        asked.append(1)
        return deep

    site.answers["/deep"] = answer
    summary = crawl(recrawled.config(site), out, previous=out)
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
    crawl(recrawled.config(site), out)
    before = recrawled.documents(out)
    site.forget()
    summary = crawl(recrawled.config(site, max_pages=2), out, previous=out)
    assert summary.update == {"not-refreshed": 3, "unchanged": 2, "withdrawn": 0}
    assert sum(site.statuses().values()) == 2
    assert recrawled.documents(out) == before


class _Interrupted(Exception):
    pass


def test_interrupted_update_leaves_the_generation_before_it(small_site: LoopbackSite, tmp_path: Path) -> None:
    site, out = small_site, tmp_path / "out"
    crawl(recrawled.config(site), out)
    before, documents = recrawled.files(out), recrawled.documents(out)
    site.answers["/"] = recrawled.page("tagged", "dated", "news", text="front", tag='"f2"')
    site.answers["/news"] = recrawled.page(text="a new page", tag='"n1"')

    def interrupt(now: Any) -> None:
        if now.kept == 2:
            raise _Interrupted

    with pytest.raises(ExceptionGroup) as caught:
        crawl(recrawled.config(site), out, interrupt, previous=out)
    assert caught.group_contains(_Interrupted)
    left = recrawled.files(out)
    assert {name: left[name] for name in before} == before
    assert set(left) > set(before), "it had begun to write"
    assert recrawled.documents(out) == documents
    for name in ("warc/warc-g001-00007.warc.gz", "warc/warc-g001-00008.warc.gz.open"):  # of an update that came further
        (out / name).write_bytes(b"left")
    crawl(recrawled.config(site), out, previous=out)
    assert not [name for name in recrawled.files(out) if name.endswith(".open")]
    assert set(recrawled.documents(out)) == {*documents, "/news"}
    names = {file["path"] for file in json.loads((out / "crawl.json").read_text())["files"]}
    assert {name for name in recrawled.files(out) if name.endswith(".warc.gz")} == names


def test_update_into_another_folder_leaves_the_first_alone(small_site: LoopbackSite, tmp_path: Path) -> None:
    site, first, second = small_site, tmp_path / "first", tmp_path / "second"
    crawl(recrawled.config(site), first)
    before, units = recrawled.files(first), recrawled.units(first)
    site.answers["/dated"] = recrawled.page(text="changed", modified="Tue, 06 Jan 2026 10:00:00 GMT")
    summary = crawl(recrawled.config(site), second, previous=first)
    assert summary.update == {"changed": 1, "unchanged": 4, "withdrawn": 1}
    assert recrawled.files(first) == before
    assert recrawled.units(first) == units
    old, new = first / "warc/warc-00000.warc.gz", second / "warc/warc-00000.warc.gz"
    assert old.stat().st_ino == new.stat().st_ino
    assert b"changed" in recrawled.documents(second)["/dated"][1]


def test_what_update_needs(small_site: LoopbackSite, tmp_path: Path) -> None:
    site = small_site
    with pytest.raises(CrawlError, match="no finished crawl here"):
        crawl(recrawled.config(site), tmp_path / "out", previous=tmp_path / "none")
    out = tmp_path / "fresh"
    summary: CrawlSummary = crawl(recrawled.config(site), out, previous=out)
    assert (summary.kept, summary.update) == (5, {}), "nothing to update: a first crawl"
    with lock(out, "another crawl"), pytest.raises(RunLocked, match="another crawl"):
        crawl(recrawled.config(site), out, previous=out)
    (out / "warc/warc-00000.warc.gz").unlink()
    with pytest.raises(CrawlError, match="missing"):
        crawl(recrawled.config(site), out, previous=out)


def test_folders_of_the_first_format_are_read_and_updated(small_site: LoopbackSite, tmp_path: Path) -> None:
    site, out = small_site, tmp_path / "out"
    crawl(recrawled.config(site), out)
    manifest = json.loads((out / "crawl.json").read_text())
    manifest["format"] = "pomona-crawl/1"
    del manifest["generation"], manifest["update"]
    (out / "crawl.json").write_text(json.dumps(manifest))
    assert crawl(recrawled.config(site), out).reused
    before = recrawled.documents(out)
    assert crawl(recrawled.config(site), out, previous=out).update == {"unchanged": 5, "withdrawn": 0}
    assert recrawled.documents(out) == before
    (out / "crawl.json").write_text('{"format": "pomona-crawl/9"}')
    with pytest.raises(ValueError, match="expected 'pomona-crawl/1' or 'pomona-crawl/2'"):
        RecordedCrawl(out).units()


def test_long_files_of_a_crawl_are_several_units(small_site: LoopbackSite, tmp_path: Path) -> None:
    out = tmp_path / "out"
    crawl(recrawled.config(small_site), out)
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
    assert recrawled.units(tmp_path / "again") == recrawled.units(pydoc_crawl.folder)
