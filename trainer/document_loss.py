"""The loss of every document of a set, apart: what comparisons of mixtures and of items of benchmarks rest on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.data import IGNORE
from trainer.device import autocast, on_device
from trainer.errors import DataError
from trainer.models.decoder import Decoder


class DocumentLosses(NamedTuple):
    """Sums of each document, in the order given."""

    nats: NDArray[np.float64]
    """Cross-entropy over the document's predicted tokens."""
    tokens: NDArray[np.int64]
    """Tokens that were predicted: all but the first."""


class Documents:
    """Documents as token ids, cut into windows once and scored by any model of their vocabulary.

    All lie end to end and are cut every `sequence_length` tokens, as in training: no token is left out, none sees
    another document, and the first token of a document is not predicted, for no training token is before it.

    Args:
        documents: token ids of each, without an end mark.
        sequence_length: tokens a window.
        batch_size: windows at once; changes the speed, not the value.

    Raises:
        DataError: no document has two tokens.
    """

    def __init__(self, documents: Sequence[NDArray[np.integer]], *, sequence_length: int, batch_size: int = 8) -> None:
        lengths = np.array([len(one) for one in documents], np.int64)
        if not len(lengths) or int(lengths.max()) < 2:
            raise DataError(f"none of {len(lengths)} held-out documents has two tokens: there is nothing to predict")
        self.count, self.batch_size, self.tokens = len(lengths), batch_size, int(lengths.sum())
        self.windows = -(-self.tokens // sequence_length)
        size = self.windows * sequence_length
        ids, labels = np.zeros(size, np.int64), np.full(size, IGNORE, np.int64)
        owners = np.full(size, self.count, np.int64)  # what fills the last window belongs to nobody
        ids[: self.tokens] = np.concatenate(documents)
        owners[: self.tokens] = np.repeat(np.arange(self.count), lengths)
        same = owners[1 : self.tokens] == owners[: self.tokens - 1]
        labels[: self.tokens - 1] = np.where(same, ids[1 : self.tokens], IGNORE)
        shape = (self.windows, sequence_length)
        self._ids, self._labels, self._owners = ids.reshape(shape), labels.reshape(shape), owners.reshape(shape)

    def losses(self, model: Decoder) -> DocumentLosses:
        """Return each document's loss, in nats, summed in float64."""
        device = model.embedding.weight.device
        nats, counts = np.zeros(self.count + 1), np.zeros(self.count + 1, np.int64)
        training = model.training
        model.eval()
        with torch.no_grad(), autocast(device):
            for first in range(0, self.windows, self.batch_size):
                part = slice(first, first + self.batch_size)
                owners = self._owners[part]
                result = model(
                    on_device(self._ids[part], device),
                    document_ids=torch.from_numpy(owners),
                    labels=on_device(self._labels[part], device),
                )
                losses = result.per_token.double().cpu().numpy().ravel()
                nats += np.bincount(owners.ravel(), losses, self.count + 1)
                counts += np.bincount(owners.ravel(), self._labels[part].ravel() != IGNORE, self.count + 1).astype(int)
        model.train(training)
        return DocumentLosses(nats[:-1], counts[:-1])

    def loss(self, model: Decoder) -> float:
        """Return the mean cross-entropy of all predicted tokens, in nats."""
        found = self.losses(model)
        return float(found.nats.sum() / found.tokens.sum())
