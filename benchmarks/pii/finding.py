"""How every system is asked. Runs in each environment: the standard library alone, and no import of this package."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

Finder = Callable[[str], list[tuple[str, int, int]]]


def run(finders: dict[str, Finder], work: dict[str, Callable[[list[str]], object]], most: int) -> None:
    """Ask for the findings in the labelled texts of argv[1], time the work on its other texts, write argv[2].

    Each text goes alone, as the systems take them; ``most`` bounds the characters that are timed. A first text is not
    timed: what is loaded or compiled then does not count.
    """
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    texts: list[str] = []
    for text in given["pages"]:
        if sum(map(len, texts)) < most:
            texts.append(text)
    result = {}
    for name, find in finders.items():
        found = [find(text) for text in given["labelled"]]
        work[name](given["labelled"][:50])
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            work[name](texts)
            best = min(best, time.process_time() - start)
        size = sum(len(text.encode()) for text in texts)
        result[name] = {"found": found, "mb_per_second": size / 1e6 / best, "bytes": size}
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
