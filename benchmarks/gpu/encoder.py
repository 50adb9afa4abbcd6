"""Texts a second of the sentence encoder with a head, on the GPU and on the CPU."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from filters.quality.encoder import MINILM, Encoder, encoder_folder
from kernels.strings import text_batch

WORDS = ("the", "river", "reason", "because", "water", "buy", "now", "free", "land", "of", "to", "and", "people")


def texts(count: int, words: int) -> list[str]:
    """Texts of common words; what they say changes nothing of the work."""
    random = np.random.default_rng(1)
    return [" ".join(WORDS[k] for k in random.integers(0, len(WORDS), words)) for _ in range(count)]


def measure(encoder: str = MINILM, tokens: int = 128, count: int = 8192, on_cpu: int = 128) -> dict[str, Any]:
    """Texts a second that fill what is read of each; the largest difference between the devices' embeddings."""
    model = Encoder(encoder_folder(encoder), tokens)
    work = texts(count, tokens)
    head = np.random.default_rng(0).normal(size=(model.width, 11))

    def rate(some: list[str]) -> tuple[float, np.ndarray]:
        batch = text_batch(pa.array(some, pa.large_string()))
        began = time.perf_counter()
        found = model.embed(batch)
        (found.astype(np.float64) @ head).sum()
        return len(some) / (time.perf_counter() - began), found

    rate(work[:512])
    fast, ours = rate(work)
    model.device = torch.device("cpu")
    model.model.to("cpu")
    model._texts = 8
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rate(work[:16])
    one, theirs = rate(work[:on_cpu])
    torch.set_num_threads(threads)
    rate(work[:16])
    many, _ = rate(work[: 4 * on_cpu])
    apart = float(np.abs(ours[:on_cpu] - theirs).max())
    return {"gpu": fast, "cpu_one_thread": one, f"cpu_{threads}_threads": many, "apart": apart, "tokens": tokens}
