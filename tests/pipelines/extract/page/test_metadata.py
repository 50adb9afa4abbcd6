"""What a page's head says."""

from __future__ import annotations

import numpy as np

from pipelines.extract.page.metadata import Head, told
from pipelines.extract.page.parse import parse


def head(html: str) -> Head:
    data = np.frombuffer(html.encode("utf-8"), np.uint8)
    return told(data, parse(data))


def test_everything() -> None:
    found = head(
        "<html lang=de-AT><head><title>Fish &amp;\n Chips</title>"
        '<meta name=author content="A. Cook"><meta property="og:site_name" content="The Pan">'
        '<meta property="article:published_time" content="2024-02-03T04:05:06+01:00">'
        '<meta name="Robots" content="noindex,  noai"><meta name=GPTBot content=none>'
        '<meta name="tdm-reservation" content=1><link rel="license" href="https://creativecommons.org/licenses/by/4.0/">'
        '</head><body><p>x <a rel="nofollow license" href="/l">licence</a></body>'
    )
    assert found == Head(
        title="Fish & Chips",
        author="A. Cook",
        date="2024-02-03T04:05:06+01:00",
        site="The Pan",
        language="de-AT",
        licenses=("https://creativecommons.org/licenses/by/4.0/", "/l"),
        meta_robots="noindex, noai, gptbot: none",
        reservation="tdm-reservation: 1",
    )


def test_json_ld() -> None:
    found = head(
        '<script type="application/ld+json">{"@graph": [{"@type": "WebSite", "name": "no"}, {"@type": ["NewsArticle"],'
        '"headline": "A &amp; B", "author": [{"name": "One"}, {"name": "Two"}], "datePublished": "2020-01-02",'
        '"publisher": {"name": "Press"}}]}</script>'
    )
    assert (found.title, found.author, found.date, found.site) == ("A & B", "One; Two", "2020-01-02", "Press")


def test_nothing_and_rubbish() -> None:
    assert head("<p>x") == Head()
    assert head("<script type='application/ld+json'>{'a': [</script><meta name=date content=yesterday>") == Head()
    assert head("<script type='application/ld+json'>" + "[" * 100_000 + "</script>") == Head()
    assert head("<time datetime='2021-05-06'>then</time>").date == "2021-05-06"
