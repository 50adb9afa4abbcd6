"""How many different values there are: exactly up to a limit, estimated beyond it, in memory that does not grow."""

from __future__ import annotations

import heapq

import xxhash

MOST = 4096
"""Hashes kept; the estimate beyond is off by about 1/sqrt(MOST), 1.6 % (Bar-Yossef et al. 2002, k minimum values)."""


class Distinct:
    """Keeps the smallest hashes of the values it is given: the same whatever their order, and sums of parts add up."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._kept: set[int] = set()
        self._heap: list[int] = []
        """The same hashes, negative: the largest first."""

    def add(self, value: str) -> None:
        """Take a value."""
        self._take(xxhash.xxh3_64_intdigest(value.encode("utf-8", "surrogatepass")))

    def _take(self, hashed: int) -> None:
        if hashed in self._kept:
            return
        if len(self._kept) > self.most:
            if hashed > -self._heap[0]:
                return
            self._kept.remove(-heapq.heappop(self._heap))
        self._kept.add(hashed)
        heapq.heappush(self._heap, -hashed)

    @property
    def exact(self) -> bool:
        """Whether every value is counted."""
        return len(self._kept) <= self.most

    def __len__(self) -> int:
        """Return the number of different values, estimated where they are too many."""
        if self.exact:
            return len(self._kept)
        return round((len(self._kept) - 1) * 2**64 / -self._heap[0])

    def __str__(self) -> str:
        """Write the number, with "about" where it is estimated."""
        return f"{len(self):,}" if self.exact else f"about {len(self):,}"

    def state(self) -> list[int]:
        """Return what `merge` takes, as JSON-able values."""
        return sorted(self._kept)

    def merge(self, state: list[int]) -> None:
        """Add what another was given."""
        for hashed in state:
            self._take(hashed)
