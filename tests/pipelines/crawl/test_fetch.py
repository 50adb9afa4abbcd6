from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pipelines.crawl.config import CrawlConfig
from pipelines.crawl.fetch import Exchange, Fetcher, FetchError, retry_after
from pipelines.crawl.robots_cache import RobotsCache

if TYPE_CHECKING:
    from .conftest import Answer, LoopbackSite


def _answer(*args: object, **fields: object) -> Answer:
    from .conftest import Answer

    return Answer(*args, **fields)  # type: ignore[arg-type]


def _config(site: LoopbackSite, **fields: object) -> CrawlConfig:
    hosts = {"h.test": site.address, "other.test": site.address}
    return CrawlConfig.model_validate(
        {"seeds": ["http://h.test/"], "delay": 0.0, "connect_to": hosts, "timeout": 2.0, **fields}
    )


def _get(config: CrawlConfig, *urls: str, **options: int) -> list[Exchange]:
    async def run() -> list[Exchange]:
        async with Fetcher(config) as fetcher:
            return list(await asyncio.gather(*(fetcher.get(url, **options) for url in urls)))

    return asyncio.run(run())


def test_exchange_is_what_went_over_the_wire(site: LoopbackSite) -> None:
    site.answers["/x?y=1"] = _answer(b"hello", 200, {"Content-Type": "text/html; charset=x", "X-MiXed": "1"})
    (exchange,) = _get(_config(site), "http://h.test/x?y=1")
    assert exchange.request.startswith(b"GET /x?y=1 HTTP/1.1\r\nHost: h.test\r\nUser-Agent: PomonaBot/0.1\r\n")
    assert (exchange.status, exchange.body, exchange.media_type) == (200, b"hello", "text/html")
    assert (b"X-MiXed", b"1") in exchange.headers
    assert exchange.address == "127.0.0.1"


def test_host_never_sees_requests_closer_than_the_delay(site: LoopbackSite) -> None:
    for path in "abcd":
        site.answers[f"/{path}"] = _answer(b"x")
    _get(_config(site, delay=0.15), *(f"http://h.test/{path}" for path in "abcd"), "http://other.test/a")
    times = site.times("h.test")
    assert len(times) == 4
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= 0.15
    assert site.times("other.test")[0] < times[-1], "another host does not wait for this one"


def test_retry_after_is_waited_for(site: LoopbackSite) -> None:
    site.answers["/busy"] = lambda count: _answer(b"", 503, {"Retry-After": "1"}) if count < 2 else _answer(b"now", 200)
    (exchange,) = _get(_config(site), "http://h.test/busy")
    assert exchange.body == b"now"
    first, second = site.times("h.test")
    assert second - first >= 1.0


def test_retry_after_beyond_the_limit_ends_it(site: LoopbackSite) -> None:
    site.answers["/busy"] = _answer(b"", 429, {"Retry-After": "3600"})
    (exchange,) = _get(_config(site), "http://h.test/busy")
    assert exchange.status == 429
    assert len(site.requests) == 1


def test_retry_after_field() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after("120", now) == 120.0
    assert retry_after("Thu, 01 Jan 2026 00:01:00 GMT", now) == 60.0
    assert retry_after("Thu, 01 Jan 2015 00:01:00 GMT", now) == 0.0
    assert retry_after("soon", now) is None
    assert retry_after(None, now) is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"body": b"x" * 2000}, "too-large"),
        ({"body": b"x", "length": 5_000_000}, "too-large"),
        ({"body": b"x" * 10, "length": 100}, "bad-http"),
        ({"body": b"x", "seconds": 0.8}, "timeout"),
    ],
)
def test_reasons(site: LoopbackSite, answer: dict[str, object], reason: str) -> None:
    site.answers["/x"] = _answer(**answer)
    with pytest.raises(FetchError) as caught:
        _get(_config(site, max_body_bytes=1000, timeout=0.4, max_retries=0), "http://h.test/x")
    assert caught.value.reason == reason


def test_connection_refused_and_private_address(site: LoopbackSite) -> None:
    with pytest.raises(FetchError) as caught:
        _get(_config(site, max_retries=0, connect_to={"h.test": "127.0.0.1:9"}), "http://h.test/")
    assert caught.value.reason == "connection-failed"
    with pytest.raises(FetchError) as caught:
        _get(_config(site), f"http://{site.address}/")
    assert caught.value.reason == "private-address"
    assert site.requests == []
    site.answers["/"] = _answer(b"mine")
    (exchange,) = _get(_config(site, allow_private=True), f"http://{site.address}/")
    assert exchange.body == b"mine"


def _robots(site: LoopbackSite, *urls: str) -> RobotsCache:
    async def run() -> RobotsCache:
        async with Fetcher(_config(site, max_retries=0)) as fetcher:
            cache = RobotsCache(fetcher)
            await asyncio.gather(*(cache.get(url) for url in urls))
            return cache

    return asyncio.run(run())


def test_robots_is_asked_once_an_origin(site: LoopbackSite) -> None:
    site.answers["/robots.txt"] = _answer(b"User-agent: *\nDisallow: /x\n", 200, {"Content-Type": "text/plain"})
    cache = _robots(site, "http://h.test/a", "http://h.test/b", "http://h.test/c")
    assert site.paths() == ["/robots.txt"]
    assert not cache.files["http://h.test"].allowed("PomonaBot", "http://h.test/x")


def test_robots_is_asked_again_after_a_day(site: LoopbackSite) -> None:
    site.answers["/robots.txt"] = _answer(b"", 200)
    now = 0.0

    async def run() -> None:
        nonlocal now
        async with Fetcher(_config(site)) as fetcher:
            cache = RobotsCache(fetcher, clock=lambda: now)
            for now in (0.0, 24 * 3600.0 - 1, 24 * 3600.0 + 1):  # noqa: B007
                await cache.get("http://h.test/")

    asyncio.run(run())
    assert site.paths() == ["/robots.txt"] * 2


@pytest.mark.parametrize(("hops", "allowed"), [(0, False), (5, False), (6, True)])
def test_robots_redirects(site: LoopbackSite, hops: int, allowed: bool) -> None:
    """Five redirects are followed, also to another host; after more there is no file (RFC 9309, 2.3.1.2)."""
    site.answers["/robots.txt"] = _answer(b"", 301, {"Location": "http://other.test/hop1"})
    for hop in range(1, hops):
        site.answers[f"/hop{hop}"] = _answer(b"", 302, {"Location": f"/hop{hop + 1}"})
    last = f"/hop{hops}" if hops else "/robots.txt"
    site.answers[last] = _answer(b"User-agent: *\nDisallow: /\n", 200, {"Content-Type": "text/plain"})
    file = _robots(site, "http://h.test/a").files["http://h.test"]
    assert file.allowed("PomonaBot", "http://h.test/a") is allowed


@pytest.mark.parametrize(("status", "allowed"), [(404, True), (403, True), (500, False), (503, False)])
def test_robots_status(site: LoopbackSite, status: int, allowed: bool) -> None:
    site.answers["/robots.txt"] = _answer(b"User-agent: *\nDisallow: /\n", status)
    file = _robots(site, "http://h.test/a").files["http://h.test"]
    assert file.allowed("PomonaBot", "http://h.test/a") is allowed


def test_robots_unreachable(site: LoopbackSite) -> None:
    site.answers["/robots.txt"] = _answer(b"x" * 5, 200, length=500)
    file = _robots(site, "http://h.test/a").files["http://h.test"]
    assert file.refused
    assert file.status == "bad-http: refused"
