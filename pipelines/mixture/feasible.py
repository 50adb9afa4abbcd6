"""How many tokens each entry has to give, whether it can, and the nearest mixtures where it cannot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.recipe_mix import StageMix

__all__ = ["Demand", "Infeasible", "Offer", "apportioned", "check", "demanded", "fill", "largest_budget"]


@dataclass(frozen=True)
class Offer:
    """What an entry can give: tokens of its documents, how many these are, and its epoch cap."""

    tokens: int
    documents: int
    cap: float
    note: str = ""
    """Where it has nothing: why."""

    @property
    def most(self) -> int:
        """Tokens under the cap."""
        return int(self.tokens * self.cap)


@dataclass(frozen=True)
class Demand:
    """Tokens that each phase takes of each entry: whole numbers that sum to the stage's budget."""

    phases: tuple[dict[str, int], ...]

    @property
    def totals(self) -> dict[str, int]:
        """Tokens of each entry over all phases."""
        return {name: sum(phase[name] for phase in self.phases) for name in self.phases[0]}


class Infeasible(Exception):
    """A stage asks for more tokens than its entries can give under their epoch caps.

    `budget` is the largest with the same weights; `weights` are the nearest with the same budget, None where even all
    entries together cannot give it.
    """

    def __init__(
        self, message: str, stage: str = "", budget: int = 0, weights: Mapping[str, float] | None = None
    ) -> None:
        """Keep the numbers beside the message."""
        super().__init__(message)
        self.stage, self.budget, self.weights = stage, budget, weights


def apportioned(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Return whole tokens in these shares that sum to `total`: rounded down, then the largest remainders up."""
    whole = math.fsum(shares.values())
    exact = {name: share / whole * total for name, share in shares.items()}
    found = {name: int(tokens) for name, tokens in exact.items()}
    left = total - sum(found.values())
    asked = [name for name, share in shares.items() if share > 0]
    for name in sorted(asked, key=lambda name: (found[name] - exact[name], name))[: max(left, 0)]:
        found[name] += 1
    for name in sorted(asked, key=lambda name: (-found[name], name))[: max(-left, 0)]:  # floats above 2**53
        found[name] -= 1
    # What is left after one token each is rounding of floats; the largest part takes it.
    if rest := total - sum(found.values()):
        found[max(asked, key=lambda name: (found[name], name))] += rest
    return found


def demanded(mix: StageMix, tokens: int | None = None) -> Demand:
    """Return what a stage takes of each entry, phase by phase, for its budget or another."""
    phases = mix.phases()
    whole = mix.tokens if tokens is None else tokens
    lengths = apportioned({str(number): length for number, (length, _) in enumerate(phases)}, whole)
    return Demand(tuple(apportioned(shares, lengths[str(number)]) for number, (_, shares) in enumerate(phases)))


def largest_budget(mix: StageMix, most: Mapping[str, int]) -> int:
    """Return a budget for which these weights ask nobody for more than `most`, while one token more would; or 0."""
    asked = [(name, share) for name, share in mix.shares().items() if share > 0]

    def fits(budget: int) -> bool:
        totals = demanded(mix, budget).totals
        return all(totals[name] <= most[name] for name, _ in asked)

    # Rounding to whole tokens moves a demand by less than a token a phase.
    slack = len(mix.phases())
    above = min(min(int((most[name] + slack) / share) + 1 for name, share in asked), mix.tokens)
    if fits(above):
        return above
    fitting = 0
    while above - fitting > 1:
        middle = (fitting + above) // 2
        fitting, above = (middle, above) if fits(middle) else (fitting, middle)
    return fitting


def fill(wanted: Mapping[str, int], most: Mapping[str, int]) -> dict[str, float] | None:
    """Return the nearest shares under the caps with the same total: each is min(cap, λ · wanted), λ ≥ 1 as it must be.

    Of all mixtures under the caps with this total none moves fewer tokens (least Σ|x - wanted|), and none has a smaller
    Kullback-Leibler divergence from what was wanted; docs/mixtures.md has the proof. An entry of which nothing was
    wanted gives nothing. None where all caps together are below the total.
    """
    total = sum(wanted.values())
    asked = {name: tokens for name, tokens in wanted.items() if tokens > 0}
    if sum(most[name] for name in asked) < total:
        return None
    left, free = float(total), float(sum(asked.values()))
    found = dict.fromkeys(wanted, 0.0)
    # Caps bind in the order of what they are of the wish: one that binds makes λ larger for those after it.
    ranked = sorted(asked, key=lambda name: (most[name] / asked[name], name))
    for at, name in enumerate(ranked):
        level = left / free
        if most[name] >= level * asked[name]:
            for other in ranked[at:]:
                found[other] = level * asked[other]
            break
        found[name] = float(most[name])
        left -= most[name]
        free -= asked[name]
    return {name: tokens / total for name, tokens in found.items()}


def check(stage: str, mix: StageMix, demand: Demand, offers: Mapping[str, Offer]) -> None:
    """Raise Infeasible where an entry has to give more than it may, with the numbers and the nearest mixtures."""
    wanted = demand.totals
    most = {name: offer.most for name, offer in offers.items()}
    short = [name for name, tokens in wanted.items() if tokens > most[name]]
    if not short:
        return
    told = [_short(name, wanted[name], mix, offers[name]) for name in short]
    budget = largest_budget(mix, most)
    weights = fill(wanted, most)
    ways: list[str] = []
    if budget:
        ways.append(
            f"With these weights and caps at most {budget:,} tokens are feasible: set stages.{stage}.tokens to that"
        )
    else:
        ways.append("With these weights no budget is feasible")
    if weights is not None:
        ways.append(f"with these tokens the nearest weights are {_written(weights, wanted, most)}")
    else:
        all_of = sum(most[name] for name, tokens in wanted.items() if tokens)
        ways.append(f"no weights reach {mix.tokens:,} tokens: all entries together give {all_of:,} under their caps")
    having = [name for name in short if offers[name].tokens]
    raised = [f"{name}: {math.ceil(wanted[name] / offers[name].tokens * 100) / 100:g}" for name in having]
    if raised:
        ways.append(f"or raise epochs to {{{', '.join(raised)}}}")
    raise Infeasible(f"stages.{stage}: {'; '.join(told)}. {'; '.join(ways)}", stage, budget, weights)


def _short(name: str, wanted: int, mix: StageMix, offer: Offer) -> str:
    share = mix.shares()[name]
    text = (
        f"{name} should give {wanted:,} tokens ({share:.4g} of {mix.tokens:,}) but has {offer.tokens:,} × "
        f"{offer.cap:g} epochs = {offer.most:,}"
    )
    return f"{text} ({offer.note})" if offer.note else text


def _written(weights: Mapping[str, float], wanted: Mapping[str, int], most: Mapping[str, int]) -> str:
    """Write shares in nine digits that still keep the caps: those at their cap are rounded down."""
    return "{" + ", ".join(f"{name}: {share:.10g}" for name, share in rounded(weights, wanted, most).items()) + "}"


def rounded(weights: Mapping[str, float], wanted: Mapping[str, int], most: Mapping[str, int]) -> dict[str, float]:
    """Return shares in nine decimals that sum to 1; what rounding leaves goes to the entry with most room."""
    total = sum(wanted.values())
    found = {name: math.floor(share * 1e9) for name, share in weights.items()}
    roomy: Sequence[str] = sorted(found, key=lambda name: (weights[name] * total - most[name], name))
    asked = [name for name in roomy if wanted[name]]
    found[asked[0]] += 10**9 - sum(found.values())
    return {name: parts / 1e9 for name, parts in found.items()}
