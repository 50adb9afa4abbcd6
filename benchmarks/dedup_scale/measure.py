"""One run, a process of its own: documents made, deduplicated by the step's plans, and what became of known pairs."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.dedup_scale.made import GROUP, Make, numbers, texts
from pipelines.engines.plan import Plan, PlanResult
from pipelines.steps.step import Steps

A_PART = 100_000
"""Documents of one partition: what a worker holds does not grow with the whole."""
BIN = 0.05


def main() -> int:
    """Run, and print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", type=float, default=4e9)
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", default=os.environ.get("POMONA_DATA", ""))
    asked = parser.parse_args()
    shutil.rmtree(asked.out, ignore_errors=True)
    asked.out.mkdir(parents=True)
    disk = Disk(asked.out)
    disk.start()
    started = time.perf_counter()
    files, facts, seconds = deduplicated(asked)
    total = time.perf_counter() - started
    peak = disk.stop()
    told = {
        "documents": asked.documents,
        "workers": asked.workers,
        "threshold": asked.threshold,
        "seconds": total,
        "plans": seconds,
        "disk_bytes": peak,
        **facts,
        **judged(files, asked),
    }
    shutil.rmtree(asked.out)
    print(json.dumps(told))
    return 0


def deduplicated(asked: argparse.Namespace) -> tuple[list[Path], dict[str, int], dict[str, float]]:
    """Run the plans of the step `dedup` on documents that are made when they are read."""
    from dedup import DedupConfig
    from pipelines.engines.local import LocalEngine
    from pipelines.engines.plan import Output
    from pipelines.steps.dedup import STEP, verdicts_of, verified_edges
    from pipelines.steps.dedup_candidates import Fingerprint, ReadWanted, fingerprint_schema
    from pipelines.steps.step import partition_shards

    partitions = max(4, -(-asked.documents // A_PART))
    config = DedupConfig(**{**DedupConfig.preset("fineweb").model_dump(), "threshold": asked.threshold})
    make = Make(asked.documents, partitions, asked.seed, asked.data)
    made = [Path("made") / str(part) for part in range(partitions)]
    engine = LocalEngine(asked.workers, memory=int(asked.memory))
    steps = Timed(asked.out, engine)
    folder = asked.out / "run"
    try:
        plan = Plan(
            f"{STEP} fingerprints",
            partition_shards([made]),
            make,
            Fingerprint(config),
            {"fingerprints": Output(fingerprint_schema(config.bands))},
            conserve=("fingerprints",),
        )
        marks = [folder / one.path for one in steps.run(plan, folder).files["fingerprints"]]
        edges, labels, counted = verified_edges(steps, folder, made, marks, config, partitions, ReadWanted(make.part))
        listing, _ = verdicts_of(steps, folder, [marks, labels, edges], config, partitions)
    finally:
        engine.close()
    return listing, {"candidates": counted[0], "edges": counted[1]}, steps.seconds


def judged(files: list[Path], asked: argparse.Namespace) -> dict[str, Any]:
    """Compare the verdicts with the known pairs, by their exact similarity."""
    from dedup.bands import candidate_probability

    pairs = asked.documents // GROUP
    joined = np.zeros(pairs, np.bool_)
    removed = other = 0
    for path in files:
        table = pq.read_table(path, columns=["id", "parent", "keep"])
        table = table.filter(pa.compute.invert(table["keep"]))
        document, parent = (numbers(table[name].combine_chunks()) for name in ("id", "parent"))
        removed += len(document)
        low, high = np.minimum(document, parent), np.maximum(document, parent)
        planted = (high == low + 1) & (high % GROUP == GROUP - 1)
        joined[high[planted] // GROUP] = True
        other += int((~planted).sum())
    bins = round(1 / BIN) + 1
    counts = np.zeros((bins, 2), np.int64)
    similar_sum = np.zeros(bins)
    theory = np.zeros(bins)
    wrong = 0
    for start in range(0, pairs, 8192):
        group = np.arange(start, min(start + 8192, pairs), dtype=np.uint64)
        similarity = pair_similarity(group, asked.seed, asked.data)
        at = np.floor(similarity / BIN + 1e-9).astype(np.int64)
        found = joined[group.astype(np.int64)]
        np.add.at(counts, (at, 0), found)
        np.add.at(counts, (at, 1), 1)
        np.add.at(similar_sum, at, similarity)
        np.add.at(theory, at, candidate_probability(similarity, 14, 8))
        wrong += int((found & (similarity < asked.threshold)).sum())
    curve = [
        {
            "from": round(number * BIN, 2),
            "similarity": similar_sum[number] / counts[number, 1],
            "pairs": int(counts[number, 1]),
            "joined": int(counts[number, 0]),
            "theory": theory[number] / counts[number, 1],
        }
        for number in range(bins)
        if counts[number, 1]
    ]
    return {"removed": removed, "of_no_pair": other, "below_threshold": wrong, "curve": curve}


def pair_similarity(group: NDArray[np.uint64], seed: int, data: str) -> NDArray[np.float64]:
    """Compute the exact Jaccard similarity of the pairs of some groups, from their texts."""
    from dedup.edges import similarity
    from dedup.shingles import shingle_sets

    second = group * np.uint64(GROUP) + np.uint64(GROUP - 1)
    both = pa.concat_arrays([texts(second - np.uint64(1), seed, data), texts(second, seed, data)])
    rows = np.arange(len(group))
    return similarity(shingle_sets(both), rows, rows + len(group))


class Timed(Steps):
    """Keeps how long each plan took."""

    seconds: dict[str, float]

    def run(self, plan: Plan, folder: Path) -> PlanResult:
        """Run a plan."""
        started = time.perf_counter()
        try:
            return super().run(plan, folder)
        finally:
            if not hasattr(self, "seconds"):
                self.seconds = {}
            self.seconds[plan.name.partition(" ")[2]] = round(time.perf_counter() - started, 1)


class Disk(threading.Thread):
    """Looks every second at how many bytes lie under a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._ended = threading.Event()
        self.peak = 0

    def run(self) -> None:
        """Look until stopped."""
        while not self._ended.wait(1.0):
            self.look()

    def look(self) -> None:
        """Look once; files come and go meanwhile."""
        held = 0
        for root, _, names in os.walk(self._folder):
            for name in names:
                try:
                    held += Path(root, name).stat().st_blocks * 512
                except FileNotFoundError:
                    continue
        self.peak = max(self.peak, held)

    def stop(self) -> int:
        """Stop; returns the largest sum seen."""
        self._ended.set()
        self.join()
        self.look()
        return self.peak


if __name__ == "__main__":
    sys.exit(main())
