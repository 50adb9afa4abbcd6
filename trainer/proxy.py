"""A small model trained for one stage and scored: what stands in for the large one when mixtures are judged."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from trainer.checkpoint import load_model
from trainer.device import compile_layers, repeatable, resolve_device
from trainer.document_loss import DocumentLosses, Documents
from trainer.errors import RequestError
from trainer.loop import Loop, Position
from trainer.metrics import Metrics
from trainer.models import build
from trainer.optimizers import afm
from trainer.progress import TrainProgress
from trainer.recipe import TrainConfig
from trainer.stages.pretrain import PretrainStage


@dataclass(frozen=True)
class Scored:
    """A trained proxy: its size and the losses of its held-out sets."""

    parameters: int
    tokens: int
    """Input tokens it was trained on."""
    seconds: float
    losses: Mapping[str, DocumentLosses]


def train_proxy(
    tokens: Path, config: TrainConfig, heldout: Mapping[str, Documents], start: Path | None = None
) -> Scored:
    """Train the one stage of `config` on a token folder, in the loop that every stage trains in, and score it.

    Nothing is left on disk: no checkpoints, no metrics.

    Args:
        tokens: `tokens/<stage>` with its manifest.
        config: a `train:` section with one stage; its `seed` sets the initial weights and the order of the data.
        heldout: what to score, by name.
        start: a saved model to go on from (continued pre-training); else weights are drawn.

    Raises:
        RequestError: not exactly one stage. TrainerError: see `trainer.errors`.
    """
    if len(config.stages) != 1:
        raise RequestError(f"a proxy trains one stage, but the config has {len(config.stages)}")
    ((name, settings),) = config.stages.items()
    device = resolve_device(config.device)
    stage = PretrainStage(name, settings, tokens, seed=config.seed, z_loss=config.z_loss)
    shape = config.model.resolve(
        vocab_size=stage.loader.stage.manifest.vocab_size, sequence_length=settings.sequence_length
    )
    with repeatable(device, config.threads), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(config.seed)
        model = build(shape, seed=config.seed, device=device) if start is None else load_model(start, device)
        if model.config.vocab_size < shape.vocab_size:
            raise RequestError(
                f"{start}: the model has {model.config.vocab_size} tokens, but {tokens} was made with "
                f"{shape.vocab_size}; give a model of the same tokenizer"
            )
        if config.compile:
            compile_layers(model, device)
        optimizer = afm.build(
            model,
            config.optimizer,
            width=model.config.width,
            peak_lr=stage.peak_lr,
            weight_decay=stage.weight_decay,
        )
        place = Path(folder)
        loop = Loop(
            model, config.optimizer, None, Metrics(place / "metrics.jsonl"), TrainProgress(Console(quiet=True)),
            place, stage.steps, stage.steps,
        )  # fmt: skip
        position = Position(0, 0.0, 0.0, float("nan"), float("nan"))
        loop.run(stage, optimizer, position, lambda _: None)
        losses = {key: one.losses(model) for key, one in heldout.items()}
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Scored(parameters, stage.steps * stage.tokens_per_step, position.train_seconds, losses)
