"""Embeddings on CUDA beside the CPU's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from filters.quality.encoder import MINILM, Encoder, encoder_folder
from tests.filters.quality.test_encoder import TEXTS, embedded, tiny

pytestmark = pytest.mark.cuda


def both(folder: Path, texts: list[str], tokens: int) -> tuple[np.ndarray, np.ndarray]:
    on_gpu, on_cpu = Encoder(folder, tokens), Encoder(folder, tokens)
    assert on_gpu.device.type == "cuda"
    on_cpu.device = torch.device("cpu")
    on_cpu.model.to("cpu")
    return embedded(on_gpu, texts), embedded(on_cpu, texts)


def test_a_random_encoder_gives_the_cpus_embeddings(tmp_path: Path) -> None:
    ours, theirs = both(tiny(tmp_path), TEXTS, 64)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
    assert not np.array_equal(ours[0], ours[1])


def test_minilm_gives_the_cpus_embeddings() -> None:
    try:
        folder = encoder_folder(MINILM)
    except FileNotFoundError:
        pytest.skip(f"{MINILM} is not installed")
    ours, theirs = both(folder, TEXTS, 128)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


def test_an_embedding_does_not_depend_on_the_texts_beside_it(tmp_path: Path) -> None:
    encoder = Encoder(tiny(tmp_path), 64)
    whole = embedded(encoder, TEXTS * 9)
    for row in range(0, len(TEXTS), 5):
        assert np.array_equal(embedded(encoder, TEXTS[row : row + 1])[0], whole[row])
