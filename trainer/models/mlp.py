"""The SwiGLU feed-forward layer (Shazeer 2002.05202)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SwiGLU(nn.Module):
    """down(silu(gate(x)) · up(x)), three matrices without biases (2407.21075 sec 2)."""

    def __init__(self, width: int, hidden: int, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False, device=device)
        self.up = nn.Linear(width, hidden, bias=False, device=device)
        self.down = nn.Linear(hidden, width, bias=False, device=device)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., width]."""
        return self.down(F.silu(self.gate(x)) * self.up(x))
