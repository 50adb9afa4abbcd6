"""Architectures: one decoder built from parts, one small file a family.

torch is imported when a model is built or read, not when this package is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.models.config import DecoderConfig
from trainer.models.families import afm

if TYPE_CHECKING:
    import torch

    from trainer.models.decoder import Decoder

__all__ = ["PRESETS", "DecoderConfig", "build", "load_hf", "preset", "save_hf"]

PRESETS: Mapping[str, DecoderConfig] = dict(afm.PRESETS)


def preset(name: str) -> DecoderConfig:
    """The configuration of a preset. ValueError with all names for one that does not exist."""
    if name not in PRESETS:
        raise ValueError(f"no model preset {name!r}; there are {', '.join(sorted(PRESETS))}")
    return PRESETS[name]


def build(config: DecoderConfig | str, *, seed: int = 0, device: torch.device | str = "cpu") -> Decoder:
    """A freshly initialised float32 model of a configuration or preset; on device "meta" it has only shapes."""
    from trainer.models.decoder import Decoder, initialize

    model = Decoder(preset(config) if isinstance(config, str) else config, device)
    if model.embedding.weight.device.type != "meta":
        initialize(model, seed)
    return model


def save_hf(model: Decoder, path: Path | str, tokenizer: Path | str | None = None) -> Path:
    """Write the model in transformers' layout (`trainer.models.storage.save_hf`)."""
    from trainer.models.storage import save_hf as save

    return save(model, Path(path), None if tokenizer is None else Path(tokenizer))


def load_hf(path: Path | str, device: torch.device | str = "cpu") -> Decoder:
    """Read a model in transformers' layout as float32 (`trainer.models.storage.load_hf`)."""
    from trainer.models.storage import load_hf as load

    return load(Path(path), device)
