"""Fixed phrases in a batch of texts: how often each occurs, and in which lines."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.lines import Lines
from kernels.strings import TextBatch

__all__ = ["begins_with", "count_phrases", "ends_with", "phrase_lines"]

# Bytes by their frequency in English prose; one that is not here is rarer still. The rarest byte of a phrase is looked
# for first.
_FREQUENT: Final = b" etaoinshrdlcumwfgypbvk"


def count_phrases(batch: TextBatch, phrases: Sequence[str]) -> NDArray[np.int64]:
    """Occurrences of each phrase in each text, not overlapping, as ``str.count``.

    Returns:
        (texts, phrases).

    Raises:
        ValueError: an empty phrase.
    """
    return _count(batch.data, batch.offsets[:-1], batch.offsets[1:], *_compiled(phrases, fold=False), False)


def phrase_lines(batch: TextBatch, found: Lines, phrases: Sequence[str]) -> NDArray[np.bool_]:
    """Which lines hold which phrase, in any mixture of ASCII upper and lower case.

    Args:
        batch: the texts.
        found: their lines.
        phrases: lower case.

    Returns:
        (lines, phrases).

    Raises:
        ValueError: an empty phrase.
    """
    return _count(batch.data, found.starts, found.ends, *_compiled(phrases, fold=True), True) > 0


def _compiled(
    phrases: Sequence[str], *, fold: bool
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]:
    """The phrases' bytes in a row, their bounds there, the place of each one's rarest byte, which to try at a byte."""
    encoded = [phrase.encode() for phrase in phrases]
    if not all(encoded) or len(encoded) > 64:
        raise ValueError(f"phrases: found {list(phrases)}, expected at most 64, none empty")
    bounds = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    places = np.empty(len(encoded), np.int64)
    tried = np.zeros(256, np.uint64)
    for number, phrase in enumerate(encoded):
        places[number] = min(range(len(phrase)), key=lambda k: -(_FREQUENT.find(phrase[k : k + 1]) % 99))
        byte = phrase[places[number]]
        for variant in {byte, ord(chr(byte).upper())} if fold and 97 <= byte <= 122 else {byte}:
            tried[variant] |= np.uint64(1 << number)
    return np.frombuffer(b"".join(encoded), np.uint8), bounds, places, tried


@njit(cache=True, nogil=True)
def _count(data, starts, ends, phrases, bounds, places, tried, fold) -> Any:
    """Occurrences of every phrase between each start and end, in one walk."""
    number = len(places)
    counts = np.zeros((len(starts), number), np.int64)
    free = np.empty(number, np.int64)  # where the next occurrence may begin
    for i in range(len(starts)):
        free[:] = starts[i]
        for at in range(starts[i], ends[i]):
            candidates = tried[data[at]]
            if candidates == 0:
                continue
            for p in range(number):
                if not (candidates >> np.uint64(p)) & np.uint64(1):
                    continue
                begin = at - places[p]
                size = bounds[p + 1] - bounds[p]
                if begin < free[p] or begin + size > ends[i]:
                    continue
                k = 0
                while k < size:
                    byte = data[begin + k]
                    if fold and 65 <= byte <= 90:
                        byte += 32
                    if byte != phrases[bounds[p] + k]:
                        break
                    k += 1
                if k == size:
                    counts[i, p] += 1
                    free[p] = begin + size
    return counts


def begins_with(
    batch: TextBatch, starts: NDArray[np.int64], ends: NDArray[np.int64], phrases: Sequence[str]
) -> NDArray[np.bool_]:
    """Which of the ranges of bytes begin with one of the phrases."""
    return _affix(batch.data, starts, ends, *_compiled(phrases, fold=False)[:2], False)


def ends_with(
    batch: TextBatch, starts: NDArray[np.int64], ends: NDArray[np.int64], phrases: Sequence[str]
) -> NDArray[np.bool_]:
    """Which of the ranges of bytes end with one of the phrases."""
    return _affix(batch.data, starts, ends, *_compiled(phrases, fold=False)[:2], True)


@njit(cache=True, nogil=True)
def _affix(data, starts, ends, phrases, bounds, at_end) -> Any:
    found = np.zeros(len(starts), np.bool_)
    for i in range(len(starts)):
        for p in range(len(bounds) - 1):
            size = bounds[p + 1] - bounds[p]
            if ends[i] - starts[i] < size:
                continue
            begin = ends[i] - size if at_end else starts[i]
            k = 0
            while k < size and data[begin + k] == phrases[bounds[p] + k]:
                k += 1
            if k == size:
                found[i] = True
                break
    return found
