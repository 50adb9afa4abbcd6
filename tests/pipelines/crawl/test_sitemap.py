from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.crawl.crawler import CrawlConfig, crawl
from pipelines.crawl.sitemap import MAX_BYTES, MAX_URLS, parse

if TYPE_CHECKING:
    from .conftest import LoopbackSite

NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def _urlset(*entries: str) -> bytes:
    inner = "".join(f"<url>{entry}</url>" for entry in entries)
    return f'<?xml version="1.0" encoding="UTF-8"?><urlset {NAMESPACE}>{inner}</urlset>'.encode()


def _index(*links: str) -> bytes:
    inner = "".join(f"<sitemap><loc>{link}</loc></sitemap>" for link in links)
    return f"<sitemapindex {NAMESPACE}>{inner}</sitemapindex>".encode()


def test_addresses_with_their_dates() -> None:
    body = _urlset(
        "<loc> http://h.test/a?x=1&amp;y=2 </loc><lastmod>2026-01-02T03:04:05Z</lastmod><priority>1</priority>",
        "<loc>HTTP://H.test/b#c</loc>",
        "<loc>mailto:a@b.test</loc>",
        "<loc>http://h.test/s?PHPSESSID=1</loc>",
        "<image:image xmlns:image='i'><image:loc>http://h.test/i.png</image:loc></image:image><loc>http://h.test/c</loc>",
    )
    expected = {
        "http://h.test/a?x=1&y=2": "2026-01-02T03:04:05Z", "http://h.test/b": "", "http://h.test/s": "",
        "http://h.test/c": "",
    }  # fmt: skip
    for packed in (body, gzip.compress(body)):
        found = parse(packed)
        assert (found.urls, found.sitemaps, found.error) == (expected, [], "")
    assert parse(_index("http://h.test/1.xml", "http://h.test/2.xml.gz")).sitemaps == [
        "http://h.test/1.xml", "http://h.test/2.xml.gz",
    ]  # fmt: skip
    assert list(parse(b"\xef\xbb\xbfhttp://h.test/a\r\n\nno address\nhttp://h.test/b\n").urls) == [
        "http://h.test/a", "http://h.test/b",
    ]  # fmt: skip


def test_what_stands_before_an_error_is_kept() -> None:
    found = parse(_urlset("<loc>http://h.test/a</loc>")[:-9] + b"<url><loc>http://h.test/b&broken")
    assert list(found.urls) == ["http://h.test/a"]
    assert found.error.startswith("not well-formed")
    assert parse(gzip.compress(b"<urlset>" + b" " * 1000)[:-9]).error.startswith("undecodable-content")


def test_limits() -> None:
    many = _urlset(*(f"<loc>http://h.test/{number}</loc>" for number in range(MAX_URLS + 10)))
    found = parse(many)
    assert len(found.urls) == MAX_URLS
    assert "the rest was not read" in found.error
    bomb = parse(gzip.compress(b"<urlset>" + b" " * (MAX_BYTES + 10)))
    assert bomb.error.startswith(("too-large", "decompression-bomb"))
    assert not bomb.urls


def test_no_entity_is_resolved(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("http://h.test/secret")
    body = f'<!DOCTYPE u [<!ENTITY s SYSTEM "{secret.as_uri()}"><!ENTITY l "http://h.test/l">]>'.encode()
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "http://h.test/laugh"}">' for n in range(12))
    for document in (
        body + b"<urlset><url><loc>&s;</loc></url></urlset>",
        f"<!DOCTYPE u [{laughs}]><urlset><url><loc>&l11;</loc></url></urlset>".encode(),
    ):
        assert not any("secret" in url or "laugh" in url for url in parse(document).urls)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text('<>/urlsetloc"&;= hp:', max_size=200).map(str.encode)))
def test_never_raises(body: bytes) -> None:
    parse(body)
    parse(b"<urlset>" + body)


def _config(site: LoopbackSite, **fields: Any) -> CrawlConfig:
    values: dict[str, Any] = {
        "seeds": ["http://h.test/"], "delay": 0.0, "adaptive_delay": 0.0, "tdmrep": False, "timeout": 5.0,
        "connect_to": dict.fromkeys(("h.test", "two.test"), site.address), "max_retries": 0,
    }  # fmt: skip
    return CrawlConfig.model_validate({**values, **fields})


