"""Pretraining: next-token cross-entropy over packed windows of a mixture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from trainer.data import Ahead, MixtureLoader
from trainer.device import autocast, on_device
from trainer.errors import RequestError
from trainer.models.decoder import Decoder
from trainer.recipe import StageConfig
from trainer.schedules import warmup_cosine
from trainer.stages.stage import StepLoss


class PretrainStage:
    """A `Stage` over `tokens/<name>`: mean cross-entropy of a step's valid tokens + z-loss, warm-up and cosine.

    The mean is over all valid tokens of the step, not a mean of means: splitting a step into micro-batches does not
    change it.

    Args:
        name: of the stage.
        settings: its part of the recipe.
        tokens: its token folder.
        seed: of the order.
        z_loss: weight of (log Z)² a token.
        prefetch: steps whose batches a thread makes ahead.
        index: folder that keeps best-fit packings.

    Raises:
        DataError: as `MixtureLoader`.
        RequestError: the warm-up is longer than the stage.
    """

    def __init__(
        self,
        name: str,
        settings: StageConfig,
        tokens: Path,
        *,
        seed: int,
        z_loss: float,
        prefetch: int = 0,
        index: Path | None = None,
    ) -> None:
        self.name, self.settings, self.z_loss = name, settings, z_loss
        self.loader = MixtureLoader(
            tokens,
            sequence_length=settings.sequence_length,
            batch_size=settings.batch_size,
            seed=seed,
            shuffle=settings.shuffle,
            packing=settings.packing,
            index=index,
        )
        self.steps = settings.resolve_steps(self.loader.windows)
        self._ahead = Ahead(self.loader.batch, steps=self.steps, depth=prefetch)
        self.peak_lr, self.weight_decay = settings.peak_lr, settings.weight_decay
        self.tokens_per_step = settings.batch_size * settings.sequence_length
        if settings.warmup_steps > self.steps:
            raise RequestError(
                f"train.stages.{name}.warmup_steps is {settings.warmup_steps}, but the stage has {self.steps} steps "
                f"({self.loader.windows} windows an epoch, batch {settings.batch_size}); shorten the warm-up "
                "or lengthen the stage"
            )

    @property
    def epochs(self) -> float:
        """How often the stage goes through its data."""
        return self.steps * self.settings.batch_size / self.loader.windows

    def schedule(self, step: int) -> float:
        """See `warmup_cosine`."""
        return warmup_cosine(
            step, steps=self.steps, warmup_steps=self.settings.warmup_steps, decay_to=self.settings.decay_to
        )

    def backward(self, model: Decoder, step: int) -> StepLoss:
        """Forward and backward of the step's micro-batches."""
        device = model.embedding.weight.device
        batch, waited = self._ahead.take(step - 1)
        valid = batch.valid_tokens
        if not valid and not self.loader.stage.excluded.any():
            raise RequestError(
                f"train.stages.{self.name}: step {step} has no valid token: every document in it is a single token long"
            )
        rows = self.settings.micro_batch_size or len(batch.labels)
        cross_entropy: list[torch.Tensor] = []
        z_loss: list[torch.Tensor] = []
        per_sequence: list[torch.Tensor] = []
        for first in range(0, len(batch.labels), rows):
            part = slice(first, first + rows)
            labels, ids = (on_device(one[part], device) for one in (batch.labels, batch.input_ids))
            documents = torch.from_numpy(batch.document_ids[part])  # stays here: see Decoder.hidden
            with autocast(device):
                result = model(
                    ids,
                    document_ids=documents if self.settings.mask_documents else None,
                    labels=labels,
                    z_loss=self.z_loss,
                )
            (result.total / max(1, valid)).backward()
            cross_entropy.append(result.cross_entropy)
            z_loss.append(result.z)
            per_sequence.append(result.per_token.view(labels.shape).sum(dim=1))
        # A step whose documents were all taken down has no loss; the steps after it stay where they were.
        sums = torch.stack([torch.stack(cross_entropy), torch.stack(z_loss)])
        return StepLoss(sums, valid, torch.cat(per_sequence), waited)

    def documents(self, step: int, sequences: list[int]) -> list[dict[str, Any]]:
        """Rows of `MixtureLoader.provenance` for those sequences of a step."""
        wanted = {(step - 1) * self.settings.batch_size + row for row in sequences}
        return [row for row in self.loader.provenance(step - 1).to_pylist() if row["slot"] in wanted]

    def close(self) -> None:
        """Stop the thread that makes batches."""
        self._ahead.close()

    def state_dict(self, step: int) -> dict[str, Any]:
        """The loader's state after `step` steps."""
        self.loader.step = step
        return self.loader.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Refuse a place saved over other data or with another order (CheckpointError)."""
        self.loader.load_state_dict(state)
