from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.crawl.errors import CrawlError
from pipelines.crawl.frontier import SITEMAPS, Frontier, Target, found, sift
from pipelines.crawl.journal import Journal
from pipelines.crawl.links import links_in_header, read_page
from pipelines.crawl.scope import Scope
from pipelines.crawl.url import PageLinks, host_of, normalise, origin_of, resolve, without_session


def links(html: bytes, url: str, limit: int) -> list[str]:
    return read_page(html, url, limit).links


def test_links_in_order_once_each() -> None:
    html = b'<a href="b.html">b</a><a href="/a#x">a</a><a href="b.html">again</a><area href="c"><a href="mailto:x@y">'
    assert links(html, "http://h.test/d/", 10) == ["http://h.test/d/b.html", "http://h.test/a", "http://h.test/d/c"]
    assert links(html, "http://h.test/d/", 2) == ["http://h.test/d/b.html", "http://h.test/a"]


def test_base_and_nofollow() -> None:
    assert links(b'<base href="/x/"><a href="y">y</a>', "http://h.test/d/", 10) == ["http://h.test/x/y"]
    assert links(b'<a href="y" rel="noopener NoFollow">y</a><a href="z">z</a>', "http://h.test/", 10) == [
        "http://h.test/z"
    ]
    assert links(b'<meta name="Robots" content="noindex, NOFOLLOW"><a href="y">y</a>', "http://h.test/", 10) == []


def test_what_cannot_be_parsed_has_no_links() -> None:
    for html in (b"", b"\0\0\0", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), b"<div>" * 100_000):
        assert links(html, "http://h.test/", 10) == []


def test_canonical_address() -> None:
    def named(html: bytes, url: str = "http://h.test/a/b.html") -> str | None:
        return read_page(html, url, 10).canonical

    assert named(b'<link rel=canonical href="/c">') == "http://h.test/c"
    assert named(b'<base href="/x/"><link rel="Canonical" href="c">') == "http://h.test/x/c"
    assert named(b'<link rel=canonical href="/a/b.html#top">') is None, "its own"
    assert named(b'<link rel=canonical href="https://other.test/c">') is None, "another host's"
    assert named(b'<link rel=canonical href="/">') is None, "a template that names the front on every page"
    assert named(b'<link rel=canonical href="/">', "http://h.test/index.html?x=1") == "http://h.test/"
    assert named(b'<link rel=canonical href="/">', "http://h.test/?utm=1") == "http://h.test/"


def test_link_header() -> None:
    field = '<https://a.test/l>; rel="license", </c>; title="a, b"; rel=canonical, <d>; rel="next Canonical"'
    assert links_in_header(field, "canonical") == ["/c", "d"]
    assert links_in_header(field, "license") == ["https://a.test/l"]
    assert links_in_header(None, "license") == links_in_header("<<<>;rel", "license") == []
    assert links_in_header("<a>" + ";" * 100_000 + " " * 100_000, "license") == []


def test_session_identifiers_are_left_out() -> None:
    html = b'<a href="p;jsessionid=1A2B?x=1">1</a><a href="/q?PHPSESSID=f00&amp;y=2">2</a><a href="r?sid=1">3</a>'
    assert links(html, "http://h.test/", 10) == ["http://h.test/p?x=1", "http://h.test/q?y=2", "http://h.test/r?sid=1"]


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text("abA1.-_~/#?%:é ;=&", max_size=20),
        st.text("abA1.-_~/#?:", max_size=20).map("https://".__add__),
        st.text("aA1.-_~/#?:", max_size=20).map("http://a.test/".__add__),
    ),
    st.sampled_from(
        ["http://h.test/", "http://h.test/d/e.html", "https://h.test:8443/d/?q=a/b", "http://h.test/a;b/c",
         "http://h.test/a/b/c/d?e=../f"]
    ),
    st.integers(0, 5),
)  # fmt: skip
def test_quick_resolving_is_resolving(link: str, base: str, up: int) -> None:
    quick = PageLinks(base)
    for one in (link, "../" * up + link):
        slow = resolve(base, one)
        assert quick.resolve(one) == (None if slow is None else without_session(slow))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text("aA1./#%: ", max_size=6), max_size=12), st.integers(0, 8))
def test_a_link_met_before_changes_nothing(hrefs: list[str], limit: int) -> None:
    slow = [resolve("http://h.test/a/b", href) for href in hrefs if href]
    html = "".join(f"<a href='{href}'>x</a>" for href in hrefs)
    assert links(html.encode(), "http://h.test/a/b", limit) == list(dict.fromkeys(url for url in slow if url))[:limit]


@given(
    st.text("aé%2F./?=&[]~", max_size=20), st.sampled_from(["http://a.test", "https://b-c.test:81", "http://[::1]:8"])
)
def test_origin_and_host_of_an_address(path: str, origin: str) -> None:
    url = normalise(f"{origin}/{path}")
    assert url is not None
    assert host_of(url) == urlsplit(url).hostname
    assert origin_of(url) == origin


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "frontier/crawl.sqlite")
    yield opened
    opened.close()


def _level(frontier: Frontier) -> list[str]:
    return [one.target.url for one in frontier.level()]


def test_frontier_is_breadth_first_in_order_of_discovery(journal: Journal) -> None:
    frontier = Frontier(journal, Scope(["h.test"]), max_depth=1)
    assert frontier.add(Target("http://h.test/1", 0))
    assert frontier.add(Target("http://h.test/2", 0))
    assert not frontier.add(Target("http://h.test/1", 0))
    assert _level(frontier) == ["http://h.test/1", "http://h.test/2"]
    scope = Scope(["h.test"])
    kept, left = sift(["http://other.test/", "http://h.test/3", "http://h.test/a/a/a"], scope, frontier.remembers)
    assert (kept, left) == (["http://h.test/3"], {"out-of-scope": 1, "path-repeats": 1})
    journal.put_found(2, found(kept, 1, "http://h.test/2", left))
    journal.put_found(1, found(["http://h.test/4", "http://h.test/2"], 1, "http://h.test/1", {}))
    journal.put_found(SITEMAPS, found(["http://h.test/5"], 2, "http://h.test/map", {}))
    frontier.advance()
    assert _level(frontier) == ["http://h.test/4", "http://h.test/3"], "the order of the pages, not of their answers"
    frontier.advance()
    assert not frontier.more()
    assert [journal.count(f"left:{reason}") for reason in ("out-of-scope", "path-repeats", "too-deep")] == [1, 1, 1]


def test_frontier_is_the_same_after_a_restart(journal: Journal) -> None:
    frontier = Frontier(journal, Scope(["h.test"]), None)
    frontier.add(Target("http://h.test/1", 0))
    journal.commit()
    journal.put_found(1, found(["http://h.test/2"], 1, "http://h.test/1", {}))
    journal.close()  # as a kill does: what was not committed is gone
    again = Journal(journal.path)
    frontier = Frontier(again, Scope(["h.test"]), None)
    assert frontier.knows("http://h.test/1")
    assert _level(frontier) == ["http://h.test/1"]
    frontier.advance()
    assert not frontier.more()
    again.close()


def test_what_is_no_journal_is_named(tmp_path: Path) -> None:
    path = tmp_path / "frontier/crawl.sqlite"
    path.parent.mkdir()
    path.write_bytes(b"rubbish" * 1000)
    with pytest.raises(CrawlError, match="no frontier of a crawl"):
        Journal(path)
