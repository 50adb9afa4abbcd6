from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.crawl.url import host_of, normalise, origin_of, resolve


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTP://Example.COM:80", "http://example.com/"),
        ("https://a.test:443/x#part", "https://a.test/x"),
        ("https://a.test:8443/x", "https://a.test:8443/x"),
        ("http://a.test/a/./b/../c", "http://a.test/a/c"),
        ("http://a.test/../..", "http://a.test/"),
        ("http://a.test/%7Ejoe/%2f%c3%a9", "http://a.test/~joe/%2F%C3%A9"),
        ("http://a.test/é x?q=ü&b", "http://a.test/%C3%A9%20x?q=%C3%BC&b"),
        ("http://bücher.test/", "http://xn--bcher-kva.test/"),
        ("http://a.test/%zz", "http://a.test/%25zz"),
        ("http://a.test/x\ny", "http://a.test/xy"),
    ],
)
def test_one_spelling(url: str, expected: str) -> None:
    assert normalise(url) == expected


@pytest.mark.parametrize(
    "url",
    ["mailto:a@b.test", "ftp://a.test/", "javascript:void(0)", "http://user:pw@a.test/", "http://a.test:99999/", "http://",
     "//a.test/", "", "http://a.test/" + "x" * 3000, "http://a b/"],
)  # fmt: skip
def test_no_address(url: str) -> None:
    assert normalise(url) is None


def test_links_are_resolved() -> None:
    assert resolve("http://a.test/d/p.html", "q.html#x") == "http://a.test/d/q.html"
    assert resolve("http://a.test/d/p.html", "?k=v") == "http://a.test/d/p.html?k=v"
    assert resolve("http://a.test/", "//B.test/") == "http://b.test/"
    assert resolve("http://a.test/", "http://[bad") is None
    assert host_of("https://a.test:8443/x") == "a.test"
    assert origin_of("https://a.test:8443/x") == "https://a.test:8443"


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=60), st.text("abc%2F/.?#é:@[] ", max_size=40).map("http://a.test/".__add__)))
def test_normal_form_is_stable(url: str) -> None:
    once = normalise(url)
    if once is not None:
        assert normalise(once) == once
        assert once.isascii()
        assert "#" not in once
    resolve("http://a.test/x", url)
