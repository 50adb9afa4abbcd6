"""Paragraphs and documents whose n-grams were seen before, by a Bloom filter: DCLM's BFF (2406.11794, appendix K).

Documents are read in order. A paragraph (a line) goes where more than `threshold` of its n-grams are in the filter; the
n-grams of one that stays go into it. A document goes where that holds for all its n-grams together. A paragraph of
fewer than `ngram` tokens has no n-gram and stays with its document. As published: n = 13, threshold 0.8, false-positive
rate 0.01, paragraph and document level at once ("old-both").

What a filter answers depends on what it was told before, so the order is part of the method: rank, then id. Groups of
documents with a filter each are looked at in parallel; duplicates across groups are not found (DCLM parted its corpus
in the same way).

A filter of m bits and k hashes holding n n-grams errs with probability (1 - exp(-kn/m))^k; m = -n ln p / (ln 2)^2 and
k = -log2 p are the smallest for a rate p. The share of bits that are set tells how full it really is: a new n-gram is
taken for a known one with probability share^k.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

import math
from typing import Annotated, Any, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from kernels.lines import lines
from kernels.mixing import finish
from kernels.strings import portions, text_batch
from kernels.tokens import tokens
from kernels.words import token_spelling

__all__ = ["Bloom", "BloomConfig", "BloomSize", "FilterFull", "FilterTooLarge", "Grams", "Swept", "grams"]

_BASE: Final = np.uint64(6364136223846793005)
_SECOND: Final = np.uint64(0x9E3779B97F4A7C15)
_PIECE_BYTES: Final = 1 << 20
FULL: Final = 2.0
"""A filter is full where it errs this many times as often as was wished."""


class FilterTooLarge(ValueError):
    """A filter that does not fit into the memory it may have."""


class FilterFull(Exception):
    """More n-grams came than the filter was made for."""


class BloomConfig(BaseModel):
    """Parameters, by default those of DCLM."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ngram: Annotated[int, Field(ge=1, le=1000)] = 13
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.8
    false_positive_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    level: Literal["paragraph", "document", "both"] = "both"


class BloomSize(NamedTuple):
    """Bits and hashes of a filter."""

    bits: int
    hashes: int

    @classmethod
    def of(cls, ngrams: int, rate: float) -> BloomSize:
        """Size a filter for so many different n-grams and a false-positive rate."""
        count = max(ngrams, 1)
        bits = max(64, 64 * math.ceil(-count * math.log(rate) / math.log(2) ** 2 / 64))
        return cls(bits, max(1, round(-math.log2(rate))))

    @property
    def bytes(self) -> int:
        """Memory it takes."""
        return self.bits // 8

    def rate(self, bits_set: int) -> float:
        """Return how often it errs with so many bits set."""
        return float((bits_set / self.bits) ** self.hashes)

    def check(self, ngrams: int, rate: float, memory: int) -> None:
        """Raise FilterTooLarge where it takes more than `memory` bytes."""
        if self.bytes > memory:
            raise FilterTooLarge(
                f"{ngrams:,} n-grams at a false-positive rate of {rate:g} take a filter of {_gigabytes(self.bytes)}, "
                f"and {_gigabytes(memory)} is the limit (memory_gb); raise it, allow a higher false_positive_rate, "
                f"or part the documents into {math.ceil(self.bytes / memory)} groups or more"
            )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.0f} GB" if count >= 100e9 else f"{count / 1e9:.3g} GB"


class Grams(NamedTuple):
    """The n-grams of a batch of texts."""

    texts: NDArray[np.int64]  # n + 1: the lines of text i are texts[i]:texts[i + 1]
    lines: NDArray[np.int64]  # the n-grams of line k are lines[k]:lines[k + 1]
    hashes: NDArray[np.uint64]


def grams(text: pa.Array[Any] | pa.ChunkedArray[Any], size: int) -> Grams:
    """Hash the runs of `size` tokens of every line."""
    texts = [np.zeros(1, np.int64)]
    ranges = [np.zeros(1, np.int64)]
    hashes: list[NDArray[np.uint64]] = []
    for piece in portions(text_batch(text), _PIECE_BYTES):
        found, cut = tokens(piece), lines(piece)
        spelled = token_spelling(piece, found).hashes
        bounds, made = _grams(found.offsets, found.starts, spelled, cut.offsets, cut.ends, size)
        texts.append(cut.offsets[1:] + texts[-1][-1])
        ranges.append(bounds[1:] + ranges[-1][-1])
        hashes.append(made)
    return Grams(np.concatenate(texts), np.concatenate(ranges), np.concatenate(hashes))


class Swept(NamedTuple):
    """What a filter said of a batch of texts."""

    seen: NDArray[np.int64]  # n-grams of each text that it knew
    grams: NDArray[np.int64]  # n-grams of each text
    document: NDArray[np.bool_]  # the text goes
    line: NDArray[np.bool_]  # the line goes, one flag a line
    bits_set: NDArray[np.int64]  # of the filter, after each text


