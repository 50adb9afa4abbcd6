"""Loss by document: the batches of past steps again, with the weights of a checkpoint.

The order is a pure function of the settings that a checkpoint holds, so that any step's batch can be taken again from
the mixture it names; digests are checked before a token is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from trainer.checkpoint import CheckpointState, load_model, read_state
from trainer.data.loader import IGNORE, Batch
from trainer.device import autocast, on_device, repeatable, resolve_device
from trainer.errors import CheckpointError, RequestError
from trainer.models.decoder import Decoder
from trainer.recipe import StageConfig
from trainer.stages.pretrain import PretrainStage

EXCERPT_TOKENS = 96
"""Of a document's tokens in the step, those that are shown as text."""
THREADS = 1


@dataclass(frozen=True)
class DocumentLoss:
    """One document in one step. `loss` is the mean over its tokens there, in nats; `share` its part of the step's sum.

    `document` is its row in documents.parquet; `offset` and `tokens` tell which of its tokens the step had; `text` is
    how those begin.
    """

    step: int
    document: int
    id: str
    source: str
    loss: float
    share: float
    tokens: int
    offset: int
    text: str


@dataclass(frozen=True)
class StepTrace:
    """A step taken again. `weights_step` is the step whose weights gave the losses."""

    stage: str
    step: int
    weights_step: int
    loss: float
    documents: tuple[DocumentLoss, ...]
    """The highest loss first."""


