"""How much memory all heuristics take for a text on one line: bytes at the highest for each byte of text.

    python -m benchmarks.text_kernels.one_line BYTES [families shared up to BYTES]

It prints a JSON object, and runs in a process of its own: the most memory is counted from the text on, of which one
copy lies there already. The text is the corpus of the benchmark with every line break made a space, again and again.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

import filters
import filters.signals
from benchmarks.text_kernels.texts import texts

__all__ = ["HEURISTICS", "line", "peak"]

HEURISTICS = (
    *("gopher", "c4", "fineweb", "refinedweb", "dclm", "dolma", "llama3", "openwebmath", "code", "dialogue"),
    *("encoding", "length"),
)
"""Every family of signals of whole texts that needs no model of its own."""

_STATUS = Path("/proc/self/status")


def line(size: int) -> pa.Array:
    """One text of ``size`` bytes without a line break; its last character may be cut in two."""
    joined = " ".join(" ".join(texts(300)[1]).split()).encode() + b" "
    data = np.resize(np.frombuffer(joined, np.uint8), size)
    offsets = np.array([0, size], np.int64)
    return pa.LargeStringArray.from_buffers(1, pa.py_buffer(offsets), pa.py_buffer(data))


def _kib(name: str) -> int:
    found = next(row for row in _STATUS.read_text(encoding="ascii").splitlines() if row.startswith(name))
    return int(found.split()[1])


def peak(size: int) -> dict[str, float]:
    """Bytes of memory for each byte of a line of so many bytes, and seconds of the processor; on Linux."""
    filters.measure(line(1 << 16), HEURISTICS)  # what is loaded or compiled at first does not count
    column = line(size)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest so far is what is held now
    before = _kib("VmRSS")
    begun = time.process_time()
    filters.measure(column, HEURISTICS)
    seconds = time.process_time() - begun
    return {"bytes": size, "peak_a_byte": (_kib("VmHWM") - before) * 1024 / size, "seconds": seconds}


def main() -> int:
    if len(sys.argv) > 2:
        filters.signals._LARGE = int(sys.argv[2])  # pyright: ignore[reportPrivateUsage]
    print(json.dumps(peak(int(sys.argv[1]))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
