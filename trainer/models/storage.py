"""Models on disk, in the layout of transformers: config.json + model.safetensors (+ the tokenizer's two files)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from trainer.errors import CheckpointError
from trainer.models.decoder import Decoder
from trainer.models.families import afm
from trainer.special_tokens import ROLES, special_token

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def save_hf(model: Decoder, path: Path, tokenizer: Path | None = None) -> Path:
    """Write config.json and model.safetensors (and the tokenizer with its configuration) into the folder; returns it.

    Weights keep their dtype. Tied embeddings are one tensor in the file, as transformers writes them. Files are
    replaced one by one; for an atomic folder write into a temporary one and rename it (`trainer.checkpoint` does).
    """
    path.mkdir(parents=True, exist_ok=True)
    tensors = {afm.to_hf_name(name): value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, path / WEIGHTS, metadata={"format": "pt"})
    dtype = str(model.embedding.weight.dtype).removeprefix("torch.")
    config = afm.to_hf_config(model.config, dtype)
    if tokenizer is not None:
        special = _special_tokens(tokenizer)
        config.update({f"{role}_token_id": special[role][0] for role in special})
        _write_json(path / "tokenizer_config.json", {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            **{f"{role}_token": special[role][1] for role in special},
        })  # fmt: skip
        if tokenizer.resolve() != (path / "tokenizer.json").resolve():
            shutil.copyfile(tokenizer, path / "tokenizer.json")
    _write_json(path / "config.json", config)
    return path


def load_hf(path: Path, device: torch.device | str = "cpu") -> Decoder:
    """Read a folder written by `save_hf` or by transformers (one file or sharded); parameters are float32.

    Raises:
        CheckpointError: a file is missing, the architecture is another one, or tensors are missing, unknown or of
        another shape.
    """
    config_file = path / "config.json"
    if not config_file.is_file():
        raise CheckpointError(f"{config_file}: not found; expected a model folder with config.json and {WEIGHTS}")
    found: dict[str, Any] = json.loads(config_file.read_text("utf-8"))
    try:
        config = afm.from_hf_config(found, str(config_file))
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{config_file}: cannot be read as an AFM-shaped model: {error}") from error
    model = Decoder(config, device)
    wanted = dict(model.state_dict())
    for file in _weight_files(path):
        with safe_open(file, framework="pt") as tensors:
            for hf_name in tensors.keys():  # noqa: SIM118  (safe_open is not a mapping)
                if hf_name == "lm_head.weight" and config.tied_embeddings:
                    continue  # some writers repeat the tied matrix
                try:
                    name = afm.from_hf_name(hf_name)
                except KeyError as error:
                    raise CheckpointError(f"{file}: {error.args[0]}") from error
                target, value = wanted.pop(name, None), tensors.get_tensor(hf_name)
                if target is None or target.shape != value.shape:
                    expected = "no such tensor" if target is None else f"shape {list(target.shape)}"
                    raise CheckpointError(
                        f"{file}: {hf_name} has shape {list(value.shape)}, config.json expects {expected}"
                    )
                target.copy_(value)
    if wanted:
        raise CheckpointError(
            f"{path}: {len(wanted)} tensors are missing, the first is {afm.to_hf_name(next(iter(wanted)))}"
        )
    return model


def _weight_files(path: Path) -> list[Path]:
    if (path / WEIGHTS).is_file():
        return [path / WEIGHTS]
    if (path / INDEX).is_file():
        index: dict[str, dict[str, str]] = json.loads((path / INDEX).read_text("utf-8"))
        return [path / name for name in sorted(set(index["weight_map"].values()))]
    raise CheckpointError(f"{path}: neither {WEIGHTS} nor {INDEX} found")


def _special_tokens(tokenizer: Path) -> dict[str, tuple[int, str]]:
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(tokenizer))
    found: dict[str, tuple[int, str]] = {}
    for role in ROLES:
        number = special_token(loaded, role)
        if number is not None:
            found[role] = (number, str(loaded.id_to_token(number)))
    return found


def _write_json(file: Path, value: dict[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", "utf-8")