class Replay:
    """Takes steps of a stage again with a checkpoint's weights.

    Args:
        checkpoint: a folder `checkpoint-NNNNNN`.
        mixture: folder with `tokens/<stage>`; default: the folder above the checkpoint that has one.
        stage: of the steps; default: the checkpoint's own.
        device: as in a recipe.

    Raises:
        CheckpointError: no checkpoint, or one of another mixture. RequestError: an unknown stage, no mixture.
        DataError: as MixtureLoader.
    """

    def __init__(
        self, checkpoint: Path, mixture: Path | None = None, stage: str | None = None, device: str = "auto"
    ) -> None:
        self.path = checkpoint
        self.state: CheckpointState = read_state(checkpoint)
        self.name = stage or self.state.stage
        settings = self.state.settings["stages"].get(self.name)
        if settings is None:
            raise RequestError(
                f"--stage {self.name}: {checkpoint} knows the stages {', '.join(self.state.settings['stages'])}"
            )
        self.run = mixture or run_of(checkpoint, self.name)
        self.stage = PretrainStage(
            self.name,
            StageConfig.model_validate(settings),
            self.run / "tokens" / self.name,
            seed=int(self.state.settings["seed"]),
            z_loss=0.0,
            index=self.run / "packing",
        )
        self._check()
        self.device = resolve_device(device)
        self.model: Decoder = load_model(checkpoint, self.device).eval()
        self._tokenizer = Tokenizer.from_file(str(self.stage.loader.stage.tokenizer_path))

    def _check(self) -> None:
        """Refuse a mixture that the checkpoint was not trained on."""
        if self.name == self.state.stage:
            self.stage.load_state_dict(self.state.loader)
            return
        done = next((one for one in self.state.completed if one.stage == self.name), None)
        found = self.stage.loader
        if done is not None and done.order_sha256 != found.order_digest:
            raise CheckpointError(
                f"{self.path}: stage {self.name} was trained on a mixture whose manifest had sha256 "
                f"{done.manifest_sha256}, {found.stage.manifest_path} has {found.stage.digest} and lays its documents "
                "out in another order; name the right one with --mixture"
            )

    def trace(self, step: int, excerpts: int | None = None) -> StepTrace:
        """Take a step (from 1) again; `excerpts` limits how many documents get their text.

        Raises:
            RequestError: the stage has no such step.
        """
        if not 1 <= step <= self.stage.steps:
            raise RequestError(f"--step {step}: stage {self.name} has the steps 1 to {self.stage.steps}")
        batch = self.stage.loader.batch(step - 1)
        with repeatable(self.device, THREADS):
            losses = self._losses(batch)
        return self._by_document(step, batch, losses, excerpts)

    def _losses(self, batch: Batch) -> NDArray[np.float32]:
        """Cross-entropy of every token of a batch, 0 where none is asked: [n, s]."""
        rows = self.stage.settings.micro_batch_size or len(batch.labels)
        parts: list[NDArray[np.float32]] = []
        for first in range(0, len(batch.labels), rows):
            part = slice(first, first + rows)
            ids, labels = (on_device(one[part], self.device) for one in (batch.input_ids, batch.labels))
            documents = torch.from_numpy(batch.document_ids[part])
            with torch.no_grad(), autocast(self.device):
                masked = documents if self.stage.settings.mask_documents else None
                result = self.model(ids, document_ids=masked, labels=labels)
            parts.append(result.per_token.view(labels.shape).float().cpu().numpy())
        return np.concatenate(parts)

    def _by_document(self, step: int, batch: Batch, losses: NDArray[np.float32], excerpts: int | None) -> StepTrace:
        valid = batch.labels != IGNORE
        rows, at = np.unique(batch.document_ids, return_inverse=True)
        at = at.reshape(batch.document_ids.shape)
        sums = np.bincount(at[valid], losses[valid].astype(np.float64), len(rows))
        counts = np.bincount(at[valid], minlength=len(rows))
        inputs = np.bincount(at.ravel(), minlength=len(rows))
        total = max(float(sums.sum()), 1e-12)
        means = np.divide(sums, counts, out=np.zeros(len(rows)), where=counts > 0)
        known = rows >= 0  # padding belongs to no document
        order = [int(one) for one in np.lexsort((rows, -means)) if counts[one] and known[one]]
        described = self.stage.loader.stage.describe(rows[order])
        first = {int(row["document"]): int(row["document_offset"]) for row in self._places(step)}
        found: list[DocumentLoss] = []
        for place, (one, id_, source) in enumerate(
            zip(order, described["id"].to_pylist(), described["source"].to_pylist(), strict=True)
        ):
            shown = excerpts is None or place < excerpts
            tokens = batch.input_ids[at == one][:EXCERPT_TOKENS] if shown else np.empty(0, np.int64)
            found.append(
                DocumentLoss(
                    step=step,
                    document=int(rows[one]),
                    id=str(id_),
                    source=str(source),
                    loss=float(means[one]),
                    share=float(sums[one]) / total,
                    tokens=int(inputs[one]),
                    offset=first.get(int(rows[one]), 0),
                    text=self._tokenizer.decode(tokens.tolist()) if len(tokens) else "",
                )
            )
        loss = float(sums.sum()) / max(int(counts.sum()), 1)
        return StepTrace(self.name, step, self.state.step, loss, tuple(found))

    def _places(self, step: int) -> list[dict[str, Any]]:
        """Where each document of a step is first met."""
        table = self.stage.loader.provenance(step - 1).select(["document", "document_offset"])
        return table.group_by("document").aggregate([("document_offset", "min")]).rename_columns(
            {"document_offset_min": "document_offset"}
        ).to_pylist()  # fmt: skip


def run_of(checkpoint: Path, stage: str) -> Path:
    """Return the folder above a checkpoint that has its stage's tokens. RequestError where there is none."""
    for folder in checkpoint.resolve().parents:
        if (folder / "tokens" / stage / "manifest.json").is_file():
            return folder
    raise RequestError(
        f"{checkpoint}: no folder above it has tokens/{stage}; name the run that it was trained on with --mixture"
    )


def trace(
    checkpoint: Path, steps: Sequence[int], mixture: Path | None = None, stage: str | None = None, device: str = "auto"
) -> list[StepTrace]:
    """Take several steps again; see `Replay`."""
    replay = Replay(checkpoint, mixture, stage, device)
    return [replay.trace(step) for step in steps]
