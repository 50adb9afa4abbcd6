from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.robots import MAX_BODY, RobotsFile, Rules, path_of, product_token
from tests.growth import is_linear


@pytest.mark.data
def test_google_cases(pomona_data: Path) -> None:
    cases = [json.loads(line) for line in (pomona_data / "robots/google_robots_test.jsonl").open()]
    wrong = [
        case
        for case in cases
        if Rules.parse(case["robots_latin1"].encode("latin-1")).allowed(case["agent"], case["url"]) != case["allowed"]
    ]
    assert len(cases) == 145
    assert wrong == []


# Google's library reads a body of any length; the standard asks for 500 KiB (RFC 9309, 2.5), which is where we stop.
# The robots.txt of docs.oracle.com is 852,930 bytes long, and the lines that refuse these four lie beyond.
BEYOND_500_KIB = {
    ("docs.oracle.com", "https://docs.oracle.com/html/B31949_10/"),
    ("docs.oracle.com", "https://docs.oracle.com/html/B31949_10/extra/page.html"),
    ("docs.oracle.com", "https://docs.oracle.com/html/B40010_09/"),
    ("docs.oracle.com", "https://docs.oracle.com/html/B40010_09/extra/page.html"),
}


@pytest.mark.data
def test_real_files_agree_with_google(pomona_data: Path) -> None:
    with gzip.open(pomona_data / "robots/real_robots_files.jsonl.gz") as lines:
        bodies = {row["site"]: row["robots_latin1"].encode("latin-1") for row in map(json.loads, lines)}
    rules = {site: Rules.parse(body) for site, body in bodies.items()}
    with gzip.open(pomona_data / "robots/real_robots_queries.jsonl.gz") as lines:
        queries = [json.loads(line) for line in lines]
    differ = {
        (query["site"], query["url"])
        for query in queries
        if rules[query["site"]].allowed(query["agent"], query["url"]) != query["google_robotstxt"]
    }
    assert len(queries) > 16_000
    assert len(differ) <= 0.001 * len(queries)
    assert differ == BEYOND_500_KIB
    assert len(bodies["docs.oracle.com"]) > MAX_BODY


def test_group_of_the_agent_comes_before_the_star() -> None:
    rules = Rules.parse(b"User-agent: *\nDisallow: /\n\nUser-agent: PomonaBot\nDisallow: /private\n")
    assert rules.allowed("pomonabot", "https://a.test/")
    assert not rules.allowed("PomonaBot", "https://a.test/private/x")
    assert not rules.allowed("OtherBot", "https://a.test/")


def test_deciding_line_is_given_as_written() -> None:
    rules = Rules.parse("User-Agent: *\r\nDisallow: /a/ # keep out\r\nAllow: /a/ü$\r\n".encode())
    assert rules.rule("PomonaBot", "https://a.test/a/b") == "Disallow: /a/ # keep out"
    assert rules.rule("PomonaBot", "https://a.test/a/%C3%BC") == "Allow: /a/ü$"
    assert rules.rule("PomonaBot", "https://a.test/b") == ""


def test_crawl_delay_does_not_close_the_agents() -> None:
    rules = Rules.parse(b"User-agent: a\nCrawl-delay: 2.5\nUser-agent: b\nDisallow: /x\n")
    assert rules.crawl_delay("A") == 2.5
    assert rules.crawl_delay("b") == 2.5
    assert not rules.allowed("a", "/x")
    assert rules.crawl_delay("c") is None


@pytest.mark.parametrize("delay", ["nan", "inf", "-1", "1e9", "ten", ""])
def test_senseless_crawl_delay_is_ignored(delay: str) -> None:
    assert Rules.parse(f"User-agent: *\nCrawl-delay: {delay}\n".encode()).crawl_delay("x") is None


