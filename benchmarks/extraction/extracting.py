"""How every engine is run and timed: the standard library alone, and no import of this package.

argv: a JSON file with the pages' files, and one to write. Each page's text and its seconds of processor time; a page
that breaks an engine has no text.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections.abc import Callable


def run(engines: dict[str, Callable[[bytes, str | None], str | None]]) -> None:
    """Extract all pages by each engine, one after the other."""
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123
        pages = json.load(file)
    bodies = []
    for page in pages:
        with gzip.open(page["file"]) as stream:
            bodies.append((stream.read(), page["url"]))
    found = {}
    for name, extract in engines.items():
        for body, url in bodies[:5]:  # what is loaded at first does not count
            _text(extract, body, url)
        texts, seconds = [], []
        for body, url in bodies:
            start = time.process_time()
            texts.append(_text(extract, body, url))
            seconds.append(time.process_time() - start)
        found[name] = {"texts": texts, "seconds": seconds}
    with open(sys.argv[2], "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(found, file)


def _text(extract, body, url):  # type: ignore[no-untyped-def]
    try:
        return extract(body, url) or ""
    except Exception:  # noqa: BLE001 - counted as a page without text
        return ""
