"""From pieces to postings: which n-grams of which pieces are looked for, and what each word of a piece weighs."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from decontam.layout import GRAM, PIECE, Lookup, Postings
from decontam.lookup import prepare
from decontam.method import Method
from decontam.pieces import Assembled
from decontam.seeds import gram_hash, ngrams

__all__ = ["ALIVE", "COMMON", "TEMPLATE", "Built", "build"]

ALIVE, TEMPLATE, COMMON = 0, 1, 2
"""What became of a piece: looked for, lost to templates, lost to what is common in the corpus."""

# Of one n-gram's places in one piece no more than these are kept: an item that repeats itself is found all the same.
_MOST_PLACES = 4


class _Grams(NamedTuple):
    """n-grams and where they stand, sorted by n-gram, piece and position."""

    gram: NDArray[np.uint64]
    piece: NDArray[np.int32]
    position: NDArray[np.int32]


class Built(NamedTuple):
    """The postings of pieces, the tables for looking up, and what became of each piece."""

    postings: Postings
    lookup: Lookup
    fate: NDArray[np.int8]  # ``ALIVE``, ``TEMPLATE``, ``COMMON``


def build(pieces: Assembled, method: Method, common: NDArray[np.uint64]) -> Built:
    """Find the n-grams that are looked for.

    Args:
        pieces: of all items.
        method: how they are looked for.
        common: hashes of n-grams in common use in the corpus, ascending. They prove nothing, like templates; but of
            ``run`` they are kept, because a longer n-gram around one may be rare.
    """
    wanted = _sorted(*ngrams(pieces.offsets, pieces.hashes, method.n))
    groups = int(pieces.group.max(initial=-1)) + 1
    keep = _of_few(wanted.gram, wanted.piece, pieces.group, groups, method.max_items, _MOST_PLACES)
    templates = _alive(pieces, method, _coverable(pieces, wanted, keep, method.n))
    if method.kind != "run" and len(common):
        keep &= ~_among(common, wanted.gram)
    coverable = _coverable(pieces, wanted, keep, method.n)
    alive = _alive(pieces, method, coverable)
    if method.kind == "run" and len(common):
        alive &= _rare_somewhere(pieces.offsets, pieces.hashes, method.n, method.lengths[1], common)
    weights = np.where(coverable, pieces.weights, 0).astype(np.float32)
    found = _chosen(wanted, keep & alive[wanted.piece] & _telling(pieces, wanted, keep, method))
    brief = np.zeros(len(found.gram), np.bool_)
    if method.short:
        short = _short(pieces, method, common, alive)
        gram = np.concatenate((found.gram, short.gram))
        order = np.argsort(gram, kind="stable")
        brief = order >= len(found.gram)
        found = _Grams(
            gram[order],
            np.concatenate((found.piece, short.piece))[order],
            np.concatenate((found.position, short.position))[order],
        )
    postings = Postings(_laid_out(found), _of_pieces(pieces, weights), pieces.hashes.astype(np.uint16), weights, common)
    fate = np.where(alive, ALIVE, np.where(templates, COMMON, TEMPLATE)).astype(np.int8)
    return Built(postings, prepare(postings, brief, method.n, method.short), fate)


def _laid_out(grams: _Grams) -> NDArray[Any]:
    """Put each n-gram beside its place."""
    found = np.empty(len(grams.gram), GRAM)
    for name, column in grams._asdict().items():
        found[name] = column
    return found


def _of_pieces(pieces: Assembled, weights: NDArray[np.float32]) -> NDArray[Any]:
    """Put what is known of each piece together; ``weights`` are those of the words that an n-gram can cover."""
    found = np.empty(len(pieces.lead), PIECE)
    begin = pieces.offsets[:-1]
    running = np.concatenate(([0.0], np.cumsum(weights, dtype=np.float64)))
    found["begin"] = begin
    found["asked"] = running[begin + pieces.question] - running[begin]
    found["words"] = np.diff(pieces.offsets)
    found["question"], found["lead"], found["trail"] = pieces.question, pieces.lead, pieces.trail
    return found


def _sorted(gram: NDArray[np.uint64], piece: NDArray[np.int32], position: NDArray[np.int32]) -> _Grams:
    """Sort by n-gram; what comes in by piece and position stays so."""
    order = np.argsort(gram, kind="stable")
    return _Grams(gram[order], piece[order], position[order])


def _chosen(grams: _Grams, keep: NDArray[np.bool_]) -> _Grams:
    return _Grams(grams.gram[keep], grams.piece[keep], grams.position[keep])


def _telling(pieces: Assembled, grams: _Grams, keep: NDArray[np.bool_], method: Method) -> NDArray[np.bool_]:
    """Say which n-grams are worth a look when a text has them: not "at the end of the", unless a piece has no other."""
    running = np.concatenate(([0.0], np.cumsum(pieces.rarity, dtype=np.float64)))
    at = pieces.offsets[grams.piece] + grams.position
    telling = running[at + method.n] - running[at] >= method.gram_weight
    other = np.zeros(len(pieces.lead), np.bool_)
    other[grams.piece[keep & telling]] = True
    return telling | ~other[grams.piece]


def _short(pieces: Assembled, method: Method, common: NDArray[np.uint64], alive: NDArray[np.bool_]) -> _Grams:
    """Return the short n-grams of short pieces whose words are rare: where every long one is broken, they are left."""
    gram, piece, position = ngrams(pieces.offsets, pieces.hashes, method.short)
    running = np.concatenate(([0.0], np.cumsum(pieces.rarity, dtype=np.float64)))
    at = pieces.offsets[piece] + position
    rare = running[at + method.short] - running[at] >= method.short_weight
    rare &= alive[piece] & (np.diff(pieces.offsets)[piece] <= method.short_words)
    found = _sorted(gram[rare], piece[rare], position[rare])
    groups = int(pieces.group.max(initial=-1)) + 1
    keep = _of_few(found.gram, found.piece, pieces.group, groups, method.short_items, _MOST_PLACES)
    if len(common):
        keep &= ~_among(common, found.gram)
    return _chosen(found, keep)


def _coverable(pieces: Assembled, grams: _Grams, keep: NDArray[np.bool_], n: int) -> NDArray[np.bool_]:
    """Say which words of the pieces an n-gram that is kept can cover; the others are template."""
    coverable = np.zeros(len(pieces.hashes), np.bool_)
    at = pieces.offsets[grams.piece[keep]] + grams.position[keep]
    for step in range(n):
        coverable[at + step] = True
    return coverable


def _alive(pieces: Assembled, method: Method, coverable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say which pieces are left with enough words and evidence."""
    if not len(pieces.lead):
        return np.zeros(0, np.bool_)
    words = np.concatenate(([0], np.cumsum(coverable)))
    running = np.concatenate(([0.0], np.cumsum(np.where(coverable, pieces.weights, 0), dtype=np.float64)))
    begin, end = pieces.offsets[:-1], pieces.offsets[1:]
    enough = words[end] - words[begin] >= method.least_words
    evident = running[end] - running[begin] >= method.least_evidence
    return enough & evident & (running[begin + pieces.question] > running[begin])


