"""A decoder's loss and gradients on CUDA beside the CPU's: same weights, same packed batch."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch

from trainer import loss as loss_module
from trainer.device import repeatable
from trainer.loss import IGNORE, linear_cross_entropy
from trainer.models import build
from trainer.models.attention import Attention, has_flash
from trainer.models.config import DecoderConfig

pytestmark = pytest.mark.cuda

SHAPE = DecoderConfig(vocab_size=997, width=64, layers=3, heads=4, kv_heads=2, head_dim=16, ffn_width=160)
BATCH, LENGTH = 3, 70


def packed() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, documents and labels: documents of 1 to 40 tokens, padding at the end of the last row."""
    generator = torch.Generator().manual_seed(4)
    ids = torch.randint(0, SHAPE.vocab_size, (BATCH, LENGTH + 1), generator=generator)
    begins = torch.rand((BATCH, LENGTH), generator=generator) < 0.08
    documents = begins.flatten().cumsum(0).view(BATCH, LENGTH)
    documents[-1, -9:] = -1
    labels = ids[:, 1:].clone()
    labels[:, :-1][documents[:, 1:] != documents[:, :-1]] = IGNORE
    labels[documents < 0] = IGNORE
    return ids[:, :-1].contiguous(), documents, labels


def taken(device: str, *, half: bool, rows: int = BATCH) -> tuple[float, torch.Tensor, list[torch.Tensor]]:
    """Mean loss, loss a token and gradients, in steps of so many rows."""
    model = build(SHAPE, seed=2, device=device)
    ids, documents, labels = packed()
    count = int((labels != IGNORE).sum())
    total, tokens = 0.0, []
    for first in range(0, BATCH, rows):
        part = slice(first, first + rows)
        with torch.autocast(device, torch.bfloat16) if half else nullcontext():
            found = model(ids[part].to(device), documents[part], labels[part].to(device), 1e-4)
        (found.total / count).backward()
        total += float(found.cross_entropy)
        tokens.append(found.per_token.cpu())
    return total / count, torch.cat(tokens), [p.grad.cpu() for p in model.parameters() if p.grad is not None]


def apart(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> float:
    """‖ours − theirs‖ / ‖theirs‖ of the worst tensor."""
    return max(float((a - b).norm() / b.norm()) for a, b in zip(ours, theirs, strict=True))


def test_float32_gives_the_loss_and_gradients_of_the_cpu() -> None:
    loss, tokens, gradients = taken("cpu", half=False)
    found, each, slopes = taken("cuda", half=False)
    assert found == pytest.approx(loss, rel=1e-6)
    torch.testing.assert_close(each, tokens, rtol=1e-5, atol=1e-5)
    assert apart(slopes, gradients) < 1e-4


def test_bf16_with_flash_attention_stays_within_its_rounding() -> None:
    loss, _, gradients = taken("cpu", half=False)
    found, _, slopes = taken("cuda", half=True)
    assert found == pytest.approx(loss, rel=2e-3)
    assert found != loss
    assert apart(slopes, gradients) < 0.05


@pytest.mark.parametrize(("half", "rel", "most"), [(False, 1e-6, 1e-5), (True, 1e-4, 0.02)])
def test_micro_batches_add_up_to_the_step(half: bool, rel: float, most: float) -> None:
    whole, _, one = taken("cuda", half=half)
    parts, _, many = taken("cuda", half=half, rows=1)
    assert parts == pytest.approx(whole, rel=rel)
    assert apart(many, one) < most


def test_flash_attention_sees_what_the_mask_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_flash(torch.device("cuda"), torch.bfloat16, SHAPE.head_dim):
        pytest.skip("this GPU has no flash attention")
    ids, documents, _ = packed()
    model = build(SHAPE, seed=2, device="cuda").eval()

    layers: list[int] = []
    packed_attention = Attention._packed

    def counted(self: Attention, *arguments: Any) -> torch.Tensor:
        layers.append(self.layer)
        return packed_attention(self, *arguments)

    def logits() -> torch.Tensor:
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
            return model(ids.cuda(), documents).float()

    monkeypatch.setattr(Attention, "_packed", counted)
    flash = logits()
    assert layers == [0, 1, 2]
    monkeypatch.setattr("trainer.models.decoder.has_flash", lambda *_: False)
    masked = logits()
    assert layers == [0, 1, 2], "both went the same way: nothing is compared"
    there = documents >= 0
    torch.testing.assert_close(flash[there], masked[there], rtol=0, atol=0.06)


def test_no_document_sees_another_under_flash_attention() -> None:
    ids, documents, _ = packed()
    model = build(SHAPE, seed=2, device="cuda").eval()
    changed = ids.clone()
    chosen = documents == documents[0, 20]
    changed[chosen] = (changed[chosen] + 17) % SHAPE.vocab_size
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        before, after = model(ids.cuda(), documents).cpu(), model(changed.cuda(), documents).cpu()
    assert torch.equal(before[~chosen], after[~chosen])
    assert not torch.equal(before[chosen], after[chosen])


@pytest.mark.parametrize("vocabulary", [97, 4096, 5000, 49_152])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_fused_loss_is_that_of_torch_operations(
    monkeypatch: pytest.MonkeyPatch, vocabulary: int, dtype: torch.dtype
) -> None:
    pytest.importorskip("triton")
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(130, 48, generator=generator).cuda()
    weight = torch.randn(vocabulary, 48, generator=generator).cuda()
    labels = torch.randint(0, vocabulary, (130,), generator=generator)
    labels[::4] = IGNORE
    labels = labels.cuda()
    monkeypatch.setattr(loss_module, "_CUDA_BLOCK_BYTES", 4 * vocabulary * 50)  # blocks of 50 rows, a short last one
    results: list[tuple[torch.Tensor, ...]] = []
    for fused in (True, False):
        if not fused:
            monkeypatch.setattr(loss_module, "find_spec", lambda _: None)
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        with torch.autocast("cuda", dtype, enabled=dtype != torch.float32), repeatable(torch.device("cuda")):
            found = linear_cross_entropy(h, w, labels, 1e-3)
            found.total.backward()
        assert h.grad is not None
        assert w.grad is not None
        results.append((found.per_token, found.cross_entropy, found.z, h.grad, w.grad))
    ignored = labels == IGNORE
    assert not results[0][0][ignored].any()
    assert not results[0][3][ignored].any()
    rough = 1e-5 if dtype == torch.float32 else 5e-3
    for ours, theirs in zip(*results, strict=True):
        assert float((ours - theirs).norm() / theirs.norm()) < rough


def test_the_fused_loss_tells_what_is_not_a_number() -> None:
    hidden, weight = torch.ones(3, 8, device="cuda"), torch.ones(11, 8, device="cuda")
    hidden[1, 2] = float("nan")
    found = linear_cross_entropy(hidden, weight, torch.tensor([1, 2, 3], device="cuda"))
    assert torch.isfinite(found.per_token).tolist() == [True, False, True]
