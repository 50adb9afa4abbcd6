"""What proxies are trained with: one stage of AFM's core settings, its sizes and lengths those of a small model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.recipe_errors import RecipeError
from trainer.recipe import TrainConfig


class ProxySettings(BaseModel):
    """The model and the training of a proxy; `peak_lr`, decay and weight decay are AFM's core (2407.21075, 3.2.1).

    `model` is a preset's name or dimensions. The warm-up is a twentieth of the steps.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = "afm-tiny-1m"
    tokens: int = Field(gt=0)
    sequence_length: int = Field(default=256, gt=1)
    batch_size: int = Field(default=8, gt=0)
    peak_lr: float = Field(default=0.01, gt=0)
    decay_to: float = Field(default=0.005, ge=0, le=1)
    weight_decay: float = Field(default=3.16e-4, ge=0)
    device: str = "auto"
    threads: int = Field(default=1, gt=0)

    @property
    def steps(self) -> int:
        """Whole steps, at least one."""
        return max(1, self.tokens // (self.sequence_length * self.batch_size))

    @property
    def seen(self) -> int:
        """Tokens of whole steps: what a proxy is trained on."""
        return self.steps * self.sequence_length * self.batch_size

    def config(self, stage: str, seed: int) -> TrainConfig:
        """Return the trainer's config for one proxy. Raises RecipeError where the settings do not go together."""
        value = {
            "model": model_of(self.model),
            "seed": seed,
            "device": self.device,
            "threads": self.threads,
            "stages": {
                stage: {
                    "peak_lr": self.peak_lr,
                    "warmup_steps": max(1, self.steps // 20),
                    "decay_to": self.decay_to,
                    "weight_decay": self.weight_decay,
                    "sequence_length": self.sequence_length,
                    "batch_size": self.batch_size,
                    "steps": self.steps,
                }
            },
        }
        try:
            return TrainConfig.model_validate(value)
        except ValidationError as error:
            said = [f"--{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
            raise RecipeError(said) from error


def settings_of(values: Mapping[str, Any]) -> ProxySettings:
    """Return settings of what the command line gave, tried out. Raises RecipeError with the options that are wrong."""
    try:
        made = ProxySettings.model_validate(values)
    except ValidationError as error:
        said = [
            f"--{'.'.join(map(str, one['loc'])).replace('_', '-')}: {one['msg']}; found {one['input']!r}"
            for one in error.errors(include_url=False)
        ]
        raise RecipeError(said) from error
    made.config("core", 0)
    return made


def model_of(given: str) -> dict[str, Any]:
    """Read `--model`: a preset's name, or YAML such as `{width: 64, layers: 2, ...}`."""
    if not given.lstrip().startswith("{"):
        return {"preset": given}
    try:
        value = yaml.safe_load(given)
    except yaml.YAMLError as error:
        raise RecipeError([f"--model {given}: neither a preset nor YAML: {str(error).splitlines()[0]}"]) from error
    return dict(value)
