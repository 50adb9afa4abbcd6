"""The different spellings among the tokens of a batch, their *types*: what is true of a spelling is found once for it.

A text has five to ten times as many tokens as types.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["TokenTypes", "of_tokens", "token_types"]

_FEWEST: Final = 6  # bits of a slot's number in the smallest table
_FIRST: Final = 14  # and in the one that a large batch begins with
_STRETCH: Final = 256  # tokens that are looked up before what is new among them is entered
_U1: Final = np.uint64(1)
_U2: Final = np.uint64(2)


class TokenTypes(NamedTuple):
    """The types of a batch have numbers in the order in which they are met."""

    numbers: NDArray[np.int32]
    """Of each token, its type's number."""
    firsts: NDArray[np.int64]
    """Of each type, the number of its first token."""


def token_types(hashes: NDArray[np.uint64]) -> TokenTypes:
    """Tell the types of tokens by a hash of each that spreads over all its bits."""
    return TokenTypes(*_types(hashes))


def of_tokens(values: NDArray[np.uint64], types: TokenTypes) -> NDArray[np.uint64]:
    """The value of each token's type."""
    return _of_tokens(values, types.numbers)


@njit(cache=True, nogil=True)
def _of_tokens(values, numbers) -> Any:
    found = np.empty(len(numbers), values.dtype)
    for k in range(len(numbers)):
        found[k] = values[np.uint64(numbers[k])]
    return found


@njit(cache=True, nogil=True)
def _known(hashes, at, end, numbers, table, bits, others) -> Any:
    """Number the tokens whose type is known and stands where its hash says; the rest, in ``others``, and their number.

    Most tokens are of types that came early, and so have their own place: no branch is needed for them.
    """
    shift = np.uint64(64 - bits)
    left = np.uint64(0)
    for k in range(np.uint64(at), np.uint64(end)):
        key = hashes[k]
        slot = (key >> shift) << _U1
        number = np.int64(table[slot + _U1])
        numbers[k] = number - 1
        others[left] = k
        left += np.uint64((table[slot] != key) | (number == 0))
    return np.int64(left)


@njit(cache=True, nogil=True)
def _fill(hashes, at, numbers, firsts, table, types, bits, others) -> Any:
    """Number the tokens from ``at`` on until the table is half full; the token that is next, and the types so far.

    A slot of the table is a hash beside one more than its type's number: 0 where it is free.
    """
    room = len(firsts)
    shift = np.uint64(64 - bits)
    mask = np.uint64(len(table) - 1)
    for base in range(at, len(hashes), len(others)):
        left = _known(hashes, base, min(base + len(others), len(hashes)), numbers, table, bits, others)
        for which in range(left):
            k = others[which]
            key = hashes[k]
            slot = (key >> shift) << _U1
            while table[slot] != key and table[slot + _U1] != 0:
                slot = (slot + _U2) & mask
            number = np.int64(table[slot + _U1])
            if number == 0:
                if types == room:
                    return k, types
                firsts[types] = k
                types += 1
                number = types
                table[slot] = key
                table[slot + _U1] = np.uint64(number)
            numbers[k] = number - 1
    return len(hashes), types


@njit(cache=True, nogil=True)
def _types(hashes) -> Any:
    """Arrays grow here and not in the loop over tokens: what may be assigned there is counted at every turn."""
    bits = _FEWEST
    while bits < _FIRST and (1 << bits) < 2 * len(hashes):
        bits += 1
    numbers = np.empty(len(hashes), np.int32)
    firsts = np.empty(1 << bits - 1, np.int64)
    table = np.zeros(2 << bits, np.uint64)
    others = np.empty(_STRETCH, np.int64)
    at, types = _fill(hashes, 0, numbers, firsts, table, 0, bits, others)
    while at < len(hashes):
        bits += 2
        larger = np.empty(1 << bits - 1, np.int64)
        larger[:types] = firsts[:types]
        firsts = larger
        table = np.zeros(2 << bits, np.uint64)
        _keep(hashes, firsts, table, types, bits)
        at, types = _fill(hashes, at, numbers, firsts, table, types, bits, others)
    return numbers, firsts[:types].copy()


@njit(cache=True, nogil=True)
def _keep(hashes, firsts, table, types, bits) -> Any:
    """Enter the types that are known into a larger table."""
    shift = np.uint64(64 - bits)
    mask = np.uint64(len(table) - 1)
    for number in range(types):
        key = hashes[firsts[number]]
        slot = (key >> shift) << _U1
        while table[slot + _U1] != 0:
            slot = (slot + _U2) & mask
        table[slot] = key
        table[slot + _U1] = np.uint64(number + 1)
