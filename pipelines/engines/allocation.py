"""How worker processes keep memory: what a batch has freed, the next one takes again without asking the system."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager

KEPT: Mapping[str, str] = {
    # mimalloc, Arrow's allocator: offer freed pages to the system, which takes them when it is short, not give them up.
    "MIMALLOC_PURGE_DECOMMITS": "0",
    # glibc, NumPy's allocator: arrays of up to 32 MB (the most it accepts) come from a heap that is trimmed rarely.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
}
"""Variables that the allocators read when a process starts.

By default both hand memory back within milliseconds, and a worker, which works in batches of the same size, takes page
faults for all of it a moment later: a twentieth of its time on the documents of `benchmarks.engines`.
"""


@contextmanager
def kept_memory() -> Generator[None]:
    """Start processes with KEPT in their environment; what the user has set stays."""
    added = {name: value for name, value in KEPT.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
