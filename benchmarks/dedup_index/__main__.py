"""Add batches to an index and say what each costs: `POMONA_DATA=... python -m benchmarks.dedup_index`.

Documents are the first 200 characters of those of `benchmarks.dedup_scale` (real text, one in ten a near-duplicate), so
that signatures are cheap and what is told is mostly what the index does: matching, writing, taking over what is new.
At the end the index is opened anew and asked twice of 1,000 documents that it has not seen. One core, processor time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.dedup_scale import made
from dedup import Index


def batch(number: int, size: int, data: str) -> pa.Table:
    """Make the documents of one batch."""
    documents = np.arange(number * size, (number + 1) * size, dtype=np.uint64)
    texts = [made.texts(documents[start : start + 8192], 0, data) for start in range(0, size, 8192)]
    text = pc.utf8_slice_codeunits(pa.concat_arrays(texts), 0, 200)
    return pa.table({"id": [f"{one:032x}" for one in documents.tolist()], "text": text})


def main() -> int:
    """Add, and print a line a batch and the sum."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dedup_index")
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--size", type=int, default=50_000)
    asked = parser.parse_args()
    data = os.environ.get("POMONA_DATA")
    if not data:
        print("set POMONA_DATA: its texts are what the documents are made of", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        Index.create(Path(folder) / "warm").add(batch(0, 1000, data))  # compiles
        index = Index.create(Path(folder) / "index")
        print("| batch | documents in the index before | seconds of processor |\n|---|---|---|")
        spent: list[float] = []
        for number in range(asked.batches):
            documents, before = batch(number, asked.size, data), len(index)
            started = time.process_time()
            index.add(documents)
            spent.append(time.process_time() - started)
            print(f"| {number + 1} | {before:,} | {spent[-1]:.2f} |", flush=True)
        fresh = batch(asked.batches * asked.size // 1000 + 1, 1000, data)
        started = time.process_time()
        opened = Index.open(Path(folder) / "index")
        opened.query(fresh)
        first = time.process_time() - started
        opened.query(fresh)
        second = time.process_time() - started - first
        print(f"all: {sum(spent):.1f} s; opened anew and asked: {first:.3f} s; asked again: {second:.3f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
