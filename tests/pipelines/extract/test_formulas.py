"""Formulas of real pages come out as their authors wrote them."""

from __future__ import annotations

import html
import re
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from pipelines.extract import ExtractionError, extract_html

pytestmark = [pytest.mark.data, pytest.mark.slow]

_BODY = re.compile(rb'<article role="main"[^>]*>(.*)</article>', re.DOTALL)
_IMAGE = re.compile(r'<img class="math"[^>]*?alt="([^"]*)"', re.DOTALL)


def test_sympys_formulas_are_verbatim(pomona_data: Path) -> None:
    """Sphinx draws formulas as images whose alt text is the source; at least 99 in 100 are in the text as they are."""
    written = found = 0
    missed: Counter[str] = Counter()
    with tarfile.open(pomona_data / "sites" / "sympy_doc_math.tar.xz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".html") else None
            if file is None:
                continue
            page = file.read()
            body = _BODY.search(page)
            sources = Counter(_plain(html.unescape(one)) for one in _IMAGE.findall(body[1].decode() if body else ""))
            if not sources:
                continue
            try:
                text = _plain(extract_html(page).text)
            except ExtractionError:
                text = ""
            for source, count in sources.items():
                there = min(count, text.count(f"${source}$"))
                written, found = written + count, found + there
                missed[member.name] += count - there
    assert written > 6000
    assert found >= 0.99 * written, missed.most_common(5)


def _plain(text: str) -> str:
    return " ".join(text.split())
