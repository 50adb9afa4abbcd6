"""Scores by coverage: stretches of a text with n-grams of one item that cover enough of it (decon, Llama 3, GPT-3)."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from decontam.found import reported

__all__ = ["cover"]

_U32: Final = np.uint64(32)
_LOW: Final = np.uint64(0xFFFFFFFF)


@njit(cache=True, nogil=True)
def cover(text, hit, place, postings, rules, covered, found, size) -> Any:
    """Gather one text's hits into stretches, and keep those whose n-grams cover enough of their piece."""
    n = rules.n
    order = np.argsort(hit, kind="mergesort")
    begin = 0
    while begin < len(order):
        piece = np.int64(hit[order[begin]] >> _U32)
        first = np.int64(hit[order[begin]] & _LOW)
        last = first
        end = begin + 1
        while end < len(order):
            following = np.int64(hit[order[end]] & _LOW)
            if np.int64(hit[order[end]] >> _U32) != piece or following - last > n + rules.max_gap:
                break
            last = following
            end += 1
        if (end - begin) * n >= rules.min_words:
            base, length = postings.pieces[piece].begin, np.int64(postings.pieces[piece].words)
            covered[:length] = 0
            reached = first
            inside = 0  # words of the text covered by n-grams, each counted once
            for k in range(begin, end):
                for w in range(place[order[k]], place[order[k]] + n):
                    covered[w] = 1
                here = np.int64(hit[order[k]] & _LOW)
                inside += here + n - max(here, reached)
                reached = here + n
            words = 0
            evidence = 0.0
            asked = 0.0
            answered = 0.0
            for w in range(length):
                weight = np.float64(postings.weights[base + w])
                words += covered[w]
                evidence += weight * covered[w]
                if w < postings.pieces[piece].question:
                    asked += weight
                    answered += weight * covered[w]
            enough = words >= rules.min_words and evidence >= rules.min_evidence and answered > 0.0
            dense = inside >= rules.min_density * (last + n - first)
            if enough and dense and answered >= rules.min_score * asked:
                before, after = place[order[begin]], place[order[end - 1]] + n
                found, size = reported(
                    text, piece, first, last + n - 1, before, after, answered / asked, postings, found, size
                )
        begin = end
    return found, size
