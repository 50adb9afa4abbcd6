"""The text of a page that only a script would show: what its JSON-LD says where the markup has next to none.

Pages that are drawn in the browser carry their article twice, as data for the script and, for search engines, as
schema.org's `articleBody` or `text`. Where that is several times what the markup says in all, it is the main text.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipelines.extract.page.names import RAW_JSON
from pipelines.extract.page.parse import Page, parse
from pipelines.extract.page.text import FORMULA, texts
from pipelines.extract.references import unescape

_BODIES: Final = ("articleBody", "text", "reviewBody")
_TIMES: Final = 2.0
"""How many times the bytes of all the markup's text a body must have; on pages with markup it is at most about once."""
_LEAST: Final = 300
"""Bytes of a body that is worth it."""
_MOST_JSON: Final = 2_000_000
"""Bytes of a script beyond which it is not read."""

_MOST_BODIES: Final = 1_000
"""Bodies of a script that are read: each with markup is parsed as a page of its own."""


def body(html: NDArray[np.uint8], page: Page, shown: int) -> str:
    """Return the text that a page's JSON-LD has and its markup has not, a paragraph a line; "" where there is none.

    Args:
        html: the page, UTF-8.
        page: what was parsed of it.
        shown: bytes of all text of its markup.
    """
    least = max(_LEAST, _TIMES * shown)
    scripts = [
        (low, high)
        for low, high in ((int(page.low[k]), int(page.high[k])) for k in np.flatnonzero(page.name == RAW_JSON).tolist())
        if least < high - low <= _MOST_JSON
    ]
    found: dict[str, None] = {}
    for low, high in scripts:
        try:
            graph = json.loads(html[low:high].tobytes().decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError):
            continue
        bodies = list(dict.fromkeys(_bodies(graph)))[:_MOST_BODIES]
        found |= dict.fromkeys(filter(None, map(_plain, bodies)))
    text = "\n".join(found)
    return text if len(text.encode("utf-8", "replace")) >= least else ""


def _bodies(graph: Any) -> list[str]:
    """Strings that are named as a body, in the order of the script."""
    found: list[str] = []
    left = [graph]
    while left:
        one = left.pop()
        if isinstance(one, list):
            left += reversed(one)
        elif isinstance(one, dict):
            inner: list[Any] = []
            for name, value in one.items():
                if isinstance(value, str):
                    if name in _BODIES:
                        inner.append(_Body(value))
                else:
                    inner.append(value)
            left += reversed(inner)
        elif isinstance(one, _Body):
            found.append(one)
    return found


class _Body(str):
    __slots__ = ()


def _plain(value: str) -> str:
    """A body without its markup and without what JSON can say and a text cannot hold."""
    clean = value.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
    if "&lt;" in clean:
        clean = unescape(clean)
    if "<" in clean:
        data = np.frombuffer(clean.encode(), np.uint8)
        batch = texts(data, parse(data)).batch
        whole, bounds = batch.data.tobytes(), batch.offsets.tolist()
        lines = [whole[low:high].decode("utf-8", "replace") for low, high in pairwise(bounds)]
    else:
        lines = unescape(clean).splitlines()
    return "\n".join(filter(None, (" ".join(line.replace(FORMULA, " ").split()) for line in lines)))
