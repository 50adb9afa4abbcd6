"""AFM's optimizer: RMSProp with momentum, decoupled weight decay and muParam(simple)."""

# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false
# torch has no public name for operations on many tensors at once, on which its own optimizers rest.

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast, overload

import torch
from torch import Tensor, nn

from trainer.recipe import OptimizerConfig

_TOGETHER = 1 << 26  # numbers updated at once: temporaries are no larger
_MATRICES = (
    "attention.query",
    "attention.key",
    "attention.value",
    "attention.output",
    "mlp.gate",
    "mlp.up",
    "mlp.down",
)


class AFMOptimizer(torch.optim.Optimizer):
    """RMSProp with momentum, a clip per block and decoupled weight decay.

    One step, for every parameter tensor (a "block") with gradient g, in float32, t counting from 1:

        s <- b2·s + (1 - b2)·(g² + 1e-30)           square EMA
        u  = g / sqrt(s / (1 - b2^t))               bias-corrected
        u <- u / max(1, RMS(u) / update_clip)       clip per block
        m <- b1·m + (1 - b1)·u                      momentum, not bias-corrected
        p <- p - schedule·(peak_lr·factor·m + weight_decay·p)

    Source: AFM report (2407.21075) sec 3.2; axlearn `experiments/text/gpt/common.py: adastar_learner_config` and
    `common/optimizers.py: adastar_optimizer, clip_by_block_rms` (b1 = b2 = 0.95, eps 0, eps_square 1e-30, update clip
    1.0). Weight decay is multiplied by the schedule only, never by the peak learning rate: 3.16e-4 here is AdamW's
    0.0316 at a peak of 0.01. As in axlearn it applies to every parameter. axlearn fuses query, key and value in one
    block; here they are three.

    Each group carries `peak_lr`, `weight_decay`, `factor` (muParam(simple)) and `schedule`, the factor of the current
    step, which the loop sets before `step()`. `factor` and `schedule` are plain floats, so a run can be followed in
    float64.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        peak_lr: float,
        weight_decay: float,
        square_decay: float = 0.95,
        momentum: float = 0.95,
        update_clip: float = 1.0,
        epsilon: float = 1e-30,
    ) -> None:
        defaults = {
            "peak_lr": peak_lr,
            "weight_decay": weight_decay,
            "square_decay": square_decay,
            "momentum": momentum,
            "update_clip": update_clip,
            "epsilon": epsilon,
            "factor": 1.0,
            "schedule": 1.0,
        }
        super().__init__(groups, defaults)

    def set_schedule(self, schedule: float) -> None:
        """Set the schedule's factor (0 to 1) for the next step, for every group."""
        for group in self.param_groups:
            group["schedule"] = schedule

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Apply one update to every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            for part in _parts(parameters):
                self._update(part, group)
        return loss

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Update several blocks by one kernel an operation: a GPU would wait for as many launches as there are."""
        states = [self._state(parameter) for parameter in parameters]
        for state in states:
            state["step"] += 1
        squares: list[Tensor] = [state["square"] for state in states]
        momenta: list[Tensor] = [state["momentum"] for state in states]
        b1, b2 = float(group["momentum"]), float(group["square_decay"])
        gradients = [cast(Tensor, parameter.grad).float() for parameter in parameters]
        fresh = torch._foreach_mul(gradients, gradients)
        torch._foreach_add_(fresh, group["epsilon"])
        torch._foreach_mul_(squares, b2)
        torch._foreach_add_(squares, fresh, alpha=1.0 - b2)
        updates = torch._foreach_div(squares, [1.0 - b2 ** state["step"] for state in states])
        torch._foreach_rsqrt_(updates)
        torch._foreach_mul_(updates, gradients)
        # RMS = norm / sqrt(n); kept on the device so that no step waits for it.
        rms = torch._foreach_norm(updates)
        torch._foreach_div_(rms, [math.sqrt(update.numel()) for update in updates])
        torch._foreach_div_(rms, group["update_clip"])
        torch._foreach_clamp_min_(rms, 1.0)
        torch._foreach_div_(updates, rms)
        torch._foreach_mul_(momenta, b1)
        torch._foreach_add_(momenta, updates, alpha=1.0 - b1)
        schedule = float(group["schedule"])
        # schedule·(peak_lr·factor·m + wd·p), with both products taken before the parameter changes.
        torch._foreach_mul_(parameters, 1.0 - schedule * group["weight_decay"])
        torch._foreach_add_(parameters, momenta, alpha=-schedule * group["peak_lr"] * group["factor"])

    def _state(self, parameter: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state["step"] = 0
            state["square"] = torch.zeros_like(parameter, dtype=torch.float32)
            state["momentum"] = torch.zeros_like(parameter, dtype=torch.float32)
        return state


def _parts(parameters: list[Tensor]) -> Iterator[list[Tensor]]:
    """Blocks in order, as many together as have _TOGETHER numbers: what lies between is as large as they are."""
    part: list[Tensor] = []
    for parameter in parameters:
        if part and sum(one.numel() for one in part) + parameter.numel() > _TOGETHER:
            yield part
            part = []
        part.append(parameter)
    if part:
        yield part


def mup_factor(width: int, base_width: int = 768) -> float:
    """Learning-rate factor of attention and FFN matrices: min(base_width / width, 1).

    muParam(simple), Wortsman et al. 2309.14322 sec 3.2.4; base 768 is axlearn's honeycrisp-85M, below which nothing
    is scaled.
    """
    return min(base_width / width, 1.0)


def parameter_groups(model: nn.Module, factor: float) -> list[dict[str, Any]]:
    """Two groups in a fixed order: attention and FFN matrices with `factor`; embeddings and norms with 1."""
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in model.named_parameters():
        scaled = parameter.dim() == 2 and name.removesuffix(".weight").endswith(_MATRICES)
        (matrices if scaled else others).append(parameter)
    return [{"params": matrices, "factor": factor}, {"params": others, "factor": 1.0}]


def build(
    model: nn.Module, settings: OptimizerConfig, *, width: int, peak_lr: float, weight_decay: float
) -> AFMOptimizer:
    """The optimizer of one stage over all parameters of a model of that width."""
    return AFMOptimizer(
        parameter_groups(model, mup_factor(width, settings.mup_base_width)),
        peak_lr=peak_lr,
        weight_decay=weight_decay,
        square_decay=settings.square_decay,
        momentum=settings.momentum,
        update_clip=settings.update_clip,
        epsilon=settings.epsilon,
    )
