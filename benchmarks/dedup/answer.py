"""How every system is asked. Runs in each environment: the standard library alone, and no import of this package."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable


def run(cluster: Callable[[list[str]], list[int]]) -> None:
    """Give the texts of argv[1] to a system; print its cluster of each text and the seconds that took.

    `cluster` returns a number a text: equal numbers, one cluster. It runs once on a few texts before it is timed.
    """
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123
        texts: list[str] = json.load(file)
    cluster(texts[:10])
    started = time.process_time()
    clusters = cluster(texts)
    print(json.dumps({"clusters": clusters, "seconds": time.process_time() - started}))


class Union:
    """Union-find with the smallest member as root, as these systems have it."""

    def __init__(self, n: int) -> None:
        self.above = list(range(n))

    def find(self, x: int) -> int:
        """Return the root of x."""
        while self.above[x] != x:
            self.above[x] = x = self.above[self.above[x]]
        return x

    def union(self, a: int, b: int) -> None:
        """Join a and b."""
        a, b = self.find(a), self.find(b)
        self.above[max(a, b)] = min(a, b)
