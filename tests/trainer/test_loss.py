from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from trainer import loss as loss_module
from trainer.loss import IGNORE, linear_cross_entropy


@pytest.mark.parametrize(
    "block_bytes", [4 * 97 * 7, 8 << 20]
)  # blocks of 7 tokens (with a short last one), and one block
def test_value_and_gradients_agree_with_autograd_in_float64(monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    monkeypatch.setattr(loss_module, "_BLOCK_BYTES", block_bytes)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(30, 16, generator=generator).requires_grad_()
    weight = torch.randn(97, 16, generator=generator).requires_grad_()
    labels = torch.randint(0, 97, (30,), generator=generator)
    labels[::4] = IGNORE
    found = linear_cross_entropy(hidden, weight, labels, 1e-2)
    (found.total * 0.25).backward()

    hidden64, weight64 = hidden.detach().double().requires_grad_(), weight.detach().double().requires_grad_()
    logits = hidden64 @ weight64.t()
    cross_entropy = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    z = 1e-2 * (torch.logsumexp(logits, -1).square() * (labels != IGNORE)).sum()
    ((cross_entropy.sum() + z) * 0.25).backward()

    torch.testing.assert_close(found.cross_entropy.double(), cross_entropy.sum(), rtol=1e-6, atol=0)
    torch.testing.assert_close(found.z.double(), z, rtol=1e-6, atol=0)
    torch.testing.assert_close(found.total.double(), cross_entropy.sum() + z, rtol=1e-6, atol=0)
    torch.testing.assert_close(found.per_token.double(), cross_entropy, rtol=1e-5, atol=1e-6)
    assert hidden.grad is not None
    assert weight.grad is not None
    torch.testing.assert_close(hidden.grad.double(), hidden64.grad, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(weight.grad.double(), weight64.grad, rtol=1e-5, atol=1e-6)


def test_ignored_tokens_have_no_loss_and_no_gradient() -> None:
    hidden, weight = torch.randn(4, 8).requires_grad_(), torch.randn(11, 8).requires_grad_()
    found = linear_cross_entropy(hidden, weight, torch.full((4,), IGNORE), 1e-2)
    found.total.backward()
    assert found.total.item() == 0.0
    assert hidden.grad is not None
    assert weight.grad is not None
    assert not hidden.grad.any()
    assert not weight.grad.any()


def test_large_logits_do_not_overflow() -> None:
    hidden, weight = torch.full((1, 4), 1e3), torch.eye(4).repeat(2, 1) * 1e3
    found = linear_cross_entropy(hidden, weight, torch.tensor([1]))
    assert float(found.cross_entropy) == pytest.approx(2.0794415, rel=1e-5)  # ln 8: eight equal logits of a million


def test_bf16_autocast_keeps_float32_weights_and_sums() -> None:
    """The CUDA code path, on the CPU: bf16 products, float32 softmax, gradients and parameters."""
    from trainer.models import build
    from trainer.models.config import DecoderConfig

    model = build(DecoderConfig(vocab_size=97, width=32, layers=2, heads=4, kv_heads=2, head_dim=8, ffn_width=64))
    ids = torch.randint(0, 97, (2, 40), generator=torch.Generator().manual_seed(0))
    documents = (torch.arange(40) // 15).expand(2, 40)
    gradients: list[list[torch.Tensor]] = []
    losses: list[float] = []
    for enabled in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = model(ids[:, :-1], documents[:, :-1], ids[:, 1:], 1e-6)
        (loss.total / 78).backward()
        assert loss.total.dtype == loss.per_token.dtype == torch.float32
        losses.append(loss.cross_entropy.item() / 78)
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert losses[1] == pytest.approx(losses[0], rel=5e-3)
    assert losses[1] != losses[0]
    for full, half in zip(*gradients, strict=True):
        assert half.dtype == torch.float32
        assert torch.nn.functional.cosine_similarity(full.flatten(), half.flatten(), dim=0) > 0.99
