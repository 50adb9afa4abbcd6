"""The four ways to better weights: each trains proxies, fits what it goes by, and proposes a mixture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.proxies import dcpt, forecast, mixing_law, regmix
from pipelines.proxies.bench import Bench, Method
from pipelines.proxies.supply import Shares, Supply
from pipelines.recipe_errors import RecipeError
from pipelines.storage import read_json

SHARES = 9
FEW = 3
"""Shares at which a domain is measured whose law is otherwise that of others."""
BUDGETS = (0.25, 0.5, 1.0)
COMPUTES = (0.125, 0.25, 0.5, 1.0)
CANDIDATES = 6


@dataclass(frozen=True)
class Proposal:
    """What a method found."""

    shares: Shares
    predicted: float
    """Target loss of the proposal, bits a byte, at the proxies' scale (scaling: at the compute asked for)."""
    predicted_current: float
    facts: dict[str, Any]


def _observed(bench: Bench, supply: Supply) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Train on random mixtures; return them and the losses, [mixtures, groups]."""
    asked = bench.asked
    mixtures = regmix.designs(supply, asked.proxies, asked.seed)
    found = bench.train(list(mixtures), [0])
    return mixtures, np.stack([bench.losses(one) for one in found])


def _regmix(bench: Bench, supply: Supply, current: Shares) -> Proposal:
    mixtures, losses = _observed(bench, supply)
    target = losses @ bench.importance
    regression = regmix.fit(mixtures, target, bench.asked.seed)
    shares, predicted = regmix.propose(supply, regression, bench.asked.seed)
    facts = {
        "rank_correlation": regression.rank_correlation,
        "error": regression.error,
        "mixtures": mixtures.tolist(),
        "observed": target.tolist(),
        "best_observed": float(target.min()),
    }
    return Proposal(shares, predicted, float(regression.predict(current[None])[0]), facts)


def _mixing_laws(bench: Bench, supply: Supply, current: Shares) -> Proposal:
    mixtures, losses = _observed(bench, supply)
    laws = [mixing_law.fit(mixtures, column) for column in losses.T]
    shares, predicted = mixing_law.propose(supply, laws, bench.importance.tolist())
    said = {
        group: {"c": law.c, "k": law.k, "t": dict(zip(supply.names, law.t.tolist(), strict=True)), "error": law.error}
        for group, law in zip(bench.groups, laws, strict=True)
    }
    now = float(sum(w * law.predict(current) for w, law in zip(bench.importance, laws, strict=True)))
    target = losses @ bench.importance
    facts = {"laws": said, "mixtures": mixtures.tolist(), "observed": target.tolist()}
    return Proposal(shares, predicted, now, facts)


@dataclass(frozen=True)
class Observed:
    """Losses of one domain and of the rest (`general`) at shares of the domain; arrays [points]."""

    domain_name: str
    size: NDArray[np.float64]
    tokens: NDArray[np.float64]
    share: NDArray[np.float64]
    domain: NDArray[np.float64]
    general: NDArray[np.float64]

    def as_dict(self) -> dict[str, list[float]]:
        """Return it as optimization.json has it."""
        names = ("size", "tokens", "share", "domain", "general")
        return {name: getattr(self, name).tolist() for name in names}


def observed_of(files: Sequence[Path]) -> list[Observed]:
    """Read what earlier searches measured. Raises RecipeError with the file that is none."""
    found: list[Observed] = []
    for path in files:
        try:
            told: dict[str, Any] = read_json(path)
            seen = told["observed_domain"]
            arrays = [np.array(seen[name], float) for name in ("size", "tokens", "share", "domain", "general")]
        except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
            raise RecipeError(
                [f"--law {path}: expected optimization.json of `pomona optimize --method dcpt` ({error!r})"]
            ) from error
        found.append(Observed(str(told["domain"]), *arrays))
    return found


def _dcpt(bench: Bench, supply: Supply, current: Shares) -> Proposal:
    """Share of one entry from 0 to what its cap allows, the others as they stand to each other.

    At three lengths and each size; with the laws of other domains, at three shares of the shortest.
    """
    asked = bench.asked
    at = supply.names.index(str(asked.domain))
    others = current.copy()
    others[at] = 0.0
    if not others.sum():
        raise RecipeError([f"--domain {asked.domain}: the others have no share to keep"])
    others /= others.sum()
    low = float(max(0.0, 1 - np.min(np.where(others > 0, supply.most / np.where(others > 0, others, 1.0), np.inf))))
    high = float(supply.most[at])

    def mixture(share: float) -> Shares:
        made = others * (1 - share)
        made[at] = share
        return made

    known = observed_of(asked.laws)
    seen = _seen(bench, mixture, np.linspace(low, high, FEW if known else SHARES), short=bool(known))
    laws = _laws(seen, known)
    size, length = asked.target_parameters or float(seen.size.max()), asked.target_tokens or float(seen.tokens.max())
    now = float(current[at])
    bound = (1 + asked.general_rise) * float(laws[1].predict(size, length, 1 - now))
    best = dcpt.best_share(laws[0], laws[1], size, length, bound, high, low)
    if best is None:
        raise RecipeError([f"--general-rise {asked.general_rise:g}: no share keeps general loss below {bound:.4f}"])
    share = best.share
    facts = {
        "domain": asked.domain,
        "share": share,
        "bound": bound,
        "general": {"current": float(laws[1].predict(size, length, 1 - now)), "proposed": best.general},
        "laws": {"domain": vars(laws[0]), "general": vars(laws[1])},
        "laws_of": [one.domain_name for one in known],
        "at": {"parameters": size, "tokens": length},
        "sizes": sorted({int(one) for one in seen.size}),
        "observed_domain": seen.as_dict(),
    }
    return Proposal(mixture(share), best.domain, float(laws[0].predict(size, length, now)), facts)


def _seen(bench: Bench, mixture: Callable[[float], Shares], grid: NDArray[np.float64], *, short: bool) -> Observed:
    """Train proxies at the shares of a grid, at each size and length, and return their losses."""
    asked = bench.asked
    own = [n for n, group in enumerate(bench.groups) if group.rpartition("/")[2] == asked.domain]
    if not own or len(own) == len(bench.groups):
        raise RecipeError(
            [f"--domain {asked.domain}: the held-out sets need documents of it and of others; they have "
             f"{', '.join(bench.groups)}"]
        )  # fmt: skip
    rows: list[tuple[float, ...]] = []
    for model in (bench.settings.model, *asked.sizes):
        for budget in BUDGETS[:1] if short else BUDGETS:
            length = max(1, int(bench.settings.tokens * budget))
            found = bench.train([mixture(share) for share in grid], [0], length, model)
            for share, one in zip(grid.tolist(), found, strict=True):
                losses = bench.losses(one)
                rest = float(np.delete(losses, own).mean())
                rows.append((float(one.parameters), float(one.tokens), share, float(losses[own].mean()), rest))
    return Observed(str(asked.domain), *np.array(rows).T)


def _laws(seen: Observed, known: Sequence[Observed]) -> tuple[dcpt.DcptLaw, dcpt.DcptLaw]:
    """Fit the laws of the domain and of the rest; with known domains, theirs with floors of this one's own."""
    if not known:
        fitted = dcpt.fit(seen.size, seen.tokens, seen.share, seen.domain)
        return fitted, dcpt.fit(seen.size, seen.tokens, 1 - seen.share, seen.general)
    number = np.concatenate([np.full(len(one.size), place) for place, one in enumerate(known)])
    size, tokens, share, domain, general = (
        np.concatenate([getattr(one, name) for one in known])
        for name in ("size", "tokens", "share", "domain", "general")
    )
    shared = dcpt.fit_across(number, size, tokens, share, domain)[0]
    rest = dcpt.fit_across(number, size, tokens, 1 - share, general)[0]
    return (
        dcpt.with_floor(shared, seen.size, seen.tokens, seen.share, seen.domain),
        dcpt.with_floor(rest, seen.size, seen.tokens, 1 - seen.share, seen.general),
    )


