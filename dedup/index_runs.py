"""Sorted runs of keys: a map from a 64-bit key to the rows that have it, which is asked where it lies, on disk.

The keys of a run rise, in blocks; in memory are only the first key of each block (its *fence*) and a check sum of the
block. A key is looked for among the fences, then in its block, so that a query touches few pages of a mapped file
(`dedup.index_run_files`) and nothing is read or sorted before it. A block is checked when it is first touched.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dedup.segments import IndexRefusedError
from kernels.mixing import finish

__all__ = ["BLOCK", "KINDS", "Keys", "Run", "blocks_of", "merge", "no_keys", "pairs", "seal", "sorted_keys"]

KINDS: Final = ("band", "content", "id")
"""What the keys of a run are of, each in a part of its own."""
BLOCK: Final = 512  # keys: 4 KiB of them, a page
_STEP: Final = np.uint64(0x9E3779B97F4A7C15)


class Keys(NamedTuple):
    """Keys, rising, and the row of each; rows of one key rise. All read-only but while they are written."""

    keys: NDArray[np.uint64]
    rows: NDArray[np.uint32]
    fences: NDArray[np.uint64]  # the first key of each block
    sums: NDArray[np.uint64]  # of each block of keys and rows


class Run:
    """The keys of some rows that follow one another, of each kind."""

    def __init__(self, name: str, rows: int, parts: dict[str, Keys]) -> None:
        """Take one `Keys` for each of `KINDS`; `name` is said where a block is damaged."""
        self.name = name
        self.rows = rows
        self.parts = parts
        self._checked = {kind: np.zeros(len(part.sums), np.bool_) for kind, part in parts.items()}

    @classmethod
    def of(cls, first: int, banded: NDArray[np.bool_], **keys: NDArray[np.uint64]) -> Self:
        """Sort the keys of rows in memory.

        Args:
            first: the number of the first row.
            banded: whether a row has band keys.
            keys: for each of `KINDS`; those of `band` have two axes.
        """
        rows = np.arange(first, first + len(banded), dtype=np.uint32)
        band = keys["band"][banded]
        # The number of the band is part of a key, so one column serves all bands.
        parts = {"band": sorted_keys(band.ravel(), np.repeat(rows[banded], band.shape[1]))}
        parts |= {kind: sorted_keys(keys[kind], rows) for kind in KINDS[1:]}
        return cls("rows in memory", len(rows), parts)

    def check(self) -> None:
        """Check every block.

        Raises:
            IndexRefusedError: one is damaged.
        """
        for kind, part in self.parts.items():
            if not _whole(*part, self._checked[kind]):
                raise self._damaged()

    def first(self, kind: str, rising: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return for each of the keys, which rise, where the first one stands that is not below it.

        Raises:
            IndexRefusedError: a block that was touched is damaged.
        """
        first, whole = _first(*self.parts[kind], self._checked[kind], rising)
        if not whole:
            raise self._damaged()
        return first

    def _damaged(self) -> IndexRefusedError:
        return IndexRefusedError(f"{self.name}: damaged (a check sum); restore it or rebuild the index")


