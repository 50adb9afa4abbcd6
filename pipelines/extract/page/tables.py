"""Learned scores of names and words: which bucket of a table each of them is in."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.extract.page.names import ATTRIBUTE, FNV_OFFSET, FNV_PRIME
from pipelines.extract.page.parse import Page

NAME_BUCKETS: Final = 1 << 13
WORD_BUCKETS: Final = 1 << 14


_OFFSET, _PRIME = np.uint64(FNV_OFFSET), np.uint64(FNV_PRIME)
_CLASS, _ID, _ROLE, _PROP = ATTRIBUTE["class"], ATTRIBUTE["id"], ATTRIBUTE["role"], ATTRIBUTE["itemprop"]


class Tables(NamedTuple):
    """What was learned of names and words: log odds by bucket of their hash."""

    names: NDArray[np.float32]  # NAME_BUCKETS: tokens of class, id, role, itemprop, and pairs of tags
    words: NDArray[np.float32]  # WORD_BUCKETS: words, and whole texts of a few words
    stops: NDArray[np.uint64]  # open addressing by word hash: frequent words of many languages; 0 is empty


def stop_table(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Make a table of the hashes of frequent words."""
    size = 1 << (2 * max(8, len(hashes)) - 1).bit_length()
    table = np.zeros(size, np.uint64)
    for value in hashes.tolist():
        slot = value & (size - 1)
        while table[slot]:
            slot = (slot + 1) & (size - 1)
        table[slot] = value
    return table


def names_of(html: NDArray[np.uint8], page: Page) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return, for training the tables, the name buckets of elements: (n + 1 offsets, buckets)."""
    return buckets_of_names(html, page)


def tag_buckets(page: Page) -> NDArray[np.int32]:
    """Return, for training the tables, the two name buckets of each block's tag among those around it."""
    element = page.block_element
    parent = np.where(element > 0, page.parent[element], -1)
    grand = np.where(parent > 0, page.parent[parent], -1)
    tags = [np.where(one >= 0, page.tag[one], 0) for one in (element, parent, grand)]
    return np.array(
        [
            [bucket_of_tags(1, a, b, 0), bucket_of_tags(2, a, b, c)]
            for a, b, c in zip(*(one.tolist() for one in tags), strict=True)
        ],
        np.int32,
    ).reshape(-1, 2)


def text_bucket(hashes: NDArray[np.uint64]) -> int:
    """Return, for training the tables, the word bucket of a whole text of few words."""
    return int(bucket_of_text(hashes))


@njit(cache=True, nogil=True)
def bucket_of_text(hashes) -> Any:
    """Word bucket of a whole text, by its words' hashes."""
    state = _OFFSET
    for key in hashes:
        state = (state ^ key) * _PRIME
    return np.int64((state ^ (state >> np.uint64(33))) % np.uint64(WORD_BUCKETS))


@njit(cache=True, nogil=True, inline="always")
def is_letter(byte) -> Any:
    """Whether a byte is an ASCII letter, or of a character beyond ASCII."""
    return 97 <= (byte | 32) <= 122 or byte >= 128


@njit(cache=True, nogil=True)
def bucket_of_tags(level, a, b, c) -> Any:
    """Name bucket of an element's tag and those around it."""
    state = (_OFFSET ^ np.uint64(level + 1)) * _PRIME
    state = (state ^ np.uint64(a + 1)) * _PRIME
    state = (state ^ np.uint64(b + 1)) * _PRIME
    state = (state ^ np.uint64(c + 1)) * _PRIME
    return np.int64((state ^ (state >> np.uint64(29))) % np.uint64(NAME_BUCKETS))


@njit(cache=True, nogil=True)
def _token_buckets(html, low, high, salt, out, m) -> Any:
    """Write the buckets of the words of a class or id: parted at anything but letters, and where a capital begins."""
    at = low
    while at < high and m < len(out):
        while at < high and not is_letter(html[at]):
            at += 1
        start = at
        state = _OFFSET ^ np.uint64(salt)
        previous_small = False
        while at < high and is_letter(html[at]):
            byte = html[at]
            if 65 <= byte <= 90:
                if previous_small and at > start:
                    break
                byte += np.uint8(32)
                previous_small = False
            else:
                previous_small = True
            state = (state ^ np.uint64(byte)) * _PRIME
            at += 1
        if at - start >= 2:
            out[m] = np.int64((state ^ (state >> np.uint64(31))) % np.uint64(NAME_BUCKETS))
            m += 1
    return m


@njit(cache=True, nogil=True)
def buckets_of_names(html, page) -> Any:
    """Return what `names_of` does."""
    n = len(page.tag)
    offsets = np.zeros(n + 1, np.int32)
    buckets = np.empty(64 + 4 * n, np.int32)
    scratch = np.empty(24, np.int64)
    m = 0
    for e in range(n):
        k = 0
        for a in range(page.attributes[e], page.attributes[e + 1]):
            name = page.name[a]
            if name in (_CLASS, _ID, _ROLE, _PROP):
                salt = 1 if name in (_CLASS, _ID) else 2
                k = _token_buckets(html, page.low[a], min(page.high[a], page.low[a] + 300), salt, scratch, k)
        if m + k > len(buckets):
            larger = np.empty(2 * len(buckets) + k, np.int32)
            larger[:m] = buckets[:m]
            buckets = larger
        for j in range(k):
            buckets[m] = scratch[j]
            m += 1
        offsets[e + 1] = m
    return offsets, buckets[:m].copy()


@njit(cache=True, nogil=True)
def is_stop(table, key) -> Any:
    """Whether a word is a stop word."""
    size = np.uint64(len(table) - 1)
    slot = key & size
    while table[slot] != 0:
        if table[slot] == key:
            return True
        slot = (slot + np.uint64(1)) & size
    return False
