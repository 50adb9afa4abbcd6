"""Where to compute, and in which precision."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from trainer.errors import RequestError


def resolve_device(name: str) -> torch.device:
    """`auto` is the first CUDA device where there is one, else the CPU; anything else is torch's name of a device.

    Raises:
        RequestError: the name means nothing to torch, or CUDA was asked for and is not available.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise RequestError(f"device {name!r} is not known to torch; use auto, cpu or cuda[:N]") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise RequestError(f"device {name!r} was asked for, but torch sees no CUDA device; use auto or cpu")
    return device


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bf16 forward and backward on CUDA with float32 weights (AFM report 2407.21075 sec 3.2); float32 on the CPU."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


@contextmanager
def repeatable(device: torch.device, threads: int | None = None) -> Generator[None, None, None]:
    """Compute inside the block so that a resumed run repeats bit for bit; torch's settings come back after it.

    CPU kernels are deterministic for a fixed number of threads (another number sums in another order): `threads` fixes
    it, None keeps torch's. CUDA is asked for deterministic kernels; an operation without one warns and runs.
    """
    before_threads = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with _deterministic_cuda(device):
            yield
    finally:
        torch.set_num_threads(before_threads)


@contextmanager
def _deterministic_cuda(device: torch.device) -> Generator[None, None, None]:
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts; its documented condition
    before, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


def device_name(device: torch.device) -> str:
    """For reports: the GPU's name, or the CPU with torch's thread count."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({torch.get_num_threads()} threads)"
