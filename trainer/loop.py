"""The one training loop, for every kind of stage."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trainer.errors import NonFiniteLossError
from trainer.heldout import HeldOut
from trainer.metrics import Metrics
from trainer.models.decoder import Decoder
from trainer.optimizers.afm import AFMOptimizer
from trainer.progress import TrainProgress
from trainer.recipe import OptimizerConfig
from trainer.stages.stage import Stage, StepLoss

_NAMED = 5  # documents named in an error message; the rest are in the file beside it


@dataclass
class Position:
    """How far a stage has come."""

    step: int
    """Steps done."""
    seconds: float
    """Wall time so far, evaluations and checkpoints included."""
    train_seconds: float
    """Wall time of the training steps alone."""
    heldout_start: float
    heldout_last: float


@dataclass(frozen=True)
class Loop:
    """What stays the same through all stages of a run."""

    model: Decoder
    optimizer_settings: OptimizerConfig
    heldout: HeldOut | None
    """None: no held-out loss is taken."""
    metrics: Metrics
    progress: TrainProgress
    out: Path
    evaluate_every: int
    checkpoint_every: int

    def run(
        self,
        stage: Stage,
        optimizer: AFMOptimizer,
        position: Position,
        checkpoint: Callable[[Position], None],
    ) -> None:
        """Take a stage from `position` (changed in place) to its end.

        Each step: loss and gradients; a norm of drop_norm or more skips the update (axlearn's
        `skip_and_clip_by_global_norm`; here the schedule moves on all the same), else gradients are scaled to a
        global norm of at most clip_norm; update. Then held-out loss every `evaluate_every` steps and `checkpoint`
        every `checkpoint_every`, both at the end.

        Raises:
            NonFiniteLossError: loss or gradient norm is NaN or infinite; the weights are those of the step before.
        """
        began = time.perf_counter() - position.seconds
        self.model.train()
        self.progress.start(stage.name, stage.steps, position.step, position.heldout_last)
        try:
            while position.step < stage.steps:
                step = position.step + 1
                step_began = time.perf_counter()
                schedule = stage.schedule(step)
                optimizer.zero_grad(set_to_none=True)
                result = stage.backward(self.model, step)
                gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
                # The one place where a step waits for the device: the update depends on what is read.
                told = torch.cat([result.sums.flatten(), torch.nn.utils.get_total_norm(gradients)[None]]).tolist()
                (loss, z_loss), norm = result.means(told[:-1]), told[-1]
                if not math.isfinite(loss + z_loss):
                    raise self._non_finite(stage, step, result, f"the loss is {loss}")
                if not math.isfinite(norm):
                    raise self._non_finite(stage, step, result, f"the loss is {loss:.4f}, the gradient norm {norm}")
                skipped = self._clip(gradients, norm)
                if not skipped:
                    optimizer.set_schedule(schedule)
                    optimizer.step()
                now = time.perf_counter()
                position.step = step
                position.train_seconds += now - step_began
                position.seconds = now - began
                speed = stage.tokens_per_step / (now - step_began)
                self.metrics.append(
                    {
                        "stage": stage.name,
                        "step": step,
                        "loss": loss,
                        "z_loss": z_loss,
                        "lr": stage.peak_lr * schedule,
                        "grad_norm": norm,
                        "skipped": skipped,
                        "tokens": step * stage.tokens_per_step,
                        "tokens_per_second": round(speed, 1),
                        "seconds": round(position.seconds, 3),
                        "data_seconds": round(result.data_seconds, 6),
                    }
                )
                last = step == stage.steps
                if self.heldout is not None and (step % self.evaluate_every == 0 or last):
                    position.heldout_last = self.heldout.loss(self.model)
                    self.metrics.append({"stage": stage.name, "step": step, "heldout_loss": position.heldout_last})
                    self.progress.heldout(position.heldout_last)
                self.progress.step(step, loss, stage.peak_lr * schedule, speed)
                if step % self.checkpoint_every == 0 or last:
                    position.seconds = time.perf_counter() - began
                    checkpoint(position)
        finally:
            stage.close()
            self.progress.stop()
        optimizer.zero_grad(set_to_none=True)

    def _clip(self, gradients: list[Tensor], norm: float) -> bool:
        """Whether a step of that global gradient norm is to be skipped; else clips in place."""
        if norm >= self.optimizer_settings.drop_norm:
            return True
        # 1e-8 as axlearn's clip_by_global_norm.
        scale = min(1.0, self.optimizer_settings.clip_norm / (norm + 1e-8))
        if scale < 1.0:
            torch._foreach_mul_(gradients, scale)  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        return False

    def _non_finite(self, stage: Stage, step: int, result: StepLoss, what: str) -> NonFiniteLossError:
        bad = (~torch.isfinite(result.per_sequence)).nonzero().flatten().tolist()
        suspects = bad or list(range(len(result.per_sequence)))
        documents = stage.documents(step, suspects)
        file = self.out / f"nonfinite-{stage.name}-{step:06d}.jsonl"
        file.write_text("".join(json.dumps(document) + "\n" for document in documents), "utf-8")
        named = ", ".join(f"{document['id']} ({document['source']})" for document in documents[:_NAMED])
        more = f" and {len(documents) - _NAMED} more" if len(documents) > _NAMED else ""
        return NonFiniteLossError(
            f"stage {stage.name}, step {step}: {what}; nothing was updated. Documents in the {len(suspects)} "
            f"{'affected ' if bad else ''}sequences: {named}{more} (all in {file}). The last checkpoint is untouched: "
            f"lower peak_lr or look at these documents, then run again"
        )
