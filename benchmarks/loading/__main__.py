"""How many tokens a second the loader gives on one core, from shards on the local disk.

A stage is written whose documents are as long as web pages are (log-normal, median 600 tokens); token values are
random, since nothing looks at them. Each packing is timed over steps spread through an epoch, with shuffling, after one
pass that reads every shard and checks its digest. Processor seconds; the median of turns.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainer.data import MixtureLoader

SEQUENCE, BATCH = 4096, 64
VOCABULARY, EOS = 49_152, 2


def write(folder: Path, shards: int, each: int) -> None:
    """A stage of `shards` shards of about `each` tokens."""
    random = np.random.default_rng(0)
    entries, columns = [], {"shard": [], "start": [], "length": []}
    for number in range(shards):
        lengths = np.maximum(2, random.lognormal(np.log(600), 1.1, each // 900)).astype(np.int64)
        tokens = random.integers(3, VOCABULARY, int(lengths.sum()), np.uint16)
        ends = np.cumsum(lengths)
        tokens[ends - 1] = EOS
        path = f"part-{number:05d}.bin"
        content = tokens.astype("<u2").tobytes()
        (folder / path).write_bytes(content)
        entries.append({"path": path, "sha256": hashlib.sha256(content).hexdigest(), "tokens": len(tokens)})
        columns["shard"].append(np.full(len(lengths), number, np.int32))
        columns["start"].append(ends - lengths)
        columns["length"].append(lengths.astype(np.int32))
    listing = {name: pa.array(np.concatenate(parts)) for name, parts in columns.items()}
    count = len(listing["shard"])
    pq.write_table(pa.table({**listing, "id": [str(i) for i in range(count)], "source": ["made"] * count}),
                   folder / "documents.parquet")  # fmt: skip
    manifest = {
        "stage": "made", "dtype": "uint16", "vocab_size": VOCABULARY, "eos_id": EOS, "shards": entries,
        "tokens": sum(one["tokens"] for one in entries), "tokenizer": {"path": "none.json", "sha256": "0" * 64},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))


def measure(folder: Path, packing: Any, steps: int, turns: int) -> dict[str, Any]:
    began = time.process_time()
    loader = MixtureLoader(folder, sequence_length=SEQUENCE, batch_size=BATCH, seed=1, packing=packing, index=folder)
    opening = time.process_time() - began
    began = time.process_time()
    for shard in range(len(loader.stage.manifest.shards)):
        loader.stage._shard(shard)
    checking = time.process_time() - began
    epoch = loader.windows // BATCH
    chosen = np.linspace(0, epoch - 1, steps).astype(int).tolist()
    for step in chosen:
        loader.batch(step)
    rates = []
    for _ in range(turns):
        began = time.process_time()
        for step in chosen:
            loader.batch(step)
        rates.append(steps * BATCH * SEQUENCE / (time.process_time() - began))
    far = 10**12
    began = time.process_time()
    loader.batch(far)
    seek = time.process_time() - began
    filled = loader.stage.tokens / (loader.windows * SEQUENCE)
    return {
        "tokens_per_second": statistics.median(rates), "opening_seconds": opening, "checking_seconds": checking,
        "seek_seconds": seek, "filled": min(1.0, filled), "step_seconds": BATCH * SEQUENCE / statistics.median(rates),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loading", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small stage, one turn: to see that everything works")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    shards, each, steps, turns = (2, 2 << 20, 3, 1) if arguments.quick else (4, 32 << 20, 16, 5)
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), shards, each)
        found = {packing: measure(Path(name), packing, steps, turns) for packing in ("concat", "best_fit")}
    if arguments.json:
        print(json.dumps(found, indent=2))
        return 0
    print(f"sequences of {SEQUENCE} tokens, {BATCH} a step, {shards} shards of about {each * 2 >> 20} MiB")
    print(
        "| packing | M tokens/s | opening s | checking digests s | step 10^12 s | filled |\n|---|---|---|---|---|---|"
    )
    for packing, row in found.items():
        print(
            f"| {packing} | {row['tokens_per_second'] / 1e6:.1f} | {row['opening_seconds']:.2f} "
            f"| {row['checking_seconds']:.2f} | {row['seek_seconds']:.3f} | {row['filled']:.2%} |"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
