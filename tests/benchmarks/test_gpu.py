from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

from benchmarks.gpu import training
from benchmarks.gpu.__main__ import main
from benchmarks.loading.__main__ import write
from trainer.models import build


def test_without_a_gpu_it_says_so_and_ends_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu"])
    assert main() == 0
    assert capsys.readouterr().out == "benchmarks.gpu: torch sees no CUDA device: nothing is measured\n"


@pytest.mark.parametrize("name", list(training.SIZES))
def test_the_products_are_those_of_the_weights(name: str) -> None:
    """Every weight but the norms' is in one product a token; a tied embedding counts once, as the output."""
    config = training.SIZES[name].model
    norms = sum(one.numel() for one in build(config, device="meta").parameters() if one.dim() == 1)
    counted = sum(inner * columns * times for _, inner, columns, times in training.products(config, 1))
    assert counted == config.parameters() - norms


def test_attention_counts_what_documents_need() -> None:
    config = training.SIZES["30M"].model
    weights = 6 * sum(inner * columns * times for _, inner, columns, times in training.products(config, 1))
    one = training.flops_a_token(config, np.array([2048])) - weights
    halves = training.flops_a_token(config, np.array([1024, 1024])) - weights
    assert one == pytest.approx(2 * halves)
    # Scores and mixing, 2 · 2 · width · half of the positions each, three times for forward and backward.
    assert one == pytest.approx(3 * config.layers * 2 * 2 * config.heads * config.head_dim * 2048 / 2)


def test_the_measured_training_runs_on_a_cpu(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("made")
    write(folder, 1, 1 << 18)
    (size,) = training.QUICK.values()
    rows, stage = training.trained(folder, size, prefetch=2, compiled=True, name="made", device="cpu")
    assert len(rows) == training.WARM + size.steps
    rate, waiting = training.speed(rows)
    assert rate > 0
    assert 0 <= waiting < 1
    assert json.dumps(training.loader_rate(folder, size))
    assert stage.loader.runs(0).length.sum() <= size.batch * size.sequence