class Bloom:
    """A Bloom filter that knows how full it is."""

    def __init__(self, size: BloomSize, config: BloomConfig) -> None:
        """Make an empty filter; its memory is taken now."""
        self.size = size
        self._config = config
        self._words = np.zeros(size.bits // 64, np.uint64)
        self.bits_set = 0

    def sweep(self, found: Grams) -> Swept:
        """Ask and tell it of texts, one after the other."""
        level = self._config.level
        swept = Swept(
            *_sweep(
                self._words,
                np.uint64(self.size.bits),
                self.size.hashes,
                *found,
                self._config.threshold,
                level != "document",
                level != "paragraph",
                self.bits_set,
            )
        )
        if len(swept.bits_set):
            self.bits_set = int(swept.bits_set[-1])
        return swept

    @property
    def fill(self) -> float:
        """Share of bits that are set."""
        return self.bits_set / self.size.bits

    @property
    def rate(self) -> float:
        """How often it takes a new n-gram for a known one."""
        return self.size.rate(self.bits_set)

    @property
    def full(self) -> bool:
        """Whether it errs `FULL` times as often as was wished, or more."""
        return self.rate >= FULL * self._config.false_positive_rate

    def check(self) -> None:
        """Raise FilterFull where it is full."""
        if self.full:
            raise FilterFull(
                f"the Bloom filter is full: {self.fill:.1%} of its {self.size.bits:,} bits are set, so that it takes "
                f"{self.rate:.2%} of new n-grams for known ones, and {self._config.false_positive_rate:.2%} was "
                "wished. More n-grams came than `ngrams` says: raise it, leave it out (then they are counted first), "
                "or let `when_full: tell` go on"
            )


@njit(cache=True, nogil=True)
def _grams(token_offsets, token_starts, hashes, line_offsets, line_ends, size) -> Any:
    made = np.empty(len(hashes), np.uint64)
    bounds = np.zeros(len(line_ends) + 1, np.int64)
    oldest = np.uint64(1)
    for _ in range(size):
        oldest *= _BASE
    m = 0
    for i in range(len(line_offsets) - 1):
        t = token_offsets[i]
        for k in range(line_offsets[i], line_offsets[i + 1]):
            first = t
            rolling = np.uint64(0)
            while t < token_offsets[i + 1] and token_starts[t] < line_ends[k]:
                rolling = rolling * _BASE + hashes[t]
                if t - first >= size:
                    rolling -= hashes[t - size] * oldest
                if t - first >= size - 1:
                    made[m] = finish(rolling)
                    m += 1
                t += 1
            bounds[k + 1] = m
    return bounds, made[:m].copy()


@njit(cache=True, nogil=True)
def _known(words, bits, hashes, found, first, last) -> Any:
    """How many n-grams between two places the filter holds."""
    count = 0
    for g in range(first, last):
        step = finish(found[g] ^ _SECOND) | np.uint64(1)
        at = found[g]
        held = True
        for _ in range(hashes):
            bit = at % bits
            if words[bit >> np.uint64(6)] >> (bit & np.uint64(63)) & np.uint64(1) == 0:
                held = False
                break
            at += step
        count += held
    return count


@njit(cache=True, nogil=True)
def _insert(words, bits, hashes, found, first, last) -> Any:
    """Put n-grams into the filter; how many of its bits that sets."""
    fresh = 0
    for g in range(first, last):
        step = finish(found[g] ^ _SECOND) | np.uint64(1)
        at = found[g]
        for _ in range(hashes):
            bit = at % bits
            mask = np.uint64(1) << (bit & np.uint64(63))
            fresh += words[bit >> np.uint64(6)] & mask == 0
            words[bit >> np.uint64(6)] |= mask
            at += step
    return fresh


@njit(cache=True, nogil=True)
def _sweep(words, bits, hashes, texts, ranges, found, threshold, cuts, drops, bits_set) -> Any:
    n = len(texts) - 1
    seen = np.zeros(n, np.int64)
    count = np.zeros(n, np.int64)
    document = np.zeros(n, np.bool_)
    line = np.zeros(len(ranges) - 1, np.bool_)
    filled = np.empty(n, np.int64)
    for i in range(n):
        for k in range(texts[i], texts[i + 1]):
            first = ranges[k]
            last = ranges[k + 1]
            known = _known(words, bits, hashes, found, first, last)
            seen[i] += known
            count[i] += last - first
            if cuts:  # a line is asked of whole, and told before the next one is asked of
                line[k] = known > threshold * (last - first)
                if not line[k]:
                    bits_set += _insert(words, bits, hashes, found, first, last)
        gone = seen[i] > threshold * count[i]
        document[i] = drops and gone
        if not cuts and not gone:
            bits_set += _insert(words, bits, hashes, found, ranges[texts[i]], ranges[texts[i + 1]])
        filled[i] = bits_set
    return seen, count, document, line, filled