@pytest.fixture
def mapped(site: LoopbackSite) -> LoopbackSite:
    from .conftest import Answer, page

    xml = {"Content-Type": "application/xml"}
    robots = (
        b"User-agent: *\nDisallow: /private\nSitemap: http://h.test/index.xml\nSitemap: http://two.test/away.xml\n"
        b"Sitemap: http://h.test/private.xml\nSitemap: nonsense\n"
    )
    entries = ["<loc>http://h.test/new</loc><lastmod>2026-02-03</lastmod>", "<loc>http://two.test/x</loc>",
               "<loc>http://h.test/private/y</loc>"]  # fmt: skip
    packed = {"Content-Type": "application/gzip"}
    site.answers = {
        "/robots.txt": Answer(robots, 200, {"Content-Type": "text/plain"}),
        "/": page("/linked"),
        "/linked": page(),
        "/new": page(),
        "/other": page(),
        # The index names itself, a moved file, a missing one, and one file twice.
        "/index.xml": Answer(
            _index("http://h.test/a.xml.gz", "http://h.test/index.xml", "http://h.test/moved.xml",
                   "http://h.test/none.xml", "http://h.test/a.xml.gz"), 200, xml),
        "/a.xml.gz": Answer(gzip.compress(_urlset(*entries)), 200, packed),
        "/moved.xml": Answer(b"", 301, {"Location": "/b.xml"}),
        "/b.xml": Answer(_urlset("<loc>http://h.test/other</loc>"), 200, xml),
        "/sitemap.xml": Answer(_urlset("<loc>http://h.test/well-known</loc>"), 200, xml),
        "/well-known": page(),
    }  # fmt: skip
    return site


def _rows(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["uri"]: row for row in pq.read_table(folder / "ledger.parquet").to_pylist()}


def test_sitemaps_of_robots_are_followed(mapped: LoopbackSite, tmp_path: Path) -> None:
    crawl(_config(mapped), tmp_path / "out")
    rows = _rows(tmp_path / "out")
    assert {url.removeprefix("http://h.test") for url, row in rows.items() if row["verdict"] == "kept"} == {
        "/", "/linked", "/new", "/other",
    }  # fmt: skip
    assert rows["http://h.test/private/y"]["reason"] == "robots-refused"
    new = json.loads(rows["http://h.test/new"]["evidence"])
    assert (new["lastmod"], new["found_on"], new["depth"]) == ("2026-02-03", "http://h.test/a.xml.gz", 1)
    asked = {path: mapped.paths().count(path) for path in ("/index.xml", "/a.xml.gz", "/private.xml", "/away.xml")}
    assert asked == {"/index.xml": 1, "/a.xml.gz": 1, "/private.xml": 0, "/away.xml": 0}
    manifest = json.loads((tmp_path / "out/crawl.json").read_text())
    assert {url: said["status"] for url, said in manifest["sitemaps"].items()} == {
        "http://h.test/index.xml": "200", "http://h.test/a.xml.gz": "200", "http://h.test/moved.xml": "200",
        "http://h.test/none.xml": "404", "http://two.test/away.xml": "other-host",
        "http://h.test/private.xml": "robots-refused",
    }  # fmt: skip
    assert manifest["sitemaps"]["http://h.test/a.xml.gz"]["urls"] == 3
    assert manifest["links_out_of_scope"] == 1


def test_well_known_and_off(mapped: LoopbackSite, tmp_path: Path) -> None:
    crawl(_config(mapped, sitemaps="well-known"), tmp_path / "known")
    assert _rows(tmp_path / "known")["http://h.test/well-known"]["verdict"] == "kept"
    mapped.forget()
    crawl(_config(mapped, sitemaps="off"), tmp_path / "off")
    assert set(_rows(tmp_path / "off")) == {"http://h.test/", "http://h.test/linked"}
    assert not any(path.endswith((".xml", ".gz")) for path in mapped.paths())


def test_files_and_addresses_are_bounded(mapped: LoopbackSite, tmp_path: Path) -> None:
    from .conftest import Answer

    def endless(count: int) -> Any:
        children = [f"http://h.test/map{number}.xml" for number in range(1000)]
        return Answer(_index(*children), 200, {"Content-Type": "text/xml"})

    for number in range(1000):
        mapped.answers[f"/map{number}.xml"] = endless
    mapped.answers["/index.xml"] = endless
    mapped.answers["/map1.xml"] = Answer(_urlset(*(f"<loc>http://h.test/u{n}</loc>" for n in range(30))))
    summary = crawl(_config(mapped, max_sitemaps=9, max_sitemap_urls=7, max_pages=5), tmp_path / "out")
    assert sum(path.startswith("/map") or path == "/index.xml" for path in mapped.paths()) <= 9
    assert summary.addresses == 2 + 7
    assert json.loads((tmp_path / "out/crawl.json").read_text())["links_left"] == {"beyond-sitemap-limit": 23}