def pairs(
    runs: Iterable[Run], kind: str, keys: NDArray[np.uint64], alive: NDArray[np.bool_], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (place in `keys`, row) of the rows that have a key and are alive: of each key the first `most`.

    Args:
        runs: from the oldest rows to the newest.
        kind: one of `KINDS`.
        keys: in any order.
        alive: of each row of all runs.
        most: of one key.

    Raises:
        IndexRefusedError: a run is damaged where a key would stand.
    """
    order = np.argsort(keys)  # searches that follow one another then touch the same memory
    rising = keys[order]
    count = np.zeros(len(keys), np.int64)
    asked, found = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for run in runs:
        first = run.first(kind, rising)
        part = run.parts[kind]
        places, rows = _living(first, rising, part.keys, part.rows, alive, count, most)
        asked.append(order[places])
        found.append(rows)
    return np.concatenate(asked), np.concatenate(found)


def no_keys() -> Keys:
    """Return the keys of no rows."""
    return sorted_keys(np.empty(0, np.uint64), np.empty(0, np.uint32))


def blocks_of(count: int) -> int:
    """Return how many blocks so many keys fill."""
    return -(-count // BLOCK)


def sorted_keys(keys: NDArray[np.uint64], rows: NDArray[np.uint32]) -> Keys:
    """Sort keys whose rows rise."""
    order = np.argsort(keys, kind="stable")
    blocks = blocks_of(len(keys))
    part = Keys(keys[order], rows[order], np.empty(blocks, np.uint64), np.empty(blocks, np.uint64))
    seal(part)
    return _read_only(part)


def merge(older: Keys, newer: Keys, into: Keys) -> None:
    """Write the keys of two runs as one; of equal keys the older rows come first."""
    _merge(older.keys, older.rows, newer.keys, newer.rows, into.keys, into.rows)
    seal(into)


def seal(part: Keys) -> None:
    """Write the fences and check sums of keys that are written."""
    part.fences[:] = part.keys[::BLOCK]
    _sums(part.keys, part.rows, part.sums)


def _read_only(part: Keys) -> Keys:
    """Have all keys of one type, so that a kernel is compiled once."""
    for array in part:
        array.flags.writeable = False
    return part


@njit(cache=True, nogil=True)
def _merge(keys_a, rows_a, keys_b, rows_b, keys, rows) -> Any:
    i = j = 0
    for at in range(len(keys)):
        if j == len(keys_b) or (i < len(keys_a) and keys_a[i] <= keys_b[j]):
            keys[at], rows[at] = keys_a[i], rows_a[i]
            i += 1
        else:
            keys[at], rows[at] = keys_b[j], rows_b[j]
            j += 1


@njit(cache=True, nogil=True)
def _sum(keys, rows) -> Any:
    """Check sum of a block: each entry is mixed with its place, so that none can change and none change its place."""
    total = np.uint64(0)
    for k in range(len(keys)):
        step = np.uint64(k + 1) * _STEP
        total += finish(keys[k] ^ step) + finish(np.uint64(rows[k]) + step)
    return total


@njit(cache=True, nogil=True)
def _sums(keys, rows, sums) -> Any:
    for block in range(len(sums)):
        begin = block * BLOCK
        sums[block] = _sum(keys[begin : begin + BLOCK], rows[begin : begin + BLOCK])


@njit(cache=True, nogil=True)
def _is_whole(keys, rows, fences, sums, checked, block) -> Any:
    if not checked[block]:
        begin = block * BLOCK
        found = _sum(keys[begin : begin + BLOCK], rows[begin : begin + BLOCK])
        checked[block] = found == sums[block] and keys[begin] == fences[block]
    return checked[block]


@njit(cache=True, nogil=True)
def _whole(keys, rows, fences, sums, checked) -> Any:
    for block in range(len(sums)):  # noqa: SIM110 - Numba knows no generators in `all`
        if not _is_whole(keys, rows, fences, sums, checked, block):
            return False
    return True


@njit(cache=True, nogil=True)
def _first(keys, rows, fences, sums, checked, asked) -> Any:
    """Find the place of each key; all blocks with a key that is asked for are checked, and those before them."""
    first = np.empty(len(asked), np.int64)
    behind = 0  # the first block whose fence is not below the key
    for k in range(len(asked)):
        key = asked[k]
        # The keys rise: steps of growing width, then halves, from where the one before was found.
        low, step = behind, 1
        while low + step <= len(fences) and fences[low + step - 1] < key:
            low += step
            step *= 2
        high = min(low + step - 1, len(fences))
        while low < high:
            middle = (low + high) // 2
            if fences[middle] < key:
                low = middle + 1
            else:
                high = middle
        behind = low
        at = low * BLOCK
        if low > 0:
            if not _is_whole(keys, rows, fences, sums, checked, low - 1):
                return first, False
            begin, at = at - BLOCK, min(at, len(keys))
            while begin < at:
                middle = (begin + at) // 2
                if keys[middle] < key:
                    begin = middle + 1
                else:
                    at = middle
        first[k] = at
        while low < len(fences) and fences[low] == key:
            if not _is_whole(keys, rows, fences, sums, checked, low):
                return first, False
            low += 1
    return first, True


@njit(cache=True, nogil=True)
def _living(first, asked, keys, rows, alive, count, most) -> Any:
    total = 0
    for k in range(len(first)):
        had = count[k]
        at = first[k]
        while had < most and at < len(keys) and keys[at] == asked[k]:
            had += alive[rows[at]]
            at += 1
        total += had - count[k]
    places, found = np.empty(total, np.int64), np.empty(total, np.int64)
    m = 0
    for k in range(len(first)):
        at = first[k]
        while count[k] < most and at < len(keys) and keys[at] == asked[k]:
            if alive[rows[at]]:
                places[m], found[m] = k, rows[at]
                m += 1
                count[k] += 1
            at += 1
    return places, found