def test_byte_order_mark_and_limit() -> None:
    assert not Rules.parse(b"\xef\xbb\xbfUser-agent: *\nDisallow: /x").allowed("a", "/x")
    filler = b"#" * 99 + b"\n"
    head = b"User-agent: *\nDisallow: /early\n" + filler * (MAX_BODY // len(filler))
    rules = Rules.parse(head + b"\nDisallow: /late\n")
    assert not rules.allowed("a", "/early")
    assert rules.allowed("a", "/late")


def test_html_page_holds_no_rules() -> None:
    page = (
        b"<!DOCTYPE html><html><head><title>Not found</title></head><body><p>Disallow nothing: all is well</p></body>"
    )
    rules = Rules.parse(page)
    assert rules.groups == ()
    assert rules.allowed("PomonaBot", "https://a.test/anything")


def test_escapes_of_unreserved_characters() -> None:
    """RFC 9309, 2.2.2: "/%7Ejoe" and "/~joe" are one path; our addresses are normalised, so the pattern must be."""
    body = b"User-agent: *\nDisallow: /%7ejoe/\nDisallow: /a%2fb\n"
    assert Rules.parse(body).allowed("x", "https://a.test/~joe/")
    file = RobotsFile.from_response(200, body)
    assert not file.allowed("x", "https://a.test/~joe/")
    assert not file.allowed("x", "https://a.test/a%2Fb")
    assert file.allowed("x", "https://a.test/a/b")


def test_status_decides_where_there_is_no_file() -> None:
    for status in (301, 401, 403, 404, 410, 429):
        file = RobotsFile.from_response(status, b"User-agent: *\nDisallow: /\n")
        assert file.allowed("x", "https://a.test/"), status
        assert file.digest is None
    for status in (500, 503, 599):
        assert not RobotsFile.from_response(status, b"").allowed("x", "https://a.test/")
    assert not RobotsFile.unreachable("timeout").allowed("x", "https://a.test/")
    assert RobotsFile.unreachable("timeout").rule("x", "/") == "robots.txt timeout: refused"
    assert RobotsFile.from_response(503, b"").allowed("x", "https://a.test/robots.txt")


def test_digest_is_the_body_s() -> None:
    file = RobotsFile.from_response(200, b"")
    assert file.digest == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert file.allowed("x", "/")


@pytest.mark.timeout(60)  # an expression that goes back to every star would not end
@pytest.mark.parametrize("pattern", [b"*a" * 8000 + b"$", b"*a" * 30 + b"*c$"])
def test_hostile_pattern_is_matched_in_time(pattern: bytes) -> None:
    rules = Rules.parse(b"User-agent: *\nDisallow: /" + pattern + b"\n")
    assert rules.allowed("x", "/" + "a" * 2000 + "b")
    assert is_linear(lambda path: rules.allowed("x", path), lambda size: "/" + "a" * size + "b", 800)


def test_product_token() -> None:
    assert product_token("PomonaBot/0.1 (+https://a.test/bot)") == "PomonaBot"
    assert product_token("") == ""


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"user-agent", b"Allow", b"disallow", b"crawl-delay", b"sitemap", b"", b"\xef\xbb\xbf", b"x"]
            ),
            st.sampled_from([b":", b" ", b" : ", b""]),
            st.one_of(st.sampled_from([b"*", b"/", b"/a*b$", b"%", b"%4", b"\0", b"#"]), st.binary(max_size=30)),
        ),
        max_size=8,
    ),
    st.sampled_from([b"\n", b"\r", b"\r\n"]),
    st.text(max_size=20),
    st.text(max_size=40),
)
def test_nothing_raises(lines: list[tuple[bytes, bytes, bytes]], end: bytes, agent: str, url: str) -> None:
    body = end.join(b"".join(line) for line in lines)
    for rules in (Rules.parse(body), Rules.parse(body, unescape=True)):
        allowed = rules.allowed(agent, url)
        line = rules.rule(agent, url)
        assert isinstance(allowed, bool)
        assert allowed or line != ""
        delay = rules.crawl_delay(agent)
        assert delay is None or delay >= 0
    assert path_of(url).startswith(b"/")


@settings(max_examples=200, deadline=None)
@given(st.text("ab*$/", max_size=8), st.text("ab/$", max_size=8))
def test_matching_is_that_of_a_regular_expression(pattern: str, path: str) -> None:
    import re

    body = f"User-agent: *\nDisallow: /{pattern}\n".encode()
    anchored = pattern.endswith("$")
    expression = "/" + "".join(
        ".*" if character == "*" else re.escape(character) for character in (pattern[:-1] if anchored else pattern)
    )
    found = (re.fullmatch if anchored else re.match)(expression, "/" + path)
    assert Rules.parse(body).allowed("x", "http://a.test/" + path) == (found is None)
