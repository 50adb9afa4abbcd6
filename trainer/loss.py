"""Cross-entropy of a linear output layer with z-loss, a block of tokens at a time.

The [tokens, vocabulary] logits of a batch are its largest tensor by far. Here they exist for one block only: the
forward pass turns each block's logits into its gradients at once, and keeps those ([tokens, width] and [vocabulary,
width]) instead. On CUDA one kernel does all that lies between the matrix products (`trainer.loss_cuda`).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from trainer.device import product_dtype

IGNORE = -100
"""Label of a position that carries no loss (torch's own convention)."""

_BLOCK_BYTES = 8 << 20  # logits of one block: fits the last-level cache of a laptop, still a large matrix product
_CUDA_BLOCK_BYTES = 512 << 20  # enough rows that the matrix products fill a GPU


class TokenLoss(NamedTuple):
    """Sums over the valid tokens of a batch, in nats; divide by the valid tokens of the whole step."""

    total: Tensor
    """Scalar float32: cross-entropy + z-loss, the one to differentiate."""
    cross_entropy: Tensor
    """Scalar float32, detached."""
    z: Tensor
    """Scalar float32, detached: z_loss · sum of (log Z)²."""
    per_token: Tensor
    """Float32 [tokens], detached: cross-entropy of each token, 0 where ignored."""


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, z_loss: float, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        tokens, vocabulary = hidden.shape[0], weight.shape[0]
        needs_hidden, needs_weight = bool(ctx.needs_input_grad[0]), bool(ctx.needs_input_grad[1])
        row_losses = _row_losses
        if hidden.is_cuda and find_spec("triton") is not None:
            from trainer.loss_cuda import row_losses
        block = max(1, (_CUDA_BLOCK_BYTES if hidden.is_cuda else _BLOCK_BYTES) // (4 * vocabulary))
        cast_hidden, cast_weight = hidden.to(dtype), weight.to(dtype)
        per_token = torch.zeros(tokens, dtype=torch.float32, device=hidden.device)
        log_z = torch.zeros(tokens, dtype=torch.float32, device=hidden.device)
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if needs_weight else None
        for start in range(0, tokens, block):
            part = slice(start, min(start + block, tokens))
            logits = cast_hidden[part] @ cast_weight.t()
            gradients = needs_hidden or needs_weight
            grad_logits = row_losses(logits, labels[part], per_token[part], log_z[part], z_loss, gradients)
            if not gradients:
                continue
            if grad_hidden is not None:
                grad_hidden[part] = (grad_logits @ cast_weight).to(hidden.dtype)
            if grad_weight is not None:
                if dtype == torch.float32:
                    grad_weight.addmm_(grad_logits.t(), cast_hidden[part])
                else:
                    grad_weight.add_(grad_logits.t() @ cast_hidden[part])
        ctx.save_for_backward(
            grad_hidden if grad_hidden is not None else torch.empty(0),
            grad_weight.to(weight.dtype) if grad_weight is not None else torch.empty(0),
        )
        cross_entropy, z_sum = per_token.sum(), z_loss * log_z.square().sum()
        ctx.mark_non_differentiable(cross_entropy, z_sum, per_token)
        return cross_entropy + z_sum, cross_entropy, z_sum, per_token

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        grad_hidden, grad_weight = ctx.saved_tensors
        scale = cast(Tensor, grads[0])
        return (
            grad_hidden * scale.to(grad_hidden.dtype) if ctx.needs_input_grad[0] else None,
            grad_weight * scale.to(grad_weight.dtype) if ctx.needs_input_grad[1] else None,
            None,
            None,
            None,
        )


def _row_losses(
    logits: Tensor, labels: Tensor, per_token: Tensor, log_z: Tensor, z_loss: float, gradients: bool
) -> Tensor:
    """Return the gradients of logits [rows, vocabulary], in their dtype; fill in each row's loss and log Z, float32."""
    dtype, logits = logits.dtype, logits.float()
    valid = labels != IGNORE
    index = labels.clamp_min(0)[:, None]
    top = logits.amax(dim=-1, keepdim=True)
    chosen = logits.gather(1, index)
    logits.sub_(top).exp_()
    sums = logits.sum(dim=-1, keepdim=True)
    log_sums = sums.log()
    z = (top + log_sums) * valid[:, None]
    log_z.copy_(z[:, 0])
    # Not z - chosen: beside a large top the logarithm would lose its digits.
    per_token.copy_(torch.where(valid[:, None], log_sums + (top - chosen), 0.0)[:, 0])
    if gradients:
        # d total / d logits = softmax · (1 + 2·z_loss·log Z) - onehot(label), zero where ignored.
        logits.mul_((1.0 + 2.0 * z_loss * z) * valid[:, None] / sums)
        rows = torch.arange(len(logits), device=logits.device)
        logits[rows, index[:, 0]] -= valid.float()  # scatter_add_ has no deterministic kernel on CUDA
    return logits.to(dtype)


def linear_cross_entropy(hidden: Tensor, weight: Tensor, labels: Tensor, z_loss: float = 0.0) -> TokenLoss:
    """Summed cross-entropy of softmax(hidden · weightᵀ) and z_loss · (log Z)², over tokens whose label is not IGNORE.

    hidden [tokens, width], weight [vocabulary, width], labels int64 [tokens]. The matrix products run in autocast's
    dtype where it is on; softmax and sums are float32. z-loss 1e-6 as axlearn's honeycrisp (`common/loss.py`:
    z_loss_scale · log_z² added per target).
    """
    dtype = product_dtype(hidden)
    with torch.autocast(device_type=hidden.device.type, enabled=False):
        parts = cast(
            "tuple[Tensor, Tensor, Tensor, Tensor]",
            _LinearCrossEntropy.apply(hidden, weight, labels, z_loss, dtype),
        )
    return TokenLoss(*parts)
