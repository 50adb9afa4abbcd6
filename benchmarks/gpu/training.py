"""Training on one GPU: tokens a second beside a ceiling of bare matrix products, and what steps wait for data."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from trainer.data import MixtureLoader
from trainer.device import compile_layers, repeatable
from trainer.loop import Loop, Position
from trainer.metrics import Metrics
from trainer.models import build
from trainer.models.config import DecoderConfig
from trainer.optimizers import afm
from trainer.progress import TrainProgress
from trainer.recipe import OptimizerConfig, StageConfig
from trainer.stages.pretrain import PretrainStage

VOCABULARY = 49_152
WARM = 6
"""Steps before any are counted: kernels are loaded and compiled in them."""


@dataclass(frozen=True)
class Size:
    """A model and how it is trained."""

    width: int
    layers: int
    heads: int
    head_dim: int
    sequence: int
    micro: int
    batch: int
    steps: int

    @property
    def model(self) -> DecoderConfig:
        return DecoderConfig(
            vocab_size=VOCABULARY, width=self.width, layers=self.layers, heads=self.heads, kv_heads=self.heads // 2,
            head_dim=self.head_dim, ffn_width=self.width * 21 // 8 // 64 * 64, max_sequence_length=self.sequence,
        )  # fmt: skip

    @property
    def stage(self) -> StageConfig:
        return StageConfig(
            peak_lr=1e-3, warmup_steps=2, decay_to=0.1, weight_decay=3.16e-4, sequence_length=self.sequence,
            batch_size=self.batch, micro_batch_size=self.micro, steps=WARM + self.steps, packing="best_fit",
        )  # fmt: skip


SIZES = {
    "30M": Size(384, 6, 6, 64, 2048, 16, 64, 30),
    "150M": Size(896, 12, 14, 64, 2048, 16, 64, 24),
    "400M": Size(1280, 18, 10, 128, 4096, 4, 16, 20),
    "1B": Size(2048, 20, 16, 128, 4096, 2, 16, 12),
}
QUICK = {"2M": Size(32, 2, 2, 16, 128, 2, 4, 4)}


def products(model: DecoderConfig, tokens: int) -> list[tuple[int, int, int, int]]:
    """(rows, inner, columns, how often) of the matrix products of a forward pass over so many tokens."""
    query, value = model.heads * model.head_dim, model.kv_heads * model.head_dim
    shapes = [
        (model.width, query, 1), (model.width, value, 2), (query, model.width, 1),
        (model.width, model.ffn_width, 2), (model.ffn_width, model.width, 1),
    ]  # fmt: skip
    found = [(tokens, inner, columns, times * model.layers) for inner, columns, times in shapes]
    return [*found, (tokens, model.width, model.vocab_size, 1)]


def seconds_of(work: Callable[[], object], turns: int = 7) -> float:
    """Median seconds of some GPU work, by events."""
    found: list[float] = []
    for turn in range(turns + 2):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        end.synchronize()
        if turn >= 2:
            found.append(start.elapsed_time(end) / 1e3)
    return statistics.median(found)


def matmul(rows: int, inner: int, columns: int) -> float:
    """Seconds of one bf16 product of random matrices; four pairs in turn, so that no cache holds them all."""
    device = torch.device("cuda")
    pairs = [
        (torch.randn(rows, inner, device=device, dtype=torch.bfloat16),
         torch.randn(inner, columns, device=device, dtype=torch.bfloat16))
        for _ in range(4)
    ]  # fmt: skip
    return seconds_of(lambda: [a @ b for a, b in pairs]) / len(pairs)


def ceiling(model: DecoderConfig, tokens: int) -> float:
    """Tokens a second if a step were its matrix products alone, forward and backward, in the trainer's shapes."""
    whole = 0.0
    for rows, inner, columns, times in products(model, tokens):
        # Forward; the gradient of the input; the gradient of the weight.
        forward = matmul(rows, inner, columns) + matmul(rows, columns, inner) + matmul(columns, rows, inner)
        whole += times * forward
    return tokens / whole


