"""Rarity-weighted alignment: how much of an item's question stands in a stretch of text, in order, other words between.

A dynamic programme over the words of the question and those of the stretch (Smith and Waterman 1981, with a cost for
each word of the text that lies between): a matched word gives its weight, so a page that happens to hold the item's
common words in order gains nothing. Choices are compared without their order: options are shuffled and renumbered.
Words are compared by 16 bits of their hash; one word in 65,536 passes for another.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Aligned", "Scratch", "align", "choices", "could_hold", "holds", "mark", "scratch"]

_LOW: Final = np.uint64(0xFFFF)
_U1: Final = np.uint64(1)
_U6: Final = np.uint64(6)
_U63: Final = np.uint64(63)
_SKIP: Final = 0.05  # nats for a word of the question that is missing: of equal alignments, the compact one


class Scratch(NamedTuple):
    """Room for two rows of the programme, and a mark for each of 65,536 words."""

    gain: NDArray[np.float64]  # (2, longest question + 1)
    weight: NDArray[np.float64]  # matched weight of the best alignment that ends here
    words: NDArray[np.int64]  # its matched words
    start: NDArray[np.int64]  # its first word in the text
    first: NDArray[np.int64]  # and in the question
    marks: NDArray[np.uint8]
    there: NDArray[np.uint64]  # the same, a bit each


class Aligned(NamedTuple):
    """The best alignment: places of its outermost matched words in text and question, and what it matched."""

    start: int
    end: int
    first: int
    last: int
    weight: float
    words: int


@njit(cache=True, nogil=True)
def scratch(longest) -> Any:
    """Make room for questions of at most so many words."""
    return Scratch(
        np.zeros((2, longest + 1)),
        np.zeros((2, longest + 1)),
        np.zeros((2, longest + 1), np.int64),
        np.zeros((2, longest + 1), np.int64),
        np.zeros((2, longest + 1), np.int64),
        np.zeros(65_536, np.uint8),
        np.zeros(1_024, np.uint64),
    )


@njit(cache=True, nogil=True)
def could_hold(window, low, high, words, weights, base, question, asked, least, there) -> Any:
    """Say whether the words of ``window[low:high]``, in any order, hold ``least`` of the question's weight.

    An upper bound of what ``align`` can find, at a fraction of its cost: most stretches end here.
    """
    mark(window, low, high, there)
    held = holds(words, weights, base, question, asked, least, there)
    there[:] = 0
    return held


@njit(cache=True, nogil=True)
def mark(window, low, high, there) -> None:
    """Mark the words of a part of a text."""
    for k in range(low, high):
        word = window[k] & _LOW
        there[word >> _U6] |= _U1 << (word & _U63)


@njit(cache=True, nogil=True)
def holds(words, weights, base, question, asked, least, there) -> Any:
    """Say whether the marked words hold ``least`` of the question's weight, which is ``asked``."""
    rest = asked
    for w in range(question):
        word = np.uint64(words[base + w])
        missing = (there[word >> _U6] >> (word & _U63) & _U1) ^ _U1
        rest -= np.float64(weights[base + w]) * np.float64(missing)  # whether it is there cannot be foretold
        if rest < least:
            break
    return rest >= least


@njit(cache=True, nogil=True)
def align(window, low, high, words, weights, base, question, nearest, farthest, cost, room) -> Any:
    """Align a question with ``window[low:high]``.

    The question is ``words[base:base + question]`` and ``weights`` weighs it. Looked at are the diagonals (place in the
    text less place in the question) from ``nearest`` to ``farthest``; each word of the text between two matched ones
    costs ``cost`` nats. ``room`` is ``Scratch``.
    """
    gain, weight, count, start, first, _, _ = room
    best = 0.0
    found = Aligned(low, low, 0, 0, 0.0, 0)
    for j in range(question + 1):
        gain[0, j] = 0.0
        gain[1, j] = 0.0
        weight[0, j] = 0.0
        count[0, j] = 0
    for k in range(low, high):
        old = (k - low) & 1
        new = 1 - old
        word = np.uint16(window[k] & _LOW)
        begin = min(max(0, k - farthest), question)
        end = min(question, max(begin, k - nearest + 1))
        gain[new, begin] = 0.0
        weight[new, begin] = 0.0
        count[new, begin] = 0
        for j in range(begin, end):
            # gain[., j + 1]: the best alignment that ends at or before word j of the question.
            value = gain[old, j + 1] - cost
            origin = 0
            left = gain[new, j] - _SKIP
            if left > value:
                value = left
                origin = 1
            if word == words[base + j]:
                diagonal = gain[old, j] + np.float64(weights[base + j])
                if diagonal >= value:
                    value = diagonal
                    origin = 2
            if value <= 0.0:
                gain[new, j + 1] = 0.0
                weight[new, j + 1] = 0.0
                count[new, j + 1] = 0
                continue
            gain[new, j + 1] = value
            if origin == 0:
                weight[new, j + 1] = weight[old, j + 1]
                count[new, j + 1] = count[old, j + 1]
                start[new, j + 1] = start[old, j + 1]
                first[new, j + 1] = first[old, j + 1]
            elif origin == 1:
                weight[new, j + 1] = weight[new, j]
                count[new, j + 1] = count[new, j]
                start[new, j + 1] = start[new, j]
                first[new, j + 1] = first[new, j]
            else:
                fresh = count[old, j] == 0
                weight[new, j + 1] = weight[old, j] + np.float64(weights[base + j])
                count[new, j + 1] = count[old, j] + 1
                start[new, j + 1] = k if fresh else start[old, j]
                first[new, j + 1] = j if fresh else first[old, j]
                if value > best:
                    best = value
                    found = Aligned(start[new, j + 1], k, first[new, j + 1], j, weight[new, j + 1], count[new, j + 1])
        # Beyond the band nothing is known: the next row must not read an older one there.
        if end < question:
            gain[new, end + 1] = 0.0
            weight[new, end + 1] = 0.0
            count[new, end + 1] = 0
    return found


@njit(cache=True, nogil=True)
def choices(window, low, near, high, words, weights, base, question, length, marks) -> Any:
    """Look for the words of an item's choices in ``window[low:high]``, in any order.

    From ``near`` on, where the choices end if nothing lies between them, only words not found before count.

    Returns:
        Weight and number of those that are there, the place of the last, and the weight of all.
    """
    for w in range(question, length):
        marks[words[base + w]] = 1
    last = low - 1
    for k in range(low, high):
        at = window[k] & _LOW
        if marks[at] == 1 or (marks[at] == 2 and k < near):
            marks[at] = 2
            last = k
    weight = 0.0
    whole = 0.0
    count = 0
    for w in range(question, length):
        whole += np.float64(weights[base + w])
        if marks[words[base + w]] == 2:
            weight += np.float64(weights[base + w])
            count += 1
    for w in range(question, length):
        marks[words[base + w]] = 0
    return weight, count, last, whole
