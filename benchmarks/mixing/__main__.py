"""Whether a weight is what comes out: beside `datasets`, which draws rows; and how long mixing again takes.

Documents are the code and the docstrings of installed packages, built once into --keep (or a temporary folder).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.environments import ROOT
from benchmarks.watch import ONE_THREAD
from pipelines import mixture
from pipelines.recipe import StageMix
from pipelines.storage import read_json, read_table

PACKAGES = ["jinja2", "matplotlib", "networkx", "numpy", "pandas", "pydantic", "rich", "scipy", "sympy", "torch"]
WEIGHTS = {"code": 0.3, "maths": 0.7}


def recipe() -> dict[str, Any]:
    return {
        "name": "mixing",
        "sources": [
            {"name": "code", "type": "python_packages", "packages": PACKAGES, "max_bytes": 2_000_000},
            {"name": "maths", "type": "docstrings", "packages": PACKAGES},
        ],
        "filters": {"families": ["gopher"]},
        "tokenizer": {"vocab_size": 4096},
        "heldout": {"fraction": 0.01},
        "stages": {"core": {"tokens": 500_000, "weights": {"code": 0.5, "maths": 0.5}, "sequence_length": 2048}},
    }


def pomona(*arguments: str) -> float:
    """Run a command; return its seconds, the start of Python and the report among them."""
    started = time.monotonic()
    command = [sys.executable, "-m", "pipelines.cli", *arguments, "--workers", "1"]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True, env={**os.environ, **ONE_THREAD})
    return time.monotonic() - started


def drawn(rows: dict[str, np.ndarray], tokens: int, seed: int) -> dict[str, float]:
    """Shares of tokens that `datasets.interleave_datasets` gives for probabilities, up to the same budget."""
    import datasets

    sets = [
        datasets.Dataset.from_dict({"tokens": sizes, "source": [name] * len(sizes)}).shuffle(seed=seed)
        for name, sizes in rows.items()
    ]
    mixed = datasets.interleave_datasets(
        sets, probabilities=list(WEIGHTS.values()), seed=seed, stopping_strategy="all_exhausted"
    )
    sizes, source = np.array(mixed["tokens"]), np.array(mixed["source"])
    taken = np.cumsum(sizes) <= tokens
    total = int(sizes[taken].sum())
    return {name: int(sizes[taken & (source == name)].sum()) / total for name in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="folder for the build, which a second call uses again")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        file, weights, run = folder / "mixing.yaml", folder / "weights.yaml", folder / "run"
        file.write_text(yaml.safe_dump(recipe()))
        weights.write_text(yaml.safe_dump({"stages": {"core": {"weights": WEIGHTS}}}))
        if not (run / "run.json").exists():
            seconds = pomona("build", str(file), "--out", str(run))
            print(f"build: {seconds:.1f} s on one core")
        step = next(one for one in read_json(run / "run.json")["steps"] if one["name"] == "07-tokenize")
        print(f"documents mixed from: {step['kept']:,}")
        times = [
            pomona("mix", str(run), "--weights", str(weights), "--out", str(folder / f"mixed-{number}"))
            for number in range(asked.rounds)
            if not (folder / f"mixed-{number}").exists()
        ]
        if times:
            print(f"pomona mix: {statistics.median(times):.1f} s (median of {len(times)}, start and report included)")
        manifest = read_json(folder / "mixed-0" / "mixture" / "core" / "manifest.json")
        print(f"\nshares of tokens for {WEIGHTS}, {manifest['budget']:,} tokens")
        missing = ", ".join(f"{name} {count}" for name, count in manifest["short"].items())
        print(f"pomona: {_told(manifest['realised_weights'])}; tokens missing to the share: {missing}")
        tables = [read_table(path) for path in sorted(Path(run, step["folder"], "tokens").glob("*.parquet"))]
        source = np.concatenate([np.array(table["source"].to_pylist()) for table in tables])
        sizes = np.concatenate([table["count"].to_numpy() for table in tables])
        rows = {name: sizes[source == name] for name in WEIGHTS}
        for seed in range(3):
            print(f"datasets.interleave_datasets, seed {seed}: {_told(drawn(rows, manifest['budget'], seed))}")
        print(f"tokens a document: {', '.join(f'{name} {one.mean():.0f}' for name, one in rows.items())}")
    print("\nchoosing alone, documents of lognormal length, five entries")
    for documents in (100_000, 1_000_000):
        draw = np.random.default_rng(0)
        supply = mixture.Supply(
            draw.integers(0, 2**64, documents, np.uint64),
            draw.integers(0, 5, documents).astype(np.int32),
            draw.lognormal(6, 1, documents).astype(np.int64) + 1,
            ("a", "b", "c", "d", "e"),
        )
        weights_of = dict(zip(supply.names, (0.4, 0.25, 0.2, 0.1, 0.05), strict=True))
        mix = StageMix(weights=weights_of, tokens=int(supply.tokens.sum()), epochs=10)
        started = time.perf_counter()
        chosen = mixture.choose(supply, np.ones(documents, bool), "core", mix, 0)
        middle = time.perf_counter()
        mixture.phased_order(supply, chosen, "core", 0)
        ended = time.perf_counter()
        worst = max(chosen.short.values())
        print(
            f"{documents:,}: chosen in {middle - started:.2f} s, ordered in {ended - middle:.2f} s, at most {worst} off"
        )


def _told(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {share:.6f}" for name, share in shares.items())


if __name__ == "__main__":
    main()
