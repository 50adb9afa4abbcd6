"""fastText's classifier over a whole batch of texts: rows of words and character n-grams, their mean, the labels.

The arithmetic is fastText's (Joulin et al. 2016, arXiv 1607.01759; ``dictionary.cc``, ``loss.cc`` of
facebookresearch/fastText 0.9.2): a text's vector is the mean of the rows of its words, of the character n-grams of each
word between "<" and ">", and of the end of the line; hierarchical softmax or softmax turns it into a probability a
label. Equal to the library's answer but for the order in which numbers are added, and but for a text in which "</s>" is
written, where the library stops reading.

Three things make it quick. The n-grams that a pruned model kept are found by one bit in a table of all buckets (250 kB
for two million) and the number of bits before it. What a word adds to its text is remembered, by a 64-bit hash of its
bytes, for the next time that it occurs: most words of a text are frequent ones. And a word is always summed on its own
before it is added to its text, so that what is remembered is what would be computed: neither batches nor order show.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.mixing import finish

__all__ = ["FNV_BASIS", "Classifier", "Dictionary", "kept_row", "probabilities", "row_sums", "step", "sum_word"]

FNV_BASIS: Final = np.uint32(2166136261)
_FNV_PRIME: Final = np.uint32(16777619)
_OPEN: Final = np.uint8(60)  # "<" and ">" stand around a word
_CLOSE: Final = np.uint8(62)
_MULTIPLY: Final = np.uint64(0x9E3779B97F4A7C15)
_U1: Final = np.uint64(1)
_U2: Final = np.uint64(2)
_U4: Final = np.uint64(4)
_U56: Final = np.uint64(56)
_U63: Final = np.uint64(63)
_BITS_1: Final = np.uint64(0x5555555555555555)
_BITS_2: Final = np.uint64(0x3333333333333333)
_BITS_4: Final = np.uint64(0x0F0F0F0F0F0F0F0F)
_BITS_8: Final = np.uint64(0x0101010101010101)
_REMEMBERED: Final = 1 << 14  # words, each in the place that its hash says; a later word takes an earlier one's place


class Dictionary(NamedTuple):
    """Where the row of a word or of an n-gram is."""

    slots: NDArray[np.int32]  # number of the word by its hash, open addressing; -1 is empty; a power of two long
    spelling: NDArray[np.uint8]  # bytes of all words and labels
    bounds: NDArray[np.int64]  # of each word in them
    kept: NDArray[np.uint64]  # a bit a bucket: its n-grams have a row
    before: NDArray[np.int64]  # bits set in the words of `kept` before each
    words: int  # rows of words; those of n-grams follow, in the order of their buckets
    entries: int  # words and labels
    buckets: int
    shortest: int  # code points of an n-gram, "<" and ">" among them
    longest: int  # 0: words alone
    end: int  # row of the end of a line, -1 where there is none


class Classifier(NamedTuple):
    """The rows of the labels: of the inner nodes of their tree (hierarchical softmax), or their own (softmax)."""

    weights: NDArray[np.float32]  # (dimensions, nodes or labels)
    left: NDArray[np.int32]  # children of each node, root first; labels are ~number; empty for softmax
    right: NDArray[np.int32]
    labels: int


def row_sums(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], rows: NDArray[np.float32], dictionary: Dictionary
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Add up the rows of every text's words and n-grams; the end of the line is not among them.

    Args:
        data: UTF-8 bytes.
        offsets: where each text begins and ends in them.
        rows: a row a word, then a row a bucket that was kept.
        dictionary: where a word's and an n-gram's row is.

    Returns:
        Sums (texts, dimensions), and how many rows each is made of.
    """
    return _row_sums(data, offsets, rows, dictionary)


def probabilities(
    sums: NDArray[np.float64], counts: NDArray[np.int64], end: NDArray[np.float32], classifier: Classifier
) -> NDArray[np.float32]:
    """Turn each text's sum into the probability of each label, (texts, labels).

    Args:
        sums: of rows, (texts, dimensions).
        counts: how many rows.
        end: the row of the end of a line, added once; empty where the model has none.
        classifier: the rows of the labels.
    """
    if len(classifier.left):
        return _tree(sums, counts, end, classifier)
    return _softmax(sums, counts, end, classifier)


@njit(cache=True, nogil=True, inline="always")
def _bits(value) -> Any:
    """Number of bits set."""
    value -= (value >> _U1) & _BITS_1
    value = (value & _BITS_2) + ((value >> _U2) & _BITS_2)
    value = (value + (value >> _U4)) & _BITS_4
    return np.int64((value * _BITS_8) >> _U56)


@njit(cache=True, nogil=True, inline="always")
def step(state, byte) -> Any:
    """FNV-1a of 32 bits as fastText has it: the byte is signed."""
    return np.uint32((state ^ np.uint32(np.int32(np.int8(byte)))) * _FNV_PRIME)  # Numba widens the product


@njit(cache=True, nogil=True, inline="always")
def kept_row(bucket, dictionary) -> Any:
    """The row of a bucket's n-grams, -1 where a pruned model has dropped them."""
    block = dictionary.kept[bucket >> 6]
    bit = np.uint64(bucket & 63)
    if not (block >> bit) & _U1:
        return np.int64(-1)
    return dictionary.words + dictionary.before[bucket >> 6] + _bits(block & ((_U1 << bit) - _U1))


@njit(cache=True, nogil=True)
def _word_row(data, start, end, state, dictionary) -> Any:
    """Number of the word or label, -1 where it is none."""
    mask = len(dictionary.slots) - 1
    slot = np.int64(state) & mask
    while dictionary.slots[slot] >= 0:
        word = dictionary.slots[slot]
        first = dictionary.bounds[word]
        if dictionary.bounds[word + 1] - first == end - start:
            same = True
            for k in range(end - start):
                if dictionary.spelling[first + k] != data[start + k]:
                    same = False
                    break
            if same:
                return word
        slot = (slot + 1) & mask
    return np.int32(-1)


