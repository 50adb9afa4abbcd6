"""What the loop needs of a stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from trainer.models.decoder import Decoder


class StepLoss(NamedTuple):
    """The loss of one whole step; its gradients are in the model's parameters.

    Sums stay on the device until somebody asks: reading one waits for all that the device has still to do.
    """

    sums: Tensor
    """Float32 [2, micro-batches]: cross-entropy and weighted z-loss, nats."""
    valid_tokens: int
    per_sequence: Tensor
    """Float32 [batch_size]: loss summed over each sequence, to find the ones that went wrong."""
    data_seconds: float
    """How long the step waited for its batch."""

    @property
    def loss(self) -> float:
        """Mean cross-entropy over the step's valid tokens, nats."""
        return self.means(self.sums.flatten().tolist())[0]

    def means(self, sums: Sequence[float]) -> tuple[float, float]:
        """Cross-entropy and z-loss over the step's valid tokens, of the numbers in `sums`, in order."""
        count, half = max(1, self.valid_tokens), len(sums) // 2
        return sum(sums[:half]) / count, sum(sums[half:]) / count


class Stage(Protocol):
    """Data, loss and schedule of one stage. Steps count from 1."""

    name: str
    steps: int
    peak_lr: float
    weight_decay: float
    tokens_per_step: int

    def schedule(self, step: int) -> float:
        """Factor on peak_lr and weight decay, 0 to 1."""
        ...

    def backward(self, model: Decoder, step: int) -> StepLoss:
        """Add the gradients of the step's mean loss to the model's parameters."""
        ...

    def documents(self, step: int, sequences: list[int]) -> list[dict[str, Any]]:
        """The documents in those sequences (row numbers) of a step: id, source and place."""
        ...

    def close(self) -> None:
        """Stop what works ahead of the steps."""
        ...

    def state_dict(self, step: int) -> dict[str, Any]:
        """The place in the data after `step` steps."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Check that a saved place belongs to this data and order."""
        ...
