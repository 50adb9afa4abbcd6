"""Which runs of words of a long list each text holds, and how often."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from kernels.strings import text_batch
from kernels.tokens import tokens
from kernels.words import folded_spelling, token_spelling

__all__ = ["KnownRuns", "count_known", "count_known_runs", "known_hashes", "known_runs"]

_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)  # odd
_LONGEST: Final = 255  # tokens of a run
_LOW: Final = np.uint64(0xFFFF)
_STRETCH: Final = 1024  # tokens that are gone through before the runs that may begin with them are looked up


class KnownRuns(NamedTuple):
    """A hash table of runs of tokens; 0 is a free place."""

    table: NDArray[np.uint64]
    begins: NDArray[np.uint8]  # tokens of the longest run that begins with a token whose hash has these low 16 bits


def known_runs(phrases: Sequence[str]) -> KnownRuns:
    """Compile phrases for ``count_known_runs``: each is split into tokens by the rule of ``kernels.words``.

    Raises:
        ValueError: a phrase of more than 255 tokens.
    """
    batch = text_batch(pa.array(phrases))
    found = tokens(batch)
    hashes = folded_spelling(batch, found, token_spelling(batch, found))
    lengths = np.diff(found.offsets)
    if lengths.max(initial=0) > _LONGEST:
        raise ValueError(f"phrases: found one of {lengths.max()} tokens, expected at most {_LONGEST}")
    keys: set[int] = set()
    begins = np.zeros(1 << 16, np.uint8)
    for first, length in zip(found.offsets[:-1].tolist(), lengths.tolist(), strict=True):
        if length:
            keys.add(int(_run_key(hashes, first, length)))
            place = int(hashes[first]) & 0xFFFF
            begins[place] = max(int(begins[place]), length)
    return KnownRuns(_table(sorted(keys), 4), begins)


def count_known_runs(offsets: NDArray[np.int64], hashes: NDArray[np.uint64], known: KnownRuns) -> NDArray[np.int64]:
    """Occurrences of known runs in each text, not overlapping, the longest first where several begin.

    Args:
        offsets: the texts' ranges of tokens, as in ``Tokens.offsets``.
        hashes: one hash a token, of the folded spelling (``kernels.words.folded_spelling``).
        known: the runs.
    """
    return _count_runs(offsets, hashes, known.table, known.begins)


def known_hashes(hashes: Sequence[int]) -> NDArray[np.uint64]:
    """Compile the hashes of single words for ``count_known``."""
    # So large that a word which is not known falls on a free place nearly always: then no branch is hard to guess.
    return _table(sorted({hashed | 1 for hashed in hashes}), 64)


def count_known(offsets: NDArray[np.int64], hashes: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many words of each text are known; of a hash the lowest bit does not count."""
    return _count_single(offsets, hashes, known)


def _table(keys: Sequence[int], room: int) -> NDArray[np.uint64]:
    size = 64
    while size < room * len(keys):
        size *= 2
    table = np.zeros(size, np.uint64)
    for key in keys:
        slot = (key >> 1) & (size - 1)
        while table[slot]:
            slot = (slot + 1) & (size - 1)
        table[slot] = key
    table.flags.writeable = False
    return table


@njit(cache=True, nogil=True)
def _run_key(hashes, first, length) -> Any:
    value = hashes[first]
    for k in range(first + 1, first + length):
        value = value * _MULTIPLIER + hashes[k]
    return value | np.uint64(1)


@njit(cache=True, nogil=True)
def _holds(table, key) -> Any:
    mask = np.uint64(len(table) - 1)
    slot = (key >> np.uint64(1)) & mask
    while table[slot] != 0:
        if table[slot] == key:
            return True
        slot = (slot + np.uint64(1)) & mask
    return False


@njit(cache=True, nogil=True)
def _beginning(hashes, base, end, begins, places) -> Any:
    """Write down the tokens that a run may begin with, without a branch; how many they are."""
    found = np.uint64(0)
    for k in range(np.uint64(base), np.uint64(end)):
        places[found] = k
        found += np.uint64(begins[hashes[k] & _LOW] > 0)
    return np.int64(found)


@njit(cache=True, nogil=True)
def _count_runs(offsets, hashes, table, begins) -> Any:
    counts = np.zeros(len(offsets) - 1, np.int64)
    places = np.empty(_STRETCH, np.int64)
    for i in range(len(offsets) - 1):
        behind = offsets[i]  # the last run that was counted
        for base in range(offsets[i], offsets[i + 1], _STRETCH):
            for which in range(_beginning(hashes, base, min(base + _STRETCH, offsets[i + 1]), begins, places)):
                at = places[which]
                if at < behind:
                    continue
                for length in range(min(np.int64(begins[hashes[at] & _LOW]), offsets[i + 1] - at), 0, -1):
                    if _holds(table, _run_key(hashes, at, length)):
                        counts[i] += 1
                        behind = at + length
                        break
    return counts


@njit(cache=True, nogil=True)
def _count_single(offsets, hashes, table) -> Any:
    counts = np.zeros(len(offsets) - 1, np.int64)
    mask = np.uint64(len(table) - 1)
    for i in range(len(offsets) - 1):
        total = np.int64(0)
        for k in range(offsets[i], offsets[i + 1]):
            key = hashes[k] | np.uint64(1)
            entry = table[(key >> np.uint64(1)) & mask]
            total += entry == key
            if entry != key and entry != 0:
                total += _holds(table, key)
        counts[i] = total
    return counts
