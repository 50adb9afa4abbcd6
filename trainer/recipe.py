"""The `train:` section of a recipe. Importing this needs pydantic only, not torch.

Defaults are AFM's (report 2407.21075) where it gives a number, axlearn's open `honeycrisp.py` where the report is
silent; each says which. Stages named `core` and `continued` take that stage's defaults; a stage of another name
states its own numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trainer.models import preset
from trainer.models.config import DecoderConfig

AFM_STAGES: Mapping[str, Mapping[str, Any]] = {
    # Sec 3.2.1: 6.3T tokens, sequence 4096, batch 4096, peak 0.01, warm-up 5,000, cosine to 0.005 of peak, decoupled
    # weight decay 3.16e-4.
    "core": {
        "peak_lr": 0.01,
        "warmup_steps": 5000,
        "decay_to": 0.005,
        "weight_decay": 3.16e-4,
        "sequence_length": 4096,
        "batch_size": 4096,
        "tokens": 6_300_000_000_000,
    },
    # Sec 3.2.2: 1T tokens, sequence 8192, peak 3e-4, warm-up 1,000, decay to 0.001 of peak, weight decay 1e-5, "rest
    # as core".
    "continued": {
        "peak_lr": 3e-4,
        "warmup_steps": 1000,
        "decay_to": 0.001,
        "weight_decay": 1e-5,
        "sequence_length": 8192,
        "batch_size": 4096,
        "tokens": 1_000_000_000_000,
    },
}
_DURATIONS = ("steps", "tokens", "epochs")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(_Section):
    """Which model to train: a preset, changed by any dimension given, or all dimensions."""

    family: Literal["afm"] = "afm"
    preset: str | None = None
    vocab_size: int | None = Field(default=None, gt=0, description="default: that of the tokenizer")
    width: int | None = Field(default=None, gt=0)
    layers: int | None = Field(default=None, gt=0)
    heads: int | None = Field(default=None, gt=0)
    kv_heads: int | None = Field(default=None, gt=0)
    head_dim: int | None = Field(default=None, gt=0)
    ffn_width: int | None = Field(default=None, gt=0)
    rope_base: float | None = Field(default=None, gt=1.0)
    norm_eps: float | None = Field(default=None, gt=0.0)
    tied_embeddings: bool | None = None
    max_sequence_length: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self.resolve(vocab_size=1, sequence_length=1)
        return self

    def resolve(self, *, vocab_size: int, sequence_length: int) -> DecoderConfig:
        """The model's configuration, with the tokenizer's vocabulary size and the longest training sequence filled in.

        Raises:
            ValueError: an unknown preset, a missing dimension, or dimensions that do not fit each other.
        """
        values: dict[str, Any] = {"family": self.family}
        if self.preset is not None:
            values = preset(self.preset).model_dump()
        values["vocab_size"] = vocab_size
        values.update({k: v for k, v in self.model_dump(exclude={"preset", "family"}).items() if v is not None})
        missing = [
            name for name in ("width", "layers", "heads", "kv_heads", "head_dim", "ffn_width") if name not in values
        ]
        if missing:
            raise ValueError(f"give a preset or these dimensions too: {', '.join(missing)}")
        values["max_sequence_length"] = max(sequence_length, values.get("max_sequence_length", 0))
        return DecoderConfig(**values)


class OptimizerConfig(_Section):
    """AFM's RMSProp with momentum (sec 3.2; constants from axlearn's `adastar_learner_config`)."""

    name: Literal["afm"] = "afm"
    square_decay: float = Field(default=0.95, ge=0.0, lt=1.0, description="EMA of squared gradients, bias-corrected")
    momentum: float = Field(default=0.95, ge=0.0, lt=1.0, description="EMA of clipped updates, not bias-corrected")
    epsilon: float = Field(default=1e-30, gt=0.0, description="added to squared gradients")
    update_clip: float = Field(default=1.0, gt=0.0, description="largest RMS of one parameter block's update")
    clip_norm: float = Field(default=1.0, gt=0.0, description="largest global gradient norm")
    drop_norm: float = Field(default=100.0, gt=0.0, description="a step whose gradient norm reaches this is skipped")
    mup_base_width: int = Field(default=768, gt=0, description="muParam(simple): matrices learn at min(this/width, 1)")


class StageConfig(_Section):
    """One training stage: its data is `tokens/<name>`."""

    kind: Literal["pretrain"] = "pretrain"
    peak_lr: float = Field(gt=0.0)
    warmup_steps: int = Field(ge=0, description="linear, from 0")
    decay_to: float = Field(ge=0.0, le=1.0, description="end of the cosine, as a fraction of the peak")
    weight_decay: float = Field(ge=0.0, description="decoupled: scaled by the schedule, not by peak_lr")
    sequence_length: int = Field(gt=0, description="tokens")
    batch_size: int = Field(gt=0, description="sequences a step")
    micro_batch_size: int | None = Field(
        default=None, gt=0, description="sequences at once; gradients accumulate over a step"
    )
    steps: int | None = Field(default=None, gt=0)
    tokens: int | None = Field(default=None, gt=0)
    epochs: float | None = Field(default=None, gt=0.0)
    shuffle: bool = Field(default=True, description="false: windows in stored order")
    packing: Literal["concat", "best_fit"] = Field(
        default="concat", description="concat: cut every sequence_length; best_fit: whole documents (2404.10830)"
    )
    mask_documents: bool = Field(
        default=True, description="no attention across packed documents; AFM's report is silent"
    )
    carry_optimizer: bool = Field(
        default=False, description="keep the optimizer state of the stage before; AFM's report is silent"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = [name for name in _DURATIONS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of steps, tokens, epochs; found {', '.join(given) or 'none'}")
        if self.micro_batch_size is not None and self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size ({self.batch_size}) must be a multiple of micro_batch_size ({self.micro_batch_size})"
            )
        if self.steps is not None and self.warmup_steps > self.steps:
            raise ValueError(f"warmup_steps ({self.warmup_steps}) exceeds steps ({self.steps})")
        return self

    def resolve_steps(self, windows: int) -> int:
        """Steps of the stage, given the windows an epoch of its data; whole steps, at least one."""
        if self.steps is not None:
            return self.steps
        if self.tokens is not None:
            return max(1, self.tokens // (self.batch_size * self.sequence_length))
        return max(1, int(cast(float, self.epochs) * windows) // self.batch_size)


class HeldOutConfig(_Section):
    """The fixed held-out tokens, always cut and averaged the same way, whatever stage is training."""

    stage: str = Field(default="heldout", description="its tokens are tokens/<stage>; never trained on")
    sequence_length: int | None = Field(default=None, gt=0, description="default: the shortest training sequence")
    batch_size: int = Field(default=8, gt=0, description="sequences at once; does not change the value")
    max_tokens: int | None = Field(default=None, gt=0, description="read only the first so many tokens")


class GenerateConfig(_Section):
    """The text generated at the end of training."""

    prompt: str = Field(default="The", min_length=1)
    tokens: int = Field(default=100, gt=0)
    temperature: float = Field(default=0.8, ge=0.0, description="0 is greedy")
    top_p: float = Field(default=0.95, gt=0.0, le=1.0)
    seed: int = 0


class TrainConfig(_Section):
    """The whole `train:` section; stages run in the order written."""

    model: ModelConfig = ModelConfig(preset="afm-on-device")
    optimizer: OptimizerConfig = OptimizerConfig()
    stages: dict[str, StageConfig] = Field(min_length=1)
    z_loss: float = Field(default=1e-6, ge=0.0, description="weight of (log Z)² a token; axlearn honeycrisp")
    seed: int = 0
    device: str = Field(default="auto", description="auto: CUDA where there is one, else the CPU")
    threads: int | None = Field(default=None, gt=0, description="CPU threads; default torch's (OMP_NUM_THREADS)")
    compile: bool = Field(default=False, description="torch.compile each layer on CUDA; other roundings, same promise")
    prefetch: int = Field(default=2, ge=0, description="steps whose batches are made ahead, by a thread; 0 makes none")
    heldout: HeldOutConfig = HeldOutConfig()
    evaluate_every: int = Field(default=25_000, gt=0, description="steps; axlearn honeycrisp. Start and end always")
    checkpoint_every: int = Field(default=5_000, gt=0, description="steps; axlearn honeycrisp. The end always")
    keep_checkpoints: int = Field(default=2, gt=0, description="latest so many of a stage")
    generate: GenerateConfig = GenerateConfig()

    @model_validator(mode="before")
    @classmethod
    def _afm_defaults(cls, raw: Any) -> Any:
        """Fill `core` and `continued` with AFM's numbers where the recipe gives none."""
        if not isinstance(raw, Mapping):
            return raw
        values: dict[str, Any] = dict(cast("Mapping[str, Any]", raw))
        stages: Any = values.get("stages", {"core": {}, "continued": {}})
        if not isinstance(stages, Mapping):
            return values
        filled: dict[str, Any] = {}
        for name, given in cast("Mapping[str, Any]", stages).items():
            if name in AFM_STAGES and (given is None or isinstance(given, Mapping)):
                stated = dict(cast("Mapping[str, Any]", given or {}))
                defaults = dict(AFM_STAGES[name])
                if any(stated.get(key) is not None for key in _DURATIONS):
                    defaults.pop("tokens")
                filled[name] = {**defaults, **stated}
            else:
                filled[name] = given
        values["stages"] = filled
        return values

    @model_validator(mode="after")
    def _heldout_apart(self) -> Self:
        if self.heldout.stage in self.stages:
            raise ValueError(
                f"heldout.stage {self.heldout.stage!r} is also a training stage; held-out tokens are never trained on"
            )
        return self

    @property
    def heldout_sequence_length(self) -> int:
        """Tokens a held-out window."""
        return self.heldout.sequence_length or min(stage.sequence_length for stage in self.stages.values())
