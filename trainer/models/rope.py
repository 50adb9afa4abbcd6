"""Rotary position embedding (Su et al. 2104.09864), in the half-split layout that transformers uses."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def extended_base(base: float, old_length: int, new_length: int) -> float:
    """RoPE base for a longer context: base^(ln(new_length/2pi) / ln(old_length/2pi)).

    Source: Liu et al., "Scaling laws of RoPE-based extrapolation" (2310.05209), used by AFM's context-lengthening
    stage (2407.21075 sec 3.2): from 500,000 at 8,192 tokens to 6,315,089 at 32,768. Lengths are in tokens.

    Raises:
        ValueError: a length of 2pi tokens or fewer, for which the formula has no meaning.
    """
    if old_length <= 2 * math.pi or new_length <= 2 * math.pi:
        raise ValueError(f"lengths must exceed 2pi tokens, found {old_length} and {new_length}")
    return base ** (math.log(new_length / (2 * math.pi)) / math.log(old_length / (2 * math.pi)))


def rotation(positions: Tensor, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotation at integer positions [n]: two float32 tensors [n, head_dim].

    Pair i (coordinates i and i + head_dim/2) turns by position · base^(-2i/head_dim). Always computed in float32:
    bf16 cannot tell neighbouring positions apart beyond 256.
    """
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    angles = positions.to(torch.float32)[:, None] * (1.0 / (base**exponents))[None, :]
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply the rotation to [..., n, head_dim]; keeps the dtype of x."""
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return (x * cos + turned * sin).to(x.dtype)
