"""What a page says of itself: its kind, in its JSON-LD and Open Graph types, and its title."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from pipelines.extract.page.markup import contains
from pipelines.extract.page.names import ATTRIBUTE, FNV_OFFSET, FNV_PRIME, RAW_JSON, RAW_TITLE
from pipelines.extract.page.tables import is_letter

_OFFSET, _PRIME = np.uint64(FNV_OFFSET), np.uint64(FNV_PRIME)
_CONTENT = ATTRIBUTE["content"]

# What schema.org's and Open Graph's types say of a page, in small letters: article, product, discussion, list.
_SAYS: Final = (
    (b'article"', 0), (b'posting"', 0), (b'product"', 1), (b'offer"', 1), (b"discussionforum", 2), (b'qapage"', 2),
    (b'question"', 2), (b'itemlist"', 3), (b"collectionpage", 3), (b"searchresults", 3),
)  # fmt: skip
_AT_TYPE = np.frombuffer(b"@type", np.uint8)
_SAID = np.zeros((len(_SAYS), 20), np.uint8)
for _row, (_word, _) in zip(_SAID, _SAYS, strict=True):
    _row[: len(_word)] = np.frombuffer(_word, np.uint8)
_SAID_LENGTH = np.array([len(word) for word, _ in _SAYS])
_SAID_KIND = np.array([kind for _, kind in _SAYS])


@njit(cache=True, nogil=True)
def kinds_of_page(html, page) -> Any:
    """Whether the page says that it is an article, a product, a discussion, a list: its JSON-LD and og:type."""
    found = np.zeros(4, np.float32)
    for a in range(len(page.name)):
        low, high = page.low[a], page.high[a]
        if page.name[a] == _CONTENT and high - low <= 20:  # <meta property="og:type" content="article">
            _said(html, low, high, 1, found)
        elif page.name[a] == RAW_JSON:
            high = min(high, low + 20_000)
            for at in range(low, high - 5):
                if html[at] == 64 and contains(html, at, at + 5, _AT_TYPE):
                    _said(html, at + 5, min(high, at + 65), 0, found)
    return found


@njit(cache=True, nogil=True)
def _said(html, low, high, quotes, found) -> Any:
    """Note the types that a text names; in JSON a quote ends a type, a meta's content is the type alone."""
    for k in range(len(_SAID_KIND)):
        length = _SAID_LENGTH[k]
        if quotes and _SAID[k, length - 1] == 34:
            length -= 1
        kind = _SAID_KIND[k]
        if found[kind] == 0 and contains(html, low, high, _SAID[k, :length]):
            found[kind] = 1


@njit(cache=True, nogil=True)
def title_words(html, page) -> Any:
    """Hashes of the words of the page's title, folded by ASCII only."""
    keys = np.zeros(64, np.uint64)
    count = 0
    for a in range(len(page.name)):
        if page.name[a] != RAW_TITLE:
            continue
        at, high = page.low[a], min(page.high[a], page.low[a] + 400)
        while at < high and count < 32:
            while at < high and not (is_letter(html[at]) or 48 <= html[at] <= 57):
                at += 1
            start = at
            state = _OFFSET
            while at < high and (is_letter(html[at]) or 48 <= html[at] <= 57):
                byte = html[at]
                if 65 <= byte <= 90:
                    byte += np.uint8(32)
                state = (state ^ np.uint64(byte)) * _PRIME
                at += 1
            if at - start >= 3:
                keys[count] = state
                count += 1
        break
    return keys, count
