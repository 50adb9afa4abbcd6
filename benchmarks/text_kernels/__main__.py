"""Run every system on the same texts, one process after the other, and print times and ratios."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.environments import ROOT, NotInstalled, python_of
from benchmarks.text_kernels.texts import texts

HERE = Path(__file__).parent
PEERS = ("datatrove", "dolma", "rensa")
# One core for everyone: libraries that would use more are told not to.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "1"
)


def measure(system: str, corpus: Path, repeats: int) -> dict[str, Any]:
    """Seconds of each piece of work and the peak of memory; or the reason why there are none, as ``error``."""
    try:
        python = Path(sys.executable) if system == "pomona" else python_of(system, HERE / f"requirements-{system}.txt")
    except NotInstalled as error:
        return {"error": str(error)}
    environment = {**os.environ, **_ONE_THREAD}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, [HERE, ROOT] if system == "pomona" else [HERE]))
    command = [python, "-W", "ignore", HERE / f"run_{system}.py", corpus, str(repeats)]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=corpus.parent, check=False)
    if ran.returncode:
        return {"error": f"{system} ended with {ran.returncode}: {ran.stderr.strip().splitlines()[-1:]}"}
    return json.loads(ran.stdout.strip().splitlines()[-1])


def benchmark(*, quick: bool) -> dict[str, Any]:
    """The whole comparison."""
    what, corpus = texts(30 if quick else 300)
    size = sum(len(text.encode()) for text in corpus)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps(corpus), encoding="utf-8")
        # Ours and rensa are quick enough for their times to be small beside the clock of a busy machine: more runs.
        repeats = {"pomona": 7, "rensa": 7, "dolma": 3, "datatrove": 3}
        systems = {system: measure(system, path, 1 if quick else repeats[system]) for system in ("pomona", *PEERS)}
    return {"texts": what, "documents": len(corpus), "bytes": size, "systems": systems}


def table(result: dict[str, Any]) -> str:
    """The result for a reader."""
    documents, megabytes = result["documents"], result["bytes"] / 1e6
    ours = result["systems"]["pomona"]
    rows = [
        f"{documents} documents, {megabytes:.1f} MB: {result['texts']}; one core, median of several runs after a first",
        f"{'work':24}{'system':12}{'documents/s':>13}{'MB/s':>9}{'pomona is':>14}",
    ]
    if "error" in ours:
        return "\n".join([*rows, ours["error"]])
    for work, seconds in ours["seconds"].items():
        rows.append(f"{work:24}{'pomona':12}{documents / seconds:13,.0f}{megabytes / seconds:9.1f}")
        for peer in PEERS:
            theirs = result["systems"][peer].get("seconds", {}).get(work)
            if theirs:
                times = f"{theirs / seconds:,.1f} times"
                rows.append(f"{'':24}{peer:12}{documents / theirs:13,.0f}{megabytes / theirs:9.2f}{times:>14}")
    rows += [found["error"] for found in result["systems"].values() if "error" in found]
    rows.append(
        "peak memory: "
        + ", ".join(
            f"{name} {found['peak_mib']} MiB" for name, found in result["systems"].items() if "error" not in found
        )
    )
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.text_kernels", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="30 documents, one run: to see that everything works")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    result = benchmark(quick=arguments.quick)
    print(json.dumps(result, indent=2) if arguments.json else table(result))
    return 1 if "error" in result["systems"]["pomona"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
