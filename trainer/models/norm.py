"""Root-mean-square normalisation (Zhang and Sennrich 1910.07467)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """x / sqrt(mean(x², last dim) + eps) · weight, computed in float32 and returned in the dtype of x.

    AFM uses it before each sublayer, before the output and on each query and key head (2407.21075 sec 2).
    """

    def __init__(self, width: int, eps: float, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width, device=device))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [..., width]."""
        return F.rms_norm(x.float(), self.weight.shape, self.weight.float(), self.eps).to(x.dtype)
