"""The documents that a mixture can take from, and the seeded order that every choice goes by."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.recipe_mix import Entry

Bits = NDArray[np.uint64]
Counts = NDArray[np.int64]
Labels = NDArray[np.int16]
"""The entry of a stage that each row belongs to, by its place among the stage's entries; -1 for none."""


@dataclass(frozen=True)
class Supply:
    """The documents a mixture can take from: a row each.

    `bits` are the first 64 bits of the ids, `source` indexes `names`, `tokens` counts tokens with the end mark.
    """

    bits: Bits
    source: NDArray[np.int32]
    tokens: Counts
    names: tuple[str, ...]

    def rows_of(self, name: str) -> NDArray[np.int64]:
        """Return the rows of one source."""
        if name not in self.names:
            return np.empty(0, np.int64)
        return np.flatnonzero(self.source == self.names.index(name))

    def by_source(self, entries: Sequence[Entry]) -> Labels:
        """Return the entry of each row, where entries are told by sources alone; the first that names one has it."""
        of_source = np.full(len(self.names) + 1, -1, np.int16)
        for number, entry in reversed(list(enumerate(entries))):
            for name in entry.sources:
                if name in self.names:
                    of_source[self.names.index(name)] = number
        return of_source[self.source]


def shuffled(bits: Bits, seed: int, purpose: str, repeat: int | Bits = 0) -> Bits:
    """Return a sort key for each id: uniform, other for each seed, purpose and repeat (splitmix64 finaliser)."""
    salt = zlib.crc32(purpose.encode()) << 32 | zlib.crc32(f"{seed}:{purpose}".encode())
    value = bits ^ np.uint64(salt)
    value = value + np.asarray(repeat, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value = (value ^ value >> np.uint64(shift)) * np.uint64(factor)
    return value ^ value >> np.uint64(31)


def heldout(supply: Supply, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Mark the documents set aside for evaluation; a document's place never depends on the others."""
    return shuffled(supply.bits, seed, "heldout") < np.uint64(min(int(fraction * 2**64), 2**64 - 1))
