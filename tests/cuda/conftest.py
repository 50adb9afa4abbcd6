"""Tests of what a GPU does; without one they are skipped. `tests/trainer` has the same run on the CPU."""

from __future__ import annotations

import os

import pytest
import torch

from tests.trainer.conftest import token_run

__all__ = ["token_run"]

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # torch reads it once, with the first matrix product


@pytest.fixture(autouse=True)
def _gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    torch.set_num_threads(1)
