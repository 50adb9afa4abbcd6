"""What a training run leaves behind for people and programs: `train/summary.json`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class StageSummary(BaseModel):
    """One finished stage. Losses are nats a token over the fixed held-out tokens, without z-loss."""

    model_config = ConfigDict(extra="forbid")

    stage: str
    steps: int
    tokens: int
    """Input tokens trained on."""
    heldout_start: float
    heldout_end: float
    seconds: float
    """Wall time of the stage, evaluations and checkpoints included, over all resumes."""
    tokens_per_second: float
    """Over the training steps alone."""
    manifest_sha256: str
    """SHA-256 of the token manifest that the stage was trained on."""
    order_sha256: str = ""
    """Digest of the order it was trained in: see `MixtureLoader.order_digest`."""
    data_seconds: float = 0.0
    """How long its steps waited for their batches, of the time of the training steps."""


class Generated(BaseModel):
    """Text sampled from the final model."""

    model_config = ConfigDict(extra="forbid")

    prompt: str
    text: str
    """Continuation only, without the prompt."""
    tokens: int


class Summary(BaseModel):
    """The whole run."""

    model_config = ConfigDict(extra="forbid")

    stages: list[StageSummary]
    parameters: int
    device: str
    generated: Generated
    model: str
    """Folder of the final model, relative to the summary."""