@njit(cache=True, nogil=True)
def _rare_somewhere(offsets, hashes, n, longest, common) -> Any:
    """Say which pieces have an n-gram that is not common: a text that has all of a piece is judged by the longest ones.

    Shorter ones inside a common n-gram are at least as common.
    """
    rare = np.zeros(len(offsets) - 1, np.bool_)
    for p in range(len(rare)):
        for at in range(offsets[p], offsets[p + 1] - n + 1):
            gram = gram_hash(hashes, at, min(longest, offsets[p + 1] - at))
            k = np.searchsorted(common, gram)
            if k == len(common) or common[k] != gram:
                rare[p] = True
                break
    return rare


def _among(ordered: NDArray[np.uint64], values: NDArray[np.uint64]) -> NDArray[np.bool_]:
    at = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return ordered[at] == values


@njit(cache=True, nogil=True)
def _of_few(gram, piece, group, groups, most_groups, most_places) -> Any:
    """Say which places to keep: of n-grams of at most so many groups, and the first ones in each piece."""
    keep = np.zeros(len(gram), np.bool_)
    seen = np.full(groups, -1, np.int64)
    begin = 0
    while begin < len(gram):
        end = begin
        count = 0
        while end < len(gram) and gram[end] == gram[begin]:
            if seen[group[piece[end]]] != begin:
                seen[group[piece[end]]] = begin
                count += 1
            end += 1
        if count <= most_groups:
            places = 0
            for k in range(begin, end):
                places = places + 1 if k > begin and piece[k] == piece[k - 1] else 1
                keep[k] = places <= most_places
        begin = end
    return keep
