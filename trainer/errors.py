"""The errors a training run stops with; each message names the file or field, what was found and what to do."""

from __future__ import annotations


class TrainerError(Exception):
    """Base of all errors below: the run failed."""


class RequestError(TrainerError):
    """The request cannot be run as written (recipe, stage names, folders, a resume with other settings)."""


class DataError(TrainerError):
    """A token shard, its table of documents or its manifest is missing, changed or inconsistent."""


class CheckpointError(TrainerError):
    """A checkpoint is missing, incomplete or belongs to another model, recipe or mixture."""


class NonFiniteLossError(TrainerError):
    """The loss or the gradient norm became NaN or infinite; the message names the step and its documents."""
