"""What trains and scores mixtures of a supply, and what was asked of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.engines.plan import Engine
from pipelines.proxies import heldout
from pipelines.proxies.proxy import Proxy, Result, train_all
from pipelines.proxies.settings import ProxySettings
from pipelines.proxies.supply import Drawn, Pool, Shares
from pipelines.recipe_errors import RecipeError, nearest

Method = Literal["regmix", "mixing-laws", "dcpt", "scaling"]
METHODS: tuple[Method, ...] = ("regmix", "mixing-laws", "dcpt", "scaling")
FEWEST = 64
"""Proxies of RegMix and the mixing laws; fewer teach the regression next to nothing."""


@dataclass(frozen=True)
class Asked:
    """What to optimise, and how.

    Args:
        method: one of METHODS.
        stage: whose weights; None for the first.
        proxies: mixtures to train on (regmix, mixing-laws).
        seeds: pairs of proxies that confirm.
        heldout: names of held-out sets (`heldout.read`).
        target: sets, or groups of sets, with their importance; empty: every group of every set counts the same.
        settings: of the proxies (`ProxySettings`).
        domain: the source or entry whose share is sought (dcpt).
        general_rise: how far general loss may rise over what the current weights give, as a fraction (dcpt).
        sizes: other models to fit the law over, beside the proxies' own (dcpt).
        laws: optimization.json files of other domains, whose law this domain is to have but for its floor (dcpt).
        target_parameters, target_tokens: what the share is to be best for (dcpt); None for the largest proxy's.
        start: a model to go on from (dcpt is about continued pre-training).
        target_flops: compute to forecast at (scaling); None for a hundred times the largest proxy's.
        repeats: keep sources as scarce for proxies as they will be (`supply.Drawn`).
    """

    method: Method = "regmix"
    stage: str | None = None
    proxies: int = FEWEST
    seeds: int = 3
    heldout: Sequence[str] = (heldout.COMMON,)
    target: Mapping[str, float] = field(default_factory=dict[str, float])
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    heldout_tokens: int = 100_000
    domain: str | None = None
    general_rise: float = 0.03
    start: Path | None = None
    target_flops: float | None = None
    repeats: bool = True
    seed: int = 0
    sizes: Sequence[str] = ()
    laws: Sequence[Path] = ()
    target_parameters: float | None = None
    target_tokens: float | None = None


@dataclass
class Bench:
    """Everything that trains and scores a mixture."""

    pool: Pool
    settings: ProxySettings
    files: Mapping[str, Path]
    groups: list[str]
    rows: Mapping[str, tuple[str, NDArray[np.bool_]]]
    sizes: Mapping[str, NDArray[np.int64]]
    importance: NDArray[np.float64]
    cache: Path
    engine: Engine
    asked: Asked
    told: Callable[[str], None]
    trained: int = 0
    seconds: float = 0.0

    def train(
        self, mixtures: Sequence[Shares], seeds: Sequence[int], tokens: int | None = None, model: str | None = None
    ) -> list[Result]:
        """Train a proxy for each mixture and seed, seeds fastest; of `tokens` and of `model` where these are given."""
        changes = {"tokens": tokens or self.settings.tokens, "model": model or self.settings.model}
        settings = self.settings.model_copy(update=changes)
        proxies = [
            Proxy(
                Drawn(self.pool, tuple(map(float, shares)), settings.seen + 1, seed, self.asked.repeats),
                settings.config("core", seed),
                self.files,
                self.asked.start if model in (None, self.settings.model) else None,
            )
            for shares in mixtures
            for seed in seeds
        ]
        self.told(f"{len(proxies)} proxies of {settings.seen:,} tokens")
        found = train_all(proxies, self.cache, self.engine, cpus=settings.threads)
        self.trained += len(found)
        self.seconds += sum(one.seconds for one in found)
        return found

    def losses(self, result: Result) -> NDArray[np.float64]:
        """Return a proxy's bits a byte on each group."""
        found: list[float] = []
        for group in self.groups:
            name, rows = self.rows[group]
            sizes = self.sizes[name]
            found.append(float(result.nats[name][rows].sum() / math.log(2) / sizes[rows].sum()))
        return np.array(found)

    def target(self, result: Result) -> float:
        """Return a proxy's target loss: the weighted mean over groups."""
        return float(self.losses(result) @ self.importance)


def bench_of(
    run: Path,
    stage: str,
    pool: Pool,
    settings: ProxySettings,
    out: Path,
    engine: Engine,
    asked: Asked,
    told: Callable[[str], None],
    by_entry: pa.Table | None = None,
) -> Bench:
    """Read and encode the held-out sets, and weigh their groups; `by_entry` names those of held-out documents.

    Raises RecipeError for a target that is none.
    """
    sets = heldout.read(asked.heldout, [run], [stage], groups=by_entry)
    rows: dict[str, tuple[str, NDArray[np.bool_]]] = {}
    files: dict[str, Path] = {}
    sizes: dict[str, NDArray[np.int64]] = {}
    for one in sets:
        files[one.name], table = heldout.save(one, pool.tokenizer, out / "heldout", asked.heldout_tokens)
        sizes[one.name] = table["bytes"].to_numpy()
        groups = np.asarray(table["group"].to_pylist())
        names = sorted(set(groups.tolist()))
        for group in names:
            rows[f"{one.name}/{group}" if len(names) > 1 else one.name] = (one.name, groups == group)
    groups = list(rows)
    importance = np.zeros(len(groups))
    for name, weight in (asked.target or dict.fromkeys(groups, 1.0)).items():
        chosen = [n for n, group in enumerate(groups) if group == name or group.startswith(f"{name}/")]
        if not chosen or weight < 0:
            raise RecipeError([f"--target {name}={weight:g}: no such held-out set or group{nearest(name, groups)}"])
        importance[chosen] += weight / len(chosen)
    if not importance.sum():
        raise RecipeError(["--target: the importances sum to 0"])
    importance /= importance.sum()
    return Bench(pool, settings, files, groups, rows, sizes, importance, out / "scores", engine, asked, told)
