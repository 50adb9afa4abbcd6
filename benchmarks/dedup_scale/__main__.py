"""Deduplicate made documents in growing numbers, and write the tables of docs/dedup.md.

`python -m benchmarks.dedup_scale --sizes 100000,1000000,10000000`
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.environments import BENCH, ROOT
from benchmarks.watch import ONE_THREAD, watched

RESULT = Path(__file__).with_name("result.json")
PAGE = ROOT / "docs" / "dedup.md"
GB = 1e9


def main() -> int:
    """Run all sizes, print and write what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dedup_scale")
    parser.add_argument("--sizes", default="100000,1000000")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", type=float, default=4e9, help="bytes of rows that all workers may hold together")
    parser.add_argument("--page", action="store_true", help="only write the page from result.json")
    parser.add_argument("--keep-page", action="store_true", help="print only")
    asked = parser.parse_args()
    runs: list[dict[str, Any]] = []
    if asked.page:
        runs = json.loads(RESULT.read_text())["runs"]
    elif not os.environ.get("POMONA_DATA"):
        print("set POMONA_DATA: its texts are what the documents are made of", file=sys.stderr)
        return 2
    else:
        for size in map(int, asked.sizes.split(",")):
            runs.append(measured(size, asked.workers, asked.memory))
            print(json.dumps(runs[-1]), flush=True)
    sections = {"scale": growth(runs), "curve": curve(runs[-1])}
    print("\n\n".join(sections.values()))
    if not asked.keep_page:
        if not asked.page:
            RESULT.write_text(json.dumps({"runs": runs}, indent=1) + "\n")
        PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), sections), encoding="utf-8")
    return 0


def measured(documents: int, workers: int, memory: float) -> dict[str, Any]:
    """Run one size in a process of its own, and watch what it and its workers hold."""
    out = BENCH / "dedup_scale"
    command = [sys.executable, "-m", "benchmarks.dedup_scale.measure", "--documents", str(documents)]
    command += ["--out", str(out), "--workers", str(workers), "--memory", str(memory)]
    log = BENCH / "dedup_scale.log"
    cost = watched(command, log, environment={**ONE_THREAD, "PYTHONPATH": str(ROOT)}, cwd=ROOT)
    return {**cost.said, "peak_bytes": cost.peak_bytes, "cpu_seconds": cost.cpu_seconds}


def growth(runs: Sequence[dict[str, Any]]) -> str:
    """Write time, memory and disk by size."""
    lines = [
        "| documents | seconds | documents/s | time for 10 × | peak memory, GB | peak disk, GB | candidates | edges |"
    ]
    lines.append("|" + "---|" * 8)
    for before, run in zip([None, *runs[:-1]], runs, strict=True):
        factor = "–"
        if before is not None:
            each = run["seconds"] / before["seconds"] / (run["documents"] / before["documents"])
            factor = f"{10 * each:.2f} ×"
        lines.append(
            f"| {run['documents']:,} | {run['seconds']:,.0f} | {run['documents'] / run['seconds']:,.0f} | {factor} "
            f"| {run['peak_bytes'] / GB:.2f} | {run['disk_bytes'] / GB:.2f} "
            f"| {run['candidates']:,} | {run['edges']:,} |"
        )
    return "\n".join(lines)


def curve(run: dict[str, Any]) -> str:
    """Write recall by similarity of the known pairs, beside the theoretical curve, and what else was removed."""
    lines = [
        f"{run['documents']:,} documents, threshold {run['threshold']}; {run['removed']:,} removed, of them "
        f"{run['below_threshold']:,} below the threshold and {run['of_no_pair']:,} with a parent that is not its "
        "planted pair.",
        "",
        "| exact Jaccard similarity | known pairs | joined | share | theory |",
        "|---|---|---|---|---|",
    ]
    for one in run["curve"]:
        theory = f"{one['theory']:.1%}" if one["from"] >= run["threshold"] else "0 (below the threshold)"
        lines.append(
            f"| from {one['from']:.2f} | {one['pairs']:,} | {one['joined']:,} | {one['joined'] / one['pairs']:.1%} "
            f"| {theory} |"
        )
    return "\n".join(lines)


def rewritten(page: str, sections: dict[str, str]) -> str:
    """Put the tables between their marks."""
    for name, table in sections.items():
        start, end = f"<!-- {name} -->\n", f"\n<!-- end {name} -->"
        before, _, rest = page.partition(start)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"{PAGE}: no marks {start.strip()} and {end.strip()} to put the table between")
        page = before + start + table + end + after
    return page


if __name__ == "__main__":
    sys.exit(main())
