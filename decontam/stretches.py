"""Scores by alignment: around each n-gram of an item, the words of the text aligned with the item's question."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from decontam.align import align, choices, could_hold, holds, mark
from decontam.found import reported
from kernels.blocks import prefetch

__all__ = ["stretches"]

_U32: Final = np.uint64(32)
_LINES: Final = 3  # of memory that the weights of most questions take
_LOW: Final = np.uint64(0xFFFFFFFF)


@njit(cache=True, nogil=True)
def _median(hit, place, order, begin, end, base, weights, n) -> Any:
    """Return the diagonal that halves the weight of a stretch's n-grams."""
    diagonals = np.empty(end - begin, np.int64)
    weight = np.empty(end - begin)
    for k in range(begin, end):
        at = place[order[k]]
        diagonals[k - begin] = np.int64(hit[order[k]] & _LOW) - at
        weight[k - begin] = weights[base + at : base + at + n].sum()
    by = np.argsort(diagonals, kind="mergesort")
    rest = weight.sum() / 2
    for k in by:
        rest -= weight[k]
        if rest <= 0.0:
            return diagonals[k]
    return diagonals[by[-1]]


@njit(cache=True, nogil=True)
def _held(window, hit, place, postings, rules, there) -> Any:
    """Keep the hits whose piece a text can hold, by the marks of its words; return how many they are.

    What is known of a piece is seldom in the processor's cache: the scan asked for its record, here its words are. The
    text's words are marked in the meantime, a half before and a half after.
    """
    words, weights = postings.words, postings.weights
    middle = len(window) // 2
    mark(window, 0, middle, there)
    for k in range(len(hit)):
        base = postings.pieces[np.int64(hit[k] >> _U32)].begin
        prefetch(words, base)
        for line in range(_LINES):
            prefetch(weights, base + 16 * line)
    mark(window, middle, len(window), there)
    left = 0
    piece = np.int64(-1)
    held = False
    for k in range(len(hit)):
        if np.int64(hit[k] >> _U32) != piece:
            piece = np.int64(hit[k] >> _U32)
            one = postings.pieces[piece]
            held = holds(
                words, weights, one.begin, np.int64(one.question), one.asked, rules.min_score * one.asked, there
            )
        hit[left] = hit[k]
        place[left] = place[k]
        left += np.int64(held)
    return left


@njit(cache=True, nogil=True)
def stretches(text, hit, place, postings, rules, room, found, size) -> Any:
    """Gather one text's hits into stretches of about an item's length, and keep those that align with their piece."""
    window = text.window
    left = _held(window, hit, place, postings, rules, room.there)  # what the text does not hold, no stretch of it does
    room.there[:] = 0
    if left == 0:
        return found, size
    hit, place = hit[:left], place[:left]
    order = np.argsort(hit, kind="mergesort")
    begin = 0
    done = np.int64(-1)  # the piece found last, and the word after it
    free = np.int64(0)
    while begin < len(order):
        piece = np.int64(hit[order[begin]] >> _U32)
        base, asked = postings.pieces[piece].begin, postings.pieces[piece].asked
        length, question = np.int64(postings.pieces[piece].words), np.int64(postings.pieces[piece].question)
        slack = rules.max_gap + length // 4
        first = np.int64(hit[order[begin]] & _LOW)
        last = first
        nearest = first - place[order[begin]]
        farthest = nearest
        end = begin + 1
        while end < len(order):
            following = np.int64(hit[order[end]] & _LOW)
            if np.int64(hit[order[end]] >> _U32) != piece or following - first > 2 * length + slack:
                break
            last = following
            nearest = min(nearest, last - place[order[end]])
            farthest = max(farthest, last - place[order[end]])
            end += 1
        opening = begin
        begin = end
        if question < length:  # choices may stand in any order: the n-grams do not say where the question is
            nearest = first - length
            farthest = last
        low = max(free if piece == done else 0, nearest - slack)
        high = min(len(window), max(last + rules.n, farthest + length + slack))
        least = rules.min_score * asked
        words, weights = postings.words, postings.weights
        if not could_hold(window, low, high, words, weights, base, question, asked, least, room.there):
            continue
        nearest -= slack
        farthest += slack
        if farthest - nearest > 2 * rules.band:
            # A phrase that the item repeats is found far from its place; most n-grams say where the item is.
            center = _median(hit, place, order, opening, end, base, weights, rules.n)
            nearest = min(max(center - rules.band, nearest), farthest - 2 * rules.band)
            farthest = nearest + 2 * rules.band
        best = align(window, low, high, words, weights, base, question, nearest, farthest, rules.gap_cost, room)
        if best.weight < least or best.weight <= 0.0:
            continue
        if best.words < rules.min_density * (best.end - best.start + 1):
            continue  # the item's common words in order, and much else between them
        stop = best.end
        evidence = best.weight
        count = best.words
        after = best.last + 1
        if question < length:
            rest = length - question
            near = min(len(window), best.end + 1 + rest * 5 // 4 + rules.max_gap)
            # As much again may lie between them: the tags of a list, option letters.
            reach = min(len(window), best.end + 1 + 2 * (rest + rules.max_gap))
            listed, number, ended, whole = choices(
                window, best.end + 1, near, reach, words, weights, base, question, length, room.marks
            )
            if listed < rules.min_choices * whole or whole <= 0.0:
                continue  # a page on the item's subject has many of its words
            evidence += listed
            count += number
            stop = max(stop, ended)
            after = length
        if count < rules.min_words or evidence < rules.min_evidence:
            continue
        found, size = reported(
            text, piece, best.start, stop, best.first, after, best.weight / asked, postings, found, size
        )
        # What lies inside the passage is found with it; behind it the item may stand again.
        done, free = piece, stop + 1
        begin = opening
        while (
            begin < len(order)
            and np.int64(hit[order[begin]] >> _U32) == piece
            and np.int64(hit[order[begin]] & _LOW) < free
        ):
            begin += 1
    return found, size
