"""Parts of documents: where whole ones do not meet a share within a packed sequence, one is cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipelines.mixture.supply import Counts

Pieces = NDArray[np.int64]
"""[pieces, 3]: row of the supply, the first of its tokens that is taken, and how many are, the end mark counted."""
ROW, FIRST, LENGTH = range(3)
Filling = Callable[[Counts, int], NDArray[np.int64]]
"""Of token counts and what is wanted: the places to take, which sum to it or just below (`choice.filling`)."""


def joined(parts: Sequence[Pieces]) -> Pieces:
    """Return pieces one after the other."""
    return np.concatenate([np.empty((0, 3), np.int64), *parts])


def cut_tokens(cuts: Pieces, rows: int) -> Counts:
    """Return the tokens that pieces take of each row."""
    found = np.zeros(rows, np.int64)
    np.add.at(found, cuts[:, ROW], cuts[:, LENGTH])
    return found


@dataclass(frozen=True)
class Stream:
    """What an entry has left to take, in order; all whole documents but for the rest of one that was cut."""

    pieces: Pieces

    @classmethod
    def of(cls, rows: NDArray[np.int64], tokens: Counts) -> Self:
        """Make a stream of whole documents."""
        return cls(np.stack([rows, np.zeros_like(rows), tokens[rows]], axis=1))

    @property
    def total(self) -> int:
        """Tokens of all."""
        return int(self.pieces[:, LENGTH].sum())

    def followed_by(self, other: Stream) -> Stream:
        """Return both, one after the other."""
        return Stream(joined([self.pieces, other.pieces]))

    def split(self, wanted: int, within: int | None, filling: Filling) -> tuple[Stream, Stream]:
        """Take `wanted` tokens, or at most `within` fewer; return them, and what is left.

        Whole pieces are taken as `filling` says. Where these come to less, one more is cut, whose rest is the first of
        what is left; with None, none is.
        """
        lengths = self.pieces[:, LENGTH]
        left = np.ones(len(lengths), bool)
        left[filling(lengths, wanted)] = False
        missing = wanted - int(lengths[~left].sum())
        if within is None or missing <= within:
            return Stream(self.pieces[~left]), Stream(self.pieces[left])
        while len(fitting := np.flatnonzero(left & (lengths <= missing))):
            left[fitting[0]] = False
            missing -= int(lengths[fitting[0]])
        whole = self.pieces[~left]
        if missing <= within or not left.any():
            return Stream(whole), Stream(self.pieces[left])
        one = int(np.argmax(left))
        left[one] = False
        row, first, length = self.pieces[one].tolist()
        head, rest = [[row, first, missing]], [[row, first + missing, length - missing]]
        return Stream(joined([whole, np.array(head)])), Stream(joined([np.array(rest), self.pieces[left]]))

    def add_to(self, repeats: Counts, cuts: list[Pieces], tokens: Counts) -> None:
        """Count the whole documents in `repeats` and add the parts of others to `cuts`."""
        whole = self.pieces[:, LENGTH] == tokens[self.pieces[:, ROW]]
        np.add.at(repeats, self.pieces[whole, ROW], 1)
        cuts.append(self.pieces[~whole])
