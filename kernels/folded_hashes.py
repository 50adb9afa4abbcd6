"""Hashes of tokens under case folding, those of ``Words.hashes``: many tokens of ASCII at once, any other alone.

A hash takes a token's characters one after another, so a single one keeps the processor waiting at every step. Here the
k-th characters of many tokens are taken in one turn, each token in a lane of its own; a lane whose token has ended
keeps its state. Each loop is plain enough for the compiler to turn into vector instructions: no branch, no store whose
place depends on a value, and slices, whose numbers are known not to be negative.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from kernels.blocks import load_word
from kernels.unicode import UNIT_CLASS, UNIT_CODE_MASK, UNIT_PROPERTIES, TokenClass, ascii_units, decode_part
from kernels.word_mixing import FIRST_STATE, case_folded, mix_end, mix_step

__all__ = ["ascii_hashes", "decoded_hashes"]

_LANES: Final = 2048  # tokens whose states lie in the cache together
_FORMAT: Final = np.uint32(int(TokenClass.FORMAT) << UNIT_PROPERTIES)
_ALL: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
_BYTE: Final = np.uint64(0xFF)
_TOPS: Final = np.uint64(0x8080808080808080)
_U1: Final = np.uint64(1)
_U4: Final = np.uint64(4)
_U8: Final = np.uint64(8)
_U16: Final = np.uint64(16)
_U64: Final = np.uint64(64)


@njit(cache=True, nogil=True)
def ascii_hashes(data, starts, ends) -> Any:
    """Hash each token that is ASCII and has at most sixteen bytes.

    Returns:
        One hash a token, and the numbers of those that have none yet: the others, and those so near to the end of
        ``data`` that sixteen bytes do not lie there.
    """
    n = len(starts)
    hashes = np.empty(n, np.uint64)
    others = np.empty(n, np.int64)
    left = np.uint64(0)
    firsts, seconds = np.empty(_LANES, np.uint64), np.empty(_LANES, np.uint64)
    sizes, states, flags = np.empty(_LANES, np.uint64), np.empty(_LANES, np.uint64), np.empty(_LANES, np.uint64)
    # Those that go on beyond eight bytes.
    longer = np.empty(_LANES, np.int64)
    words, rests, begun = np.empty(_LANES, np.uint64), np.empty(_LANES, np.uint64), np.empty(_LANES, np.uint64)
    for base in range(0, n, _LANES):
        count = min(_LANES, n - base)
        _load(data, starts[base : base + count], firsts, seconds)
        _masked(starts[base : base + count], ends[base : base + count], len(data), firsts, seconds, sizes, flags)
        left, more = _parted(base, flags[:count], seconds, sizes, others, left, longer, words, rests)
        states[:count] = FIRST_STATE
        _eight_steps(firsts[:count], sizes, states)
        for k in range(more):
            begun[k] = states[np.uint64(longer[k])]
        _eight_steps(words[:more], rests, begun)
        for k in range(more):
            states[np.uint64(longer[k])] = begun[k]
        _end(states[:count], hashes[base : base + count])
    return hashes, others[: np.int64(left)].copy()


@njit(cache=True, nogil=True)
def decoded_hashes(data, starts, ends, tables) -> Any:
    """Hash any tokens; what is invisible in them is left out."""
    hashes = np.empty(len(starts), np.uint64)
    ascii_table = ascii_units(tables)
    room = np.empty(64, np.uint32)
    for k in range(len(starts)):
        size = ends[k] - starts[k]
        units = room if size <= 64 else np.empty(size, np.uint32)
        state = FIRST_STATE
        for number in range(decode_part(data, starts[k], ends[k], tables, ascii_table, units)):
            if units[number] & UNIT_CLASS != _FORMAT:
                state = mix_step(state, units[number] & UNIT_CODE_MASK)
        hashes[k] = mix_end(state)
    return hashes


@njit(cache=True, nogil=True)
def _load(data, starts, firsts, seconds) -> Any:
    """The sixteen bytes from each start on."""
    limit = len(data) - 16
    for k in range(len(starts)):
        at = min(starts[k], limit)
        firsts[k] = load_word(data, at)
        seconds[k] = load_word(data, at + 8)


@njit(cache=True, nogil=True)
def _masked(starts, ends, length, firsts, seconds, sizes, flags) -> Any:
    """Fold the case of what belongs to each token; flag 1: it goes on beyond eight bytes, 2 and 3: it is another."""
    limit = length - 16
    for k in range(len(starts)):
        size = np.uint64(ends[k] - starts[k])
        first = firsts[k] & (_ALL >> (_U64 - _U8 * min(size, _U8)))
        half = _U4 * (max(min(size, _U16), _U8) - _U8)  # of the bits: a shift by 64 means nothing
        second = seconds[k] & ~((_ALL << half) << half)
        foreign = np.uint64((first | second) & _TOPS != np.uint64(0))
        other = foreign | np.uint64(size > _U16) | np.uint64(starts[k] > limit)
        flags[k] = np.uint64(size > _U8) | (other << _U1)
        firsts[k] = case_folded(first)
        seconds[k] = case_folded(second)
        sizes[k] = size


@njit(cache=True, nogil=True)
def _parted(base, flags, seconds, sizes, others, left, longer, words, rests) -> Any:
    """Note the tokens that go on and those that are others, without a branch on which they are."""
    more = np.uint64(0)
    for k in range(len(flags)):
        others[left] = base + k
        left += flags[k] >> _U1
        longer[more] = k
        words[more] = seconds[k]
        rests[more] = sizes[k] - _U8
        more += np.uint64(flags[k] == _U1)
    return left, np.int64(more)


@njit(cache=True, nogil=True)
def _eight_steps(words, sizes, states) -> Any:
    """Take up to eight characters into each state."""
    for k in range(len(words)):
        word, size, state = words[k], sizes[k], states[k]
        for place in range(8):
            taken = mix_step(state, word & _BYTE)
            state = taken if np.uint64(place) < size else state
            word >>= _U8
        states[k] = state


@njit(cache=True, nogil=True)
def _end(states, hashes) -> Any:
    for k in range(len(states)):
        hashes[k] = mix_end(states[k])
