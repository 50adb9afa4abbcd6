"""How many tokens a second the loader gives on one core, from shards on the local disk.

A stage is written whose documents are as long as web pages are (log-normal, median 600 tokens); token values are
random, since nothing looks at them. Each packing is timed over steps spread through an epoch, with shuffling, after a
pass that reads every shard and checks its digest. Processor seconds; the median of turns. Then a small model takes
steps on the same stage, with batches made when needed and ahead by a thread, and says how long it waited for them.
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


def waiting(folder: Path, prefetch: int, steps: int) -> dict[str, float]:
    """Share of the wall time of a training's steps that it waited for data; the slowest wait, without the first."""
    import torch

    from trainer.models import build
    from trainer.models.config import DecoderConfig
    from trainer.recipe import StageConfig
    from trainer.stages.pretrain import PretrainStage

    torch.set_num_threads(1)
    settings = StageConfig(
        peak_lr=0.01, warmup_steps=0, decay_to=0.1, weight_decay=0.0, sequence_length=512, batch_size=8, steps=steps,
        packing="best_fit",
    )  # fmt: skip
    stage = PretrainStage("made", settings, folder, seed=0, z_loss=0.0, prefetch=prefetch, index=folder)
    config = DecoderConfig(
        vocab_size=VOCABULARY, width=128, layers=2, heads=4, kv_heads=2, head_dim=32, ffn_width=256,
        max_sequence_length=512,
    )  # fmt: skip
    model = build(config, seed=0, device=torch.device("cpu"))
    waits, began = [], 0.0
    for step in range(1, steps + 1):
        if step == 2:  # the first reads the shards and checks their digests
            began = time.perf_counter()
        waits.append(stage.backward(model, step).data_seconds)
    whole = time.perf_counter() - began
    stage.close()
    return {"share": sum(waits[1:]) / whole, "slowest": max(waits[1:]), "first": waits[0], "step": whole / (steps - 1)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loading", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small stage, one turn: to see that everything works")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    shards, each, steps, turns = (2, 2 << 20, 3, 1) if arguments.quick else (4, 32 << 20, 16, 5)
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), shards, each)
        found = {packing: measure(Path(name), packing, steps, turns) for packing in ("concat", "best_fit")}
        trained = {ahead: waiting(Path(name), ahead, 4 if arguments.quick else 40) for ahead in (0, 2)}
    if arguments.json:
        print(json.dumps({"packings": found, "training": trained}, indent=2))
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
    print("\n| steps ahead | a step ms | waiting | slowest wait ms | first wait ms |\n|---|---|---|---|---|")
    for ahead, row in trained.items():
        print(
            f"| {ahead} | {row['step'] * 1e3:.0f} | {row['share']:.3%} | {row['slowest'] * 1e3:.2f} "
            f"| {row['first'] * 1e3:.0f} |"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
