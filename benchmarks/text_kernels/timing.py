"""How every system is timed. Runs in each environment: the standard library alone, and no import of this package."""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any


def run(work: dict[str, Callable[[list[str]], Any]]) -> None:
    """Time each piece of work on the texts of argv[1], argv[2] times, and print one JSON object.

    Where names follow, only the work of these names is done.
    Each piece of work runs once on a few texts before it is timed: what is loaded or compiled at first does not count.
    """
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123
        texts: list[str] = json.load(file)
    repeats = int(sys.argv[2])
    names = sys.argv[3:] or list(work)
    idle = _peak_mib()
    seconds = {}
    for name, function in work.items():
        if name not in names:
            continue
        function(texts[:20])
        times = []
        for _ in range(repeats):
            start = time.process_time()
            function(texts)
            times.append(time.process_time() - start)
        seconds[name] = statistics.median(times)
    print(json.dumps({"seconds": seconds, "idle_mib": idle, "peak_mib": _peak_mib()}))


def _peak_mib() -> int:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
