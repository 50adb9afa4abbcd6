"""Passages taken out of a text: places are code points, the text is bytes that need not be UTF-8."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

WORD = 40
"""Characters: no cut goes farther than this to the end of a word."""


def _begins(raw: bytes) -> NDArray[np.int64]:
    """Return the byte at which each code point begins, and the number of bytes."""
    data = np.frombuffer(raw, np.uint8)
    return np.append(np.flatnonzero(data & 0xC0 != 0x80), len(raw))


def between(raw: bytes, start: int, end: int) -> str:
    """Return the text between two code points."""
    begins = _begins(raw)
    return raw[begins[start] : begins[min(end, len(begins) - 1)]].decode(errors="replace")


def passages(raw: bytes, spans: Iterable[tuple[int, int]], margin: int) -> list[tuple[int, int]]:
    """Return what is to be cut: spans widened by a margin and to whole words, those that meet as one.

    Args:
        raw: the text.
        spans: code points, each (start, end).
        margin: characters on each side.

    Returns:
        Code points, in order, none overlapping another.
    """
    begins = _begins(raw)
    last = len(begins) - 1
    cuts: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        low, high = max(0, start - margin), min(last, end + margin)
        for _ in range(WORD):
            if low > 0 and not raw[begins[low - 1] : begins[low]].isspace():
                low -= 1
        for _ in range(WORD):
            if high < last and not raw[begins[high] : begins[high + 1]].isspace():
                high += 1
        if cuts and low <= cuts[-1][1]:
            cuts[-1] = (cuts[-1][0], max(high, cuts[-1][1]))
        else:
            cuts.append((low, high))
    return cuts


def without(raw: bytes, cuts: Sequence[tuple[int, int]]) -> bytes:
    """Return the text without passages; what stood on both sides of one is parted by an empty line."""
    begins = _begins(raw)
    parts: list[bytes] = []
    at = 0
    for low, high in cuts:
        parts.append(raw[at : begins[low]])
        at = int(begins[high])
    parts.append(raw[at:])
    return b"\n\n".join(part for part in (one.strip() for one in parts) if part)
