from __future__ import annotations

from pipelines.crawl.frontier import Frontier, Target
from pipelines.crawl.links import links


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


def test_frontier_is_breadth_first_in_order_of_discovery() -> None:
    frontier = Frontier(["h.test"], max_depth=1)
    assert frontier.add(Target("http://h.test/1", 0))
    assert frontier.add(Target("http://h.test/2", 0))
    assert not frontier.add(Target("http://h.test/1", 0))
    assert [target.url for target in frontier.take_level()] == ["http://h.test/1", "http://h.test/2"]
    assert not frontier.add(Target("http://other.test/", 1))
    assert not frontier.add(Target("http://h.test/deep", 2))
    assert frontier.add(Target("http://h.test/4", 1))
    assert frontier.add(Target("http://h.test/3", 1))
    assert [target.url for target in frontier.take_level()] == ["http://h.test/4", "http://h.test/3"]
    assert frontier.take_level() == []
    assert (frontier.out_of_scope, frontier.too_deep) == (1, 1)