def _scaling(bench: Bench, supply: Supply, current: Shares) -> Proposal:
    """The current mixture, the natural one where it is feasible, and random ones: a law of each, ranked by forecast."""
    asked = bench.asked
    candidates = [current, *([supply.natural] if supply.feasible(supply.natural) else [])]
    candidates += list(regmix.designs(supply, CANDIDATES - len(candidates), asked.seed))
    seeds = list(range(1, asked.seeds + 1))
    compute: list[float] = []
    losses = np.empty((len(candidates), len(seeds), len(COMPUTES)))
    for at, budget in enumerate(COMPUTES):
        found = bench.train(candidates, seeds, max(1, int(bench.settings.tokens * budget)))
        compute.append(forecast.flops(found[0].parameters, found[0].tokens))
        losses[:, :, at] = np.array([bench.target(one) for one in found]).reshape(len(candidates), len(seeds))
    amounts = np.array(compute)
    target = asked.target_flops or 100 * max(compute)
    told = [forecast.forecast(amounts, one, target, asked.seed) for one in losses]
    best = int(np.argmin([one.mean for one in told]))
    facts = {
        "compute": compute,
        "target_flops": target,
        "candidates": [
            {
                "shares": dict(zip(supply.names, shares.tolist(), strict=True)),
                "losses": one.mean(axis=0).tolist(),
                "forecast": said.as_dict(),
            }
            for shares, one, said in zip(candidates, losses, told, strict=True)
        ],
    }
    return Proposal(candidates[best], told[best].mean, told[0].mean, facts)


FINDERS: Mapping[Method, Callable[[Bench, Supply, Shares], Proposal]] = {
    "regmix": _regmix,
    "mixing-laws": _mixing_laws,
    "dcpt": _dcpt,
    "scaling": _scaling,
}
