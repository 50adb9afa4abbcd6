"""Where to compute, and in which precision."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer.errors import RequestError


def resolve_device(name: str) -> torch.device:
    """`auto` is the first CUDA device where there is one, else the CPU; anything else is torch's name of a device.

    Raises:
        RequestError: the name means nothing to torch, or CUDA was asked for and is not available.
    """
    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise RequestError(f"device {name!r} is not known to torch; use auto, cpu or cuda[:N]") from error
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise RequestError(f"device {name!r} was asked for, but torch sees no CUDA device; use auto or cpu")
        # cuBLAS repeats its sums with this alone, and torch reads it once, with the first matrix product.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return device


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bf16 forward and backward on CUDA with float32 weights (AFM report 2407.21075 sec 3.2); float32 on the CPU."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def product_dtype(weight: Tensor) -> torch.dtype:
    """What matrix products with a weight are computed in: autocast's dtype where it is on, else the weight's own."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def on_device(values: NDArray[Any], device: torch.device) -> Tensor:
    """An array as a tensor of the device; a GPU copies it from pinned memory while the program goes on."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def compile_layers(model: nn.Module, device: torch.device) -> None:
    """Have torch compile each layer of a decoder for CUDA, in place; elsewhere nothing happens.

    Its kernels do what a layer's many small operations do in a few passes over memory. Names of parameters, and so
    checkpoints, stay as they are. No kernel is chosen by timing, and none is made for sizes in general because other
    sizes came before, so that a batch meets the same kernels in every process.
    """
    if device.type != "cuda":
        return
    import torch._dynamo.config as dynamo
    import torch._inductor.config as inductor

    inductor.deterministic, dynamo.automatic_dynamic_shapes = True, False
    decoder: Any = model
    decoder.compiled = True
    for layer in decoder.layers:
        layer.compile()


@contextmanager
def repeatable(device: torch.device, threads: int | None = None) -> Generator[None, None, None]:
    """Compute inside the block so that a resumed run repeats bit for bit; torch's settings come back after it.

    CPU kernels are deterministic for a fixed number of threads (another number sums in another order): `threads` fixes
    it, None keeps torch's. CUDA is held to deterministic kernels: an operation without one raises. (If torch is only to
    warn, flash attention's backward pass adds up in any order.)
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
    before, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    deterministic: Any = torch.utils.deterministic  # a module that stands for its settings
    filled = deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    deterministic.fill_uninitialized_memory = False  # a pass over memory for each new tensor
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        deterministic.fill_uninitialized_memory = filled


def device_name(device: torch.device) -> str:
    """For reports: the GPU's name, or the CPU with torch's thread count."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({torch.get_num_threads()} threads)"
