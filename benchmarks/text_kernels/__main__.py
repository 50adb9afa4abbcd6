"""Run every system on the same texts, in turns, and print times, ratios and memory.

A machine is not equally quick all the time, so the systems take turns: each runs in a process of its own, one after the
other, and again. A system's time is the median of its turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.environments import ROOT, NotInstalled, python_of
from benchmarks.text_kernels.texts import texts

HERE = Path(__file__).parent
_TURNS = 3
PEERS = ("datatrove", "dolma", "rensa")
# One core for everyone: libraries that would use more are told not to.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "1"
)


def measure(system: str, corpus: Path, repeats: int, work: Sequence[str] = ()) -> dict[str, Any]:
    """Seconds of each piece of work and the peak of memory; or the reason why there are none, as ``error``."""
    try:
        python = Path(sys.executable) if system == "pomona" else python_of(system, HERE / f"requirements-{system}.txt")
    except NotInstalled as error:
        return {"error": str(error)}
    environment = {**os.environ, **_ONE_THREAD}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, [HERE, ROOT] if system == "pomona" else [HERE]))
    command = [python, "-W", "ignore", HERE / f"run_{system}.py", corpus, str(repeats), *work]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=corpus.parent, check=False)
    if ran.returncode:
        return {"error": f"{system} ended with {ran.returncode}: {ran.stderr.strip().splitlines()[-1:]}"}
    return json.loads(ran.stdout.strip().splitlines()[-1])


def one_line(size: int) -> dict[str, Any]:
    """Memory and time of all heuristics for a text on one line; or the reason why there are none, as ``error``."""
    command = [sys.executable, "-m", "benchmarks.text_kernels.one_line", str(size)]
    ran = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **_ONE_THREAD}, cwd=ROOT, check=False
    )
    if ran.returncode:
        return {"error": f"one line ended with {ran.returncode}: {ran.stderr.strip().splitlines()[-1:]}"}
    return json.loads(ran.stdout.strip().splitlines()[-1])


def _together(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """One system's turns as one: medians of times, the most memory; the first error where there is one."""
    for turn in turns:
        if "error" in turn:
            return turn
    return {
        "seconds": {work: statistics.median(turn["seconds"][work] for turn in turns) for work in turns[0]["seconds"]},
        "idle_mib": max(turn["idle_mib"] for turn in turns),
        "peak_mib": max(turn["peak_mib"] for turn in turns),
    }


def benchmark(*, quick: bool, peers: Sequence[str] = PEERS, work: Sequence[str] = ()) -> dict[str, Any]:
    """The comparison with these peers, of this work or of all."""
    what, corpus = texts(30 if quick else 300)
    size = sum(len(text.encode()) for text in corpus)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps(corpus), encoding="utf-8")
        # Ours and rensa are quick enough for their times to be small beside the clock of a busy machine: more runs.
        repeats = {"pomona": 7, "rensa": 7, "dolma": 1, "datatrove": 1}
        turns = [
            {system: measure(system, path, 1 if quick else repeats[system], work) for system in ("pomona", *peers)}
            for _ in range(1 if quick else _TURNS)
        ]
    systems = {system: _together([turn[system] for turn in turns]) for system in turns[0]}
    line = {} if work else one_line(5_000_000 if quick else 100_000_000)
    return {"texts": what, "documents": len(corpus), "bytes": size, "systems": systems, "line": line}


def table(result: dict[str, Any]) -> str:
    """The result for a reader."""
    peers = [system for system in result["systems"] if system != "pomona"]
    documents, megabytes = result["documents"], result["bytes"] / 1e6
    ours = result["systems"]["pomona"]
    width = max(map(len, ours.get("seconds", {"work": 0})))
    rows = [
        f"{documents} documents, {megabytes:.1f} MB: {result['texts']}; one core, medians of turns",
        f"{'work':{width}}{'pomona':>24}" + "".join(f"{peer:>24}{'pomona is':>14}" for peer in peers),
        f"{'':{width}}{'documents/s':>14}{'MB/s':>10}" + f"{'documents/s':>14}{'MB/s':>10}{'':14}" * len(peers),
    ]
    if "error" in ours:
        return "\n".join([*rows, ours["error"]])
    for work, seconds in ours["seconds"].items():
        row = f"{work:{width}}{documents / seconds:14,.0f}{megabytes / seconds:10.1f}"
        for peer in peers:
            theirs = result["systems"][peer].get("seconds", {}).get(work)
            times = f"{theirs / seconds:,.1f} times" if theirs else ""
            row += f"{documents / theirs:14,.0f}{megabytes / theirs:10.2f}" if theirs else f"{'-':>14}{'-':>10}"
            row += f"{times:>14}"
        rows.append(row.rstrip())
    rows += [found["error"] for found in result["systems"].values() if "error" in found]
    rows.append("memory at its highest, and of that before the first text (the interpreter and what it imports):")
    rows += [
        f"  {name:12}{found['peak_mib']:6,} MiB{found['idle_mib']:8,} MiB"
        for name, found in result["systems"].items()
        if "error" not in found
    ]
    return "\n".join([*rows, *([_told(result["line"])] if result["line"] else [])])


def _told(line: dict[str, Any]) -> str:
    """What is said of the text on one line."""
    if "error" in line:
        return line["error"]
    return (
        f"one text of {line['bytes'] / 1e6:,.0f} MB on one line, all heuristics: {line['peak_a_byte']:.1f} bytes of "
        f"memory a byte of text at the highest, {line['bytes'] / 1e6 / line['seconds']:.1f} MB/s"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.text_kernels", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="30 documents, one run: to see that everything works")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS, help="compare with these alone")
    parser.add_argument("--work", nargs="*", default=(), help='only this work, as the table names it: "minhash"')
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    result = benchmark(quick=arguments.quick, peers=arguments.peers, work=arguments.work)
    print(json.dumps(result, indent=2) if arguments.json else table(result))
    return 1 if "error" in result["systems"]["pomona"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
