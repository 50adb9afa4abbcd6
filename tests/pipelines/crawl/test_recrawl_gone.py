"""A page that the site no longer gives is withdrawn; one that cannot be asked for stands as it was stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.crawl.crawler import crawl
from tests.pipelines.crawl import recrawled

if TYPE_CHECKING:
    from .conftest import Answer, LoopbackSite


def _no_page(answer: Answer) -> Callable[[LoopbackSite], None]:
    def apply(site: LoopbackSite) -> None:
        site.answers["/tagged"] = answer

    return apply


def _robots(text: bytes) -> Callable[[LoopbackSite], None]:
    def apply(site: LoopbackSite) -> None:
        site.answers["/robots.txt"] = recrawled.script().Answer(text, 200, {"Content-Type": "text/plain"})

    return apply


def _answer(*fields: Any) -> Answer:
    return recrawled.script().Answer(*fields)


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
    crawl(recrawled.config(site, max_body_bytes=20_000), out)
    before = recrawled.documents(out)
    change()(site)
    summary = crawl(recrawled.config(site, max_body_bytes=20_000), out, previous=out)
    row = recrawled.ledger(out)["/tagged"]
    assert (row["verdict"], row["reason"], row["id"]) == (verdict, reason, before["/tagged"][0])
    assert row["evidence"]["withdrawn"].startswith("warc/warc-00000.warc.gz#offset=")
    assert summary.update == {"unchanged": 4, "withdrawn": 1}, "/bare is linked from nowhere else, and asked for"
    after = recrawled.documents(out)
    assert after == {path: page for path, page in before.items() if path != "/tagged"}
    (file,) = (file for file in json.loads((out / "crawl.json").read_text())["files"] if "withdrawn" in file)
    assert [(record["uri"], record["reason"]) for record in file["withdrawn"]] == [("http://h.test/tagged", reason)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda: _no_page(_answer(b"", 503)), "http-status"),
        (lambda: _no_page(_answer(b"", 429)), "http-status"),
        (lambda: _no_page(_answer(b"<p>slow", 200, {"Content-Type": recrawled.HTML}, 3.0)), "timeout"),
        (lambda: _no_page(_answer(b"<p>cut", 200, {"Content-Type": recrawled.HTML}, 0.0, 900)), "bad-http"),
        (lambda: lambda site: site.answers.update({"/robots.txt": _answer(b"", 503)}), "robots-unreachable"),
        (lambda: _robots(b"User-agent: *\nCrawl-delay: 900\n"), "crawl-delay-too-long"),
    ],
    ids=["error", "too-many", "timeout", "cut-off", "robots", "crawl-delay"],
)
def test_what_cannot_be_asked_for_stands_as_it_was_stored(
    small_site: LoopbackSite, tmp_path: Path, change: Callable[[], Any], reason: str
) -> None:
    site, out = small_site, tmp_path / "out"
    crawl(recrawled.config(site, timeout=1.0), out)
    before, units = recrawled.documents(out), recrawled.units(out)
    change()(site)
    summary = crawl(recrawled.config(site, timeout=1.0), out, previous=out)
    row = recrawled.ledger(out)["/tagged"]
    assert (row["verdict"], row["evidence"]["not_refreshed"]) == ("kept", reason)
    assert summary.update["not-refreshed"] == (5 if "robots" in reason or "delay" in reason else 1)
    assert recrawled.documents(out) == before
    assert recrawled.units(out) == units
