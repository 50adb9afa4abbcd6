"""Held-out loss: one number over fixed tokens, the same whatever the batch, the stage or the world size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from trainer.data import IGNORE, MixtureLoader
from trainer.device import autocast, on_device
from trainer.errors import DataError, RequestError
from trainer.models.decoder import Decoder


class HeldOut:
    """The held-out windows of a run, cut once in stored order.

    Args:
        manifest: token folder of the held-out stage.
        sequence_length: tokens a window, the same for all stages of a run so that their losses compare.
        batch_size: windows at once; changes the speed, not the value.
        max_tokens: use only the first windows that fit in so many tokens.

    Raises:
        DataError: as `MixtureLoader`.
        RequestError: max_tokens is below one window.
    """

    def __init__(self, manifest: Path, *, sequence_length: int, batch_size: int, max_tokens: int | None = None) -> None:
        self.loader = MixtureLoader(manifest, sequence_length=sequence_length, batch_size=1, shuffle=False)
        self.batch_size = batch_size
        self.windows = self.loader.windows
        if max_tokens is not None:
            if max_tokens < sequence_length:
                raise RequestError(f"heldout.max_tokens ({max_tokens}) is below one window of {sequence_length} tokens")
            self.windows = min(self.windows, max_tokens // sequence_length)

    @property
    def tokens(self) -> int:
        """Input tokens read in one evaluation."""
        return self.windows * self.loader.sequence_length

    def loss(self, model: Decoder) -> float:
        """Mean cross-entropy in nats over the valid held-out tokens, summed in float64; documents are masked."""
        device = model.embedding.weight.device
        total, valid = 0.0, 0
        training = model.training
        model.eval()
        with torch.no_grad(), autocast(device):
            for first in range(0, self.windows, self.batch_size):
                batches = [self.loader.batch(step) for step in range(first, min(first + self.batch_size, self.windows))]
                labels = np.concatenate([batch.labels for batch in batches])
                result = model(
                    on_device(np.concatenate([batch.input_ids for batch in batches]), device),
                    document_ids=torch.from_numpy(np.concatenate([batch.document_ids for batch in batches])),
                    labels=on_device(labels, device),
                )
                total += float(result.per_token.double().sum())
                valid += int(np.count_nonzero(labels != IGNORE))
        model.train(training)
        if not valid:
            raise DataError(
                f"{self.loader.stage.manifest_path}: no valid token in {self.windows} held-out windows: "
                "every document is a single token long"
            )
        return total / valid
