"""Whether the host of an address, or a part of its path, is on a list of millions: fingerprints of 52 to 64 bits.

A list is the sorted fingerprints of its entries: the highest ``bits`` of a fingerprint choose a bucket, of the others
the next 32 are kept. An entry costs 4 bytes and about one for the buckets. An address that is on no list is taken for
one with a probability of entries / 2^(bits + 32) a lookup (1e-9 for five million); an entry is always found.

A domain matches itself and every name under it, at its dots; an entry with a path matches addresses of that very host
(``www.`` aside) whose path begins with it, at a slash. Letters of a host count as small, those of a path as they are.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.distinct import distinct
from kernels.strings import TextBatch

__all__ = ["AddressList", "address_list", "fingerprints", "listed"]

_SEED: Final = np.uint64(0x51_7C_C1_B7_27_22_0A_95)
_STEP: Final = np.uint64(0x9E37_79B9_7F4A_7C15)
_PATH: Final = np.uint64(0xC2B2_AE3D_27D4_EB4F)
_U29: Final = np.uint64(29)
_U32: Final = np.uint64(32)


class AddressList(NamedTuple):
    """A list, compiled."""

    firsts: NDArray[np.uint32]  # 2^bits + 1: range of each bucket in ``rest``
    rest: NDArray[np.uint32]
    bits: int


def address_list(found: NDArray[np.uint64]) -> AddressList:
    """Compile fingerprints, in any order, some perhaps twice."""
    ordered = distinct(found)
    bits = min(28, max(4, len(ordered).bit_length() - 2))
    firsts = np.zeros((1 << bits) + 1, np.uint32)
    np.cumsum(np.bincount((ordered >> np.uint64(64 - bits)).astype(np.int64), minlength=1 << bits), out=firsts[1:])
    return AddressList(firsts, ((ordered >> np.uint64(32 - bits)) & np.uint64(0xFFFFFFFF)).astype(np.uint32), bits)


def fingerprints(batch: TextBatch) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The fingerprint of each entry (a domain, or an address with a path), and which are none (no dot in the host)."""
    return _fingerprints(batch.data, batch.offsets)


def listed(batch: TextBatch, among: AddressList) -> NDArray[np.bool_]:
    """Which addresses are on the list; the list may hold their host, a parent of it, or a part of their path."""
    return _listed(batch.data, batch.offsets, among.firsts, among.rest, among.bits)


@njit(cache=True, nogil=True, inline="always")
def _take(state, byte) -> Any:
    state = (state ^ (np.uint64(byte) + np.uint64(1))) * _STEP
    return state ^ (state >> _U29)


@njit(cache=True, nogil=True, inline="always")
def _ended(state) -> Any:
    state = (state ^ (state >> _U32)) * _PATH
    return state ^ (state >> _U29)


@njit(cache=True, nogil=True)
def _host(data, start, end) -> Any:
    """Where the host stands, without user, port, ``www.`` and a last dot, and where the path begins."""
    at = start
    if end - start > 2 and data[start] == 47 and data[start + 1] == 47:  # //example.com, of the page's own scheme
        start += 2
        at = end
    while at + 2 < end and at - start < 12:  # scheme://
        if data[at] == 58 and data[at + 1] == 47 and data[at + 2] == 47:
            start = at + 3
            break
        if data[at] == 47 or data[at] == 46:
            break
        at += 1
    path = start
    while path < end and data[path] != 47 and data[path] != 63 and data[path] != 35:
        path += 1
    first = start
    last = path
    for at in range(start, path):
        if data[at] == 64:
            first = at + 1
    for at in range(path - 1, first - 1, -1):
        if data[at] == 58:
            last = at
            break
        if data[at] < 48 or data[at] > 57:
            break
    while last > first and data[last - 1] == 46:
        last -= 1
    if last - first > 4 and data[first + 3] == 46:
        three = data[first] | 32 == 119 and data[first + 1] | 32 == 119 and data[first + 2] | 32 == 119
        first += 4 if three else 0
    return first, last, path


@njit(cache=True, nogil=True, inline="always")
def _small(byte) -> Any:
    return byte + 32 if 65 <= byte <= 90 else byte


@njit(cache=True, nogil=True)
def _fingerprints(data, offsets) -> Any:
    found = np.zeros(len(offsets) - 1, np.uint64)
    none = np.zeros(len(offsets) - 1, np.bool_)
    for i in range(len(found)):
        first, last, path = _host(data, offsets[i], offsets[i + 1])
        while first < last and data[first] == 46:  # ".example.com", as some lists say what lies under it
            first += 1
        state = _SEED
        dots = 0
        for at in range(last - 1, first - 1, -1):
            state = _take(state, _small(data[at]))
            dots += data[at] == 46
        end = path
        while end < offsets[i + 1] and data[end] != 63 and data[end] != 35:
            end += 1
        while end > path and data[end - 1] == 47:
            end -= 1
        if end > path:
            state = _ended(state)
            for at in range(path, end):
                state = _take(state, data[at])
        found[i] = _ended(state)
        none[i] = dots == 0
    return found, none


@njit(cache=True, nogil=True)
def _holds(key, firsts, rest, bits) -> Any:
    bucket = np.int64(key >> np.uint64(64 - bits))
    wanted = np.uint32((key >> np.uint64(32 - bits)) & np.uint64(0xFFFFFFFF))
    low = np.int64(firsts[bucket])
    high = np.int64(firsts[bucket + 1])
    while low < high:
        middle = (low + high) >> 1
        if rest[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low < np.int64(firsts[bucket + 1]) and rest[low] == wanted


@njit(cache=True, nogil=True)
def _listed(data, offsets, firsts, rest, bits) -> Any:
    found = np.zeros(len(offsets) - 1, np.bool_)
    if len(rest) == 0:
        return found
    for i in range(len(found)):
        first, last, path = _host(data, offsets[i], offsets[i + 1])
        while first < last and data[first] == 46:  # ".example.com", as some lists say what lies under it
            first += 1
        state = _SEED
        dots = 0
        hit = False
        for at in range(last - 1, first - 1, -1):
            byte = data[at]
            if byte == 46:
                hit |= dots > 0 and _holds(_ended(state), firsts, rest, bits)
                dots += 1
            state = _take(state, _small(byte))
        if last > first and dots:
            hit |= _holds(_ended(state), firsts, rest, bits)
        if not hit and dots and path < offsets[i + 1] and data[path] == 47:
            state = _ended(state)
            at = path
            while at < offsets[i + 1] and data[at] != 63 and data[at] != 35:
                if at > path and data[at] == 47 and _holds(_ended(state), firsts, rest, bits):
                    hit = True
                    break
                state = _take(state, data[at])
                at += 1
            hit |= at > path + 1 and _holds(_ended(state), firsts, rest, bits)
        found[i] = hit
    return found
