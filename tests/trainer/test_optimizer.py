from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from trainer.models import build
from trainer.models.config import DecoderConfig
from trainer.optimizers import afm
from trainer.optimizers.afm import AFMOptimizer, mup_factor, parameter_groups
from trainer.recipe import OptimizerConfig


def reference(p: np.ndarray, grads: list[np.ndarray], schedules: list[float], *, lr: float, wd: float, factor: float,
              clip: float = 1.0, b1: float = 0.95, b2: float = 0.95) -> np.ndarray:  # fmt: skip
    """RECIPES C6 / axlearn's adastar, transcribed in float64."""
    p, s, m = p.astype(np.float64), np.zeros(p.shape), np.zeros(p.shape)
    for t, (g, schedule) in enumerate(zip(grads, schedules, strict=True), start=1):
        g = g.astype(np.float64)
        s = b2 * s + (1 - b2) * (g**2 + 1e-30)
        u = g / np.sqrt(s / (1 - b2**t))
        u = u / max(1.0, float(np.sqrt(np.mean(u**2))) / clip)
        m = b1 * m + (1 - b1) * u
        p = p - schedule * (lr * factor * m + wd * p)
    return p


@pytest.mark.parametrize("factor", [1.0, 0.25])
@pytest.mark.parametrize("clip", [1.0, 0.3])
def test_follows_the_float64_formula_over_many_steps(factor: float, clip: float) -> None:
    rng = np.random.default_rng(1)
    start = rng.normal(size=(6, 5)).astype(np.float32)
    # Gradients over many orders of magnitude, zeros included, so that bias correction, clip and epsilon all matter.
    grads = [(rng.normal(size=(6, 5)) * 10.0 ** rng.integers(-6, 3)).astype(np.float32) for _ in range(25)]
    for grad in grads:
        grad[0, 0] = 0.0
    schedules = [min(1.0, t / 5) for t in range(1, 26)]
    parameter = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = AFMOptimizer(
        [{"params": [parameter], "factor": factor}], peak_lr=0.01, weight_decay=3.16e-4, update_clip=clip
    )
    for grad, schedule in zip(grads, schedules, strict=True):
        parameter.grad = torch.from_numpy(grad)
        optimizer.set_schedule(schedule)
        optimizer.step()
    expected = reference(start, grads, schedules, lr=0.01, wd=3.16e-4, factor=factor, clip=clip)
    np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=2e-6, atol=2e-7)


def test_the_block_clip_binds_when_gradients_grow() -> None:
    """A gradient 100 times the last gives u of about 4.4 before the clip; the step is lr·(1-b1)·1 after it."""
    parameter = torch.nn.Parameter(torch.zeros(50))
    optimizer = AFMOptimizer([{"params": [parameter]}], peak_lr=1.0, weight_decay=0.0, momentum=0.0)
    for size in (1.0, 100.0):
        before = parameter.detach().clone()
        parameter.grad = torch.full((50,), size)
        optimizer.step()
        torch.testing.assert_close(before - parameter.detach(), torch.ones(50), rtol=1e-5, atol=0)


def test_weight_decay_does_not_depend_on_the_learning_rate() -> None:
    """Trap 16: with zero gradients a weight shrinks by schedule·wd, whatever the peak learning rate."""
    for peak in (1e-4, 1.0):
        parameter = torch.nn.Parameter(torch.ones(3))
        optimizer = AFMOptimizer([{"params": [parameter]}], peak_lr=peak, weight_decay=0.1)
        optimizer.set_schedule(0.5)
        parameter.grad = torch.zeros(3)
        optimizer.step()
        torch.testing.assert_close(parameter.detach(), torch.full((3,), 0.95))


def test_muparam_simple_scales_matrices_of_attention_and_ffn_only() -> None:
    assert mup_factor(3072) == 0.25
    assert mup_factor(768) == 1.0
    assert mup_factor(128) == 1.0
    model = build(DecoderConfig(vocab_size=50, width=16, layers=2, heads=2, kv_heads=1, head_dim=8, ffn_width=24))
    matrices, others = parameter_groups(model, 0.25)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    scaled = {names[id(p)] for p in matrices["params"]}
    assert matrices["factor"] == 0.25
    assert others["factor"] == 1.0
    assert len(scaled) == 2 * 7
    assert all(".attention." in name or ".mlp." in name for name in scaled)
    rest = {names[id(p)] for p in others["params"]}
    assert rest | scaled == set(names.values())
    assert all("norm" in name or name == "embedding.weight" for name in rest)


def test_state_survives_saving_and_changes_nothing() -> None:
    torch.manual_seed(0)
    model = build(DecoderConfig(vocab_size=20, width=8, layers=1, heads=2, kv_heads=1, head_dim=4, ffn_width=8))
    twin = build(model.config)
    one = afm.build(model, OptimizerConfig(), width=8, peak_lr=0.01, weight_decay=1e-4)
    two = afm.build(twin, OptimizerConfig(), width=8, peak_lr=0.01, weight_decay=1e-4)

    def step(target: torch.nn.Module, optimizer: AFMOptimizer, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in target.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()

    for seed in range(3):
        step(model, one, seed)
    twin.load_state_dict(model.state_dict())
    two.load_state_dict(copy.deepcopy(one.state_dict()))  # torch would share the tensors
    for seed in range(3, 6):
        step(model, one, seed)
        step(twin, two, seed)
    for (name, a), (_, b) in zip(model.named_parameters(), twin.named_parameters(), strict=True):
        assert torch.equal(a, b), name
