"""A recipe built, and a very small model trained on it: what tests of take-downs and traces begin with."""

from __future__ import annotations

from pathlib import Path

from pipelines import run as runs
from pipelines.engines.local import LocalEngine
from pipelines.recipe import load

SETTINGS = "generate: {prompt: The, tokens: 2}\n  device: cpu\n  threads: 1"
"""Ends the `train:` section of a recipe."""


def built_and_trained(recipe: Path, out: Path) -> Path:
    """Build a recipe into a folder and train on it; return the folder."""
    from trainer.recipe import TrainConfig
    from trainer.training import train

    loaded = load(recipe)
    runs.build(loaded, runs.Options(out), LocalEngine(1))
    train(out, TrainConfig.model_validate(loaded.train))
    return out
