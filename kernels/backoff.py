"""Scoring with an n-gram language model in backoff form (ARPA), as KenLM scores it.

The model is one hash table: a run of words is known by its length and a polynomial of the words' hashes. The score of a
word is the log10 probability of the longest known run that ends with it, plus the backoff weights of the longer
contexts that are known without it (Katz 1987; KenLM, Heafield 2011).
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.spaced import spelling_hash

__all__ = ["BackoffModel", "LineScores", "backoff_model", "score_lines"]

_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)  # odd
_MISSING: Final = -100.0  # KenLM's default


class BackoffModel(NamedTuple):
    """A hash table of runs; 0 is a free place."""

    keys: NDArray[np.uint64]
    scores: NDArray[np.float64]  # log10 probability
    backoffs: NDArray[np.float64]  # log10
    order: int
    unknown: float  # log10 probability of a word that the model does not know, if it has no <unk>


class LineScores(NamedTuple):
    """What the model says of each line."""

    log10: NDArray[np.float64]  # of its words and its end
    unknown: NDArray[np.int64]  # words that the model does not know


def backoff_model(
    hashes: NDArray[np.uint64], offsets: NDArray[np.int64], scores: NDArray[np.float64], backoffs: NDArray[np.float64]
) -> BackoffModel:
    """Build the table.

    Args:
        hashes: ``spelling_hash`` of the words of all runs in a row.
        offsets: runs + 1, their ranges there.
        scores: log10 probability of each run's last word after the others.
        backoffs: log10 backoff weight of each run, 0 where it has none.
    """
    size = 64
    while size < 2 * (len(offsets) - 1):
        size *= 2
    order = int(np.diff(offsets).max(initial=1))
    keys, table_scores, table_backoffs = _build(hashes, offsets, scores, backoffs, size)
    return BackoffModel(keys, table_scores, table_backoffs, order, _MISSING)


def score_lines(model: BackoffModel, offsets: NDArray[np.int64], hashes: NDArray[np.uint64]) -> LineScores:
    """Score lines, each between ``<s>`` and ``</s>``.

    Args:
        model: the language model.
        offsets: the lines' ranges of words.
        hashes: ``spelling_hash`` of each word.
    """
    marks = (np.uint64(spelling_hash(mark)) for mark in ("<s>", "</s>", "<unk>"))
    return LineScores(*_score(*model, offsets, hashes, *marks))


@njit(cache=True, nogil=True)
def _run_of(hashes, first, length) -> Any:
    """Key of the run of words; every length has keys of its own."""
    value = np.uint64(length)
    for k in range(first, first + length):
        value = (value ^ hashes[k]) * _MULTIPLIER
        value ^= value >> np.uint64(32)
    return value | np.uint64(1)


@njit(cache=True, nogil=True)
def _find(keys, key) -> Any:
    mask = np.uint64(len(keys) - 1)
    slot = (key >> np.uint64(1)) & mask
    while keys[slot] != 0:
        if keys[slot] == key:
            return np.int64(slot)
        slot = (slot + np.uint64(1)) & mask
    return np.int64(-1)


@njit(cache=True, nogil=True)
def _build(hashes, offsets, scores, backoffs, size) -> Any:
    keys = np.zeros(size, np.uint64)
    table_scores = np.zeros(size, np.float64)
    table_backoffs = np.zeros(size, np.float64)
    mask = np.uint64(size - 1)
    for i in range(len(offsets) - 1):
        key = _run_of(hashes, offsets[i], offsets[i + 1] - offsets[i])
        slot = (key >> np.uint64(1)) & mask
        while keys[slot] != 0 and keys[slot] != key:
            slot = (slot + np.uint64(1)) & mask
        keys[slot] = key
        table_scores[slot] = scores[i]
        table_backoffs[slot] = backoffs[i]
    return keys, table_scores, table_backoffs


@njit(cache=True, nogil=True)
def _score(keys, scores, backoffs, order, unknown, offsets, hashes, begin, end, other) -> Any:
    lines = len(offsets) - 1
    log10 = np.zeros(lines, np.float64)
    unknowns = np.zeros(lines, np.int64)
    longest = np.int64(0)
    for i in range(lines):
        longest = max(longest, offsets[i + 1] - offsets[i])
    sentence = np.empty(longest + 2, np.uint64)
    for i in range(lines):
        count = offsets[i + 1] - offsets[i]
        sentence[0] = begin
        sentence[1 : count + 1] = hashes[offsets[i] : offsets[i + 1]]
        sentence[count + 1] = end
        for at in range(1, count + 2):
            if _find(keys, _run_of(sentence, at, 1)) < 0:
                unknowns[i] += 1
                sentence[at] = other  # as if <unk> stood there
            first = max(np.int64(0), at - order + 1)
            while first <= at:
                found = _find(keys, _run_of(sentence, first, at - first + 1))
                if found >= 0:
                    log10[i] += scores[found]
                    break
                context = _find(keys, _run_of(sentence, first, at - first)) if first < at else np.int64(-1)
                if context >= 0:
                    log10[i] += backoffs[context]
                first += 1
            if first > at:
                log10[i] += unknown
    return log10, unknowns
