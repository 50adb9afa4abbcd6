"""A build with its start-up apart and what each step took: python -m benchmarks.building RECIPE --out RUN ..."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.watch import Meter

STARTUP, REST = "start-up", "planning and publishing"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--engine", default="local")
    parser.add_argument("--workers", type=int, required=True)
    asked = parser.parse_args()
    print(json.dumps(built(asked.recipe, asked.out, asked.store, asked.engine, asked.workers)))
    return 0


def built(recipe_file: Path, out: Path, store: Path | None, engine_name: str, workers: int) -> dict[str, Any]:
    """Build, and say seconds of the start-up, of everything after it, and seconds and peak memory by step.

    `listing` is what went by before the first step began: the input was found and hashed.
    """
    from pipelines import recipe
    from pipelines import run as runs
    from pipelines.engines.settings import Settings, opened
    from pipelines.report.tally import STEP as REPORT
    from pipelines.storage import MANIFEST, read_json

    loaded = recipe.load(recipe_file)
    with Meter(os.getpid()) as meter:
        meter.label = STARTUP
        started = time.perf_counter()
        with opened(Settings(engine_name, workers)) as engine:
            engine.run(_empty(), out.parent / f"{out.name}-empty")
            ready = time.perf_counter()
            meter.label = REST

            begins: list[tuple[str, float]] = []

            def begun(name: str) -> None:
                meter.label = name
                begins.append((name, time.perf_counter()))

            def told(_: Any) -> None:
                meter.label = REST

            runs.build(loaded, runs.Options(out, store=store, told=told, begun=begun), engine)
            ended = time.perf_counter()
    listing = begins[0][1] - ready if begins else 0.0
    begins.append((REST, ended))
    counted = [after - at for (name, at), (_, after) in itertools.pairwise(begins) if name == REPORT]
    root = store or out / "steps"
    manifests = [read_json(path / MANIFEST) for path in sorted(root.iterdir()) if (path / MANIFEST).exists()]
    described = runs.read(out)
    reused = [step["name"] for step in described["steps"] if step["reused"]]
    return {
        "startup": ready - started,
        "seconds": ended - ready,
        "listing": listing,
        "steps": {one["step"]: one["seconds"] for one in manifests if one["step"] not in reused}
        | {REPORT: round(sum(counted), 3)},  # the engine's as well, and leaves no folder
        "peaks": meter.peaks,
        "accounts": {one["step"]: {"in": one["in"], "kept": one["kept"]} for one in manifests},
        "bytes": {
            one["step"]: {name: sum(file["bytes"] for file in files) for name, files in one["outputs"].items()}
            for one in manifests
        },
        "facts": {one["step"]: _numbers(one["facts"]) for one in manifests},
        "reused": reused,
    }


def _numbers(facts: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in facts.items() if isinstance(value, int | float)}
    sizes = facts.get("bytes")
    return {**found, "bytes": sum(sizes)} if isinstance(sizes, list) else found


def _read(_: Any) -> Iterator[pa.Table]:
    yield pa.table({"id": pa.array([], pa.string())})


def _empty() -> Any:
    from pipelines.engines.plan import Output, Plan, Shard
    from pipelines.steps.step import As

    schema = pa.schema([pa.field("id", pa.string())])
    return Plan("00-nothing", [Shard(0, "nothing", None)], _read, As("rows"), {"rows": Output(schema)})


if __name__ == "__main__":
    from benchmarks.building import main as imported  # functions of __main__ could not be sent to workers

    sys.exit(imported())