@njit(cache=True, nogil=True)
def sum_word(data, start, end, rows, dictionary, token, out) -> Any:
    """Write into ``out`` the sum of the rows of one word; return how many they are."""
    dimensions = rows.shape[1]
    out[:] = 0
    state = FNV_BASIS
    for k in range(start, end):
        state = step(state, data[k])
    word = _word_row(data, start, end, state, dictionary)
    if word >= dictionary.words:
        return 0  # a label written in the text
    count = 0
    if word >= 0:
        for d in range(dimensions):
            out[d] += rows[word, d]
        count = 1
        if word == dictionary.end:
            return count
    if dictionary.longest == 0:
        return count
    size = end - start + 2
    token[0] = _OPEN
    for k in range(end - start):
        token[k + 1] = data[start + k]
    token[size - 1] = _CLOSE
    buckets = np.uint32(dictionary.buckets)
    for i in range(size):
        if token[i] & 0xC0 == 0x80:
            continue
        state = FNV_BASIS
        j = i
        n = 1
        while j < size and n <= dictionary.longest:
            state = step(state, token[j])
            j += 1
            while j < size and token[j] & 0xC0 == 0x80:
                state = step(state, token[j])
                j += 1
            if n >= dictionary.shortest and not (n == 1 and (i == 0 or j == size)):
                bucket = np.int64(state % buckets)
                block = dictionary.kept[bucket >> 6]
                bit = np.uint64(bucket & 63)
                if (block >> bit) & _U1:
                    row = dictionary.words + dictionary.before[bucket >> 6] + _bits(block & ((_U1 << bit) - _U1))
                    for d in range(dimensions):
                        out[d] += rows[row, d]
                    count += 1
            n += 1
    return count


@njit(cache=True, nogil=True)
def _row_sums(data, offsets, rows, dictionary) -> Any:
    n = len(offsets) - 1
    dimensions = rows.shape[1]
    sums = np.zeros((n, dimensions), np.float64)
    counts = np.zeros(n, np.int64)
    known = np.zeros(_REMEMBERED, np.uint64)
    known_sums = np.empty((_REMEMBERED, dimensions), np.float32)
    known_counts = np.empty(_REMEMBERED, np.int64)
    token = np.empty(256, np.uint8)
    for i in range(n):
        at = offsets[i]
        last = offsets[i + 1]
        while at < last:
            start = at
            mixed = np.uint64(0)
            while at < last:
                byte = data[at]
                if byte <= 32 and (byte == 32 or byte == 0 or 9 <= byte <= 13):
                    break
                mixed = (mixed ^ np.uint64(byte)) * _MULTIPLY
                mixed ^= mixed >> np.uint64(29)
                at += 1
            if at > start:
                key = finish(mixed ^ np.uint64(at - start)) | _U1
                slot = np.int64(key >> np.uint64(50))
                if known[slot] != key:
                    if at - start + 2 > len(token):
                        token = np.empty(2 * (at - start + 2), np.uint8)
                    known_counts[slot] = sum_word(data, start, at, rows, dictionary, token, known_sums[slot])
                    known[slot] = key
                for d in range(dimensions):
                    sums[i, d] += known_sums[slot, d]
                counts[i] += known_counts[slot]
            at += 1
    return sums, counts


@njit(cache=True, nogil=True)
def _scores(sums, count, end, weights, hidden, scores) -> Any:
    """The dot product of a text's mean row with the row of every node or label."""
    total = count + 1 if len(end) else count
    for d in range(len(hidden)):
        value = sums[d] + np.float64(end[d]) if len(end) else sums[d]
        hidden[d] = np.float32(value / total) if total else np.float32(0)
    scores[:] = 0
    for d in range(len(hidden)):
        for k in range(len(scores)):
            scores[k] += hidden[d] * weights[d, k]


@njit(cache=True, nogil=True)
def _tree(sums, counts, end, classifier) -> Any:
    n = len(counts)
    dimensions, nodes = classifier.weights.shape
    found = np.empty((n, classifier.labels), np.float32)
    hidden = np.empty(dimensions, np.float32)
    scores = np.empty(nodes, np.float32)
    reached = np.empty(nodes, np.float64)
    for i in range(n):
        _scores(sums[i], counts[i], end, classifier.weights, hidden, scores)
        reached[0] = 1.0
        for node in range(nodes):  # a node stands after its parent
            share = 1.0 / (1.0 + math.exp(-np.float64(scores[node])))
            # fastText adds 1e-5 before it takes a logarithm.
            for child, part in ((classifier.left[node], 1.0 - share), (classifier.right[node], share)):
                value = reached[node] * (part + 1e-5)
                if child < 0:
                    found[i, ~child] = value
                else:
                    reached[child] = value
    return found


@njit(cache=True, nogil=True)
def _softmax(sums, counts, end, classifier) -> Any:
    n = len(counts)
    dimensions, labels = classifier.weights.shape
    found = np.empty((n, labels), np.float32)
    hidden = np.empty(dimensions, np.float32)
    scores = np.empty(labels, np.float32)
    for i in range(n):
        _scores(sums[i], counts[i], end, classifier.weights, hidden, scores)
        top = scores[0]
        for k in range(1, labels):
            top = max(top, scores[k])
        total = 0.0
        for k in range(labels):
            scores[k] = math.exp(scores[k] - top)
            total += scores[k]
        for k in range(labels):
            found[i, k] = scores[k] / total
    return found