def flops_a_token(model: DecoderConfig, lengths: np.ndarray) -> float:
    """6 for each weight of a matrix product, and attention as documents need it: 6·width·length a layer, causal."""
    weights = sum(inner * columns * times for _, inner, columns, times in products(model, 1))
    context = float((lengths.astype(float) ** 2).sum() / lengths.sum())
    return 6.0 * weights + 6.0 * model.layers * model.heads * model.head_dim * context


def trained(
    folder: Path, size: Size, *, prefetch: int, compiled: bool, name: str, device: str = "cuda"
) -> tuple[list[dict[str, Any]], PretrainStage]:
    """The rows of metrics.jsonl of a short training in the trainer's own loop."""
    where = torch.device(device)
    stage = PretrainStage(name, size.stage, folder, seed=1, z_loss=1e-6, prefetch=prefetch, index=folder)
    model = build(size.model, seed=0, device=where)
    if compiled:
        compile_layers(model, where)
    settings = OptimizerConfig()
    optimizer = afm.build(
        model, settings, width=size.width, peak_lr=stage.peak_lr, weight_decay=stage.weight_decay
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as place, repeatable(where):
        metrics = Metrics(Path(place) / "metrics.jsonl")
        never = stage.steps + 1
        loop = Loop(
            model, settings, None, metrics, TrainProgress(Console(quiet=True)), Path(place), never, never
        )  # fmt: skip
        nothing = float("nan")
        loop.run(stage, optimizer, Position(0, 0.0, 0.0, nothing, nothing), lambda _: None)
    return metrics.rows, stage


def speed(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Tokens a second, and the share of the time that steps waited for data, after the first steps."""
    counted = rows[WARM:]
    seconds = counted[-1]["seconds"] - rows[WARM - 1]["seconds"]
    tokens = counted[-1]["tokens"] - rows[WARM - 1]["tokens"]
    return tokens / seconds, sum(row["data_seconds"] for row in counted) / seconds


def measure(folder: Path, name: str, size: Size) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One size: plain and compiled, batches made ahead and not; and the rows for a timeline."""
    found: dict[str, Any] = {"parameters": size.model.parameters(), "sequence": size.sequence}
    timeline: list[dict[str, Any]] = []
    for prefetch, compiled in ((0, False), (2, False), (2, True)):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        label = f"{name}, {prefetch} ahead"
        rows, stage = trained(folder, size, prefetch=prefetch, compiled=compiled, name=label)
        rate, waiting = speed(rows)
        found[f"{'compiled' if compiled else 'plain'} {prefetch}"] = {
            "tokens_per_second": rate,
            "waiting": waiting,
            "memory_gib": torch.cuda.max_memory_allocated() / 2**30,
            "first_step": rows[0]["seconds"],
            "losses": [round(rows[0]["loss"], 4), round(rows[-1]["loss"], 4)],
            "wall": time.perf_counter() - began,
        }
        if not compiled:
            timeline += rows[WARM:]
        lengths = stage.loader.runs(0).length
    found["flops_a_token"] = flops_a_token(size.model, lengths)
    torch.cuda.empty_cache()
    found["ceiling"] = ceiling(size.model, size.micro * size.sequence)
    found["loader"] = loader_rate(folder, size)
    return found, timeline


def loader_rate(folder: Path, size: Size) -> float:
    """Tokens a second that one thread makes of the same batches."""
    loader = MixtureLoader(
        folder, sequence_length=size.sequence, batch_size=size.batch, seed=2, packing="best_fit", index=folder
    )
    rates: list[float] = []
    for step in range(8):
        began = time.perf_counter()
        loader.batch(step)
        rates.append(size.batch * size.sequence / (time.perf_counter() - began))
    return statistics.median(rates[1:])  # the first reads the shards and checks their digests
