"""Mixtures as batches: token shards on disk, their order, and the loader. Nothing here imports torch."""

from __future__ import annotations

from trainer.data.ahead import Ahead
from trainer.data.loader import IGNORE, PADDING, Batch, MixtureLoader
from trainer.data.tokens import TokenStage

__all__ = ["IGNORE", "PADDING", "Ahead", "Batch", "MixtureLoader", "TokenStage"]
