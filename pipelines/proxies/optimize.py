"""Better weights for a stage's sources: found with proxies on many mixtures, and confirmed with fresh ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.engines.plan import Engine
from pipelines.proxies import intervals
from pipelines.proxies.bench import FEWEST, Asked, bench_of
from pipelines.proxies.finders import FINDERS
from pipelines.proxies.settings import settings_of
from pipelines.proxies.supply import Pool, as_weights, shares_of, supply_of
from pipelines.recipe import Recipe, StageMix
from pipelines.recipe_errors import RecipeError, nearest
from pipelines.storage import write_bytes, write_json


def optimize(
    run: Path, recipe: Recipe, out: Path, engine: Engine, asked: Asked, told: Callable[[str], None] = lambda said: None
) -> dict[str, Any]:
    """Propose weights for a stage of a finished run, confirm them, and write weights.yaml and optimization.json.

    Raises RecipeError for what was asked wrongly or cannot be done under the epoch caps.
    """
    stage, mix = check(recipe, asked)
    supply, tokenized = supply_of(run, mix)
    supply.check()
    settings = settings_of(asked.settings)
    pool = Pool.make(run, supply, tokenized, out, settings.seen + 1)
    bench = bench_of(run, stage, pool, settings, out, engine, asked, told)
    current = shares_of(mix.weights, supply)
    proposal = FINDERS[asked.method](bench, supply, current)
    weights = as_weights(supply, proposal.shares)
    # Proxies of the search are seeded 0; what confirms must not have been looked at.
    seeds = list(range(1, asked.seeds + 1))
    told("confirm")
    proposed = shares_of(weights, supply)
    trained = bench.train([current, proposed], seeds)
    pairs = {"current": trained[: asked.seeds], "proposed": trained[asked.seeds :]}
    confirmed: list[intervals.Difference] = []
    for group, (name, rows) in bench.rows.items():
        a, b = (np.stack([one.nats[name][rows] for one in pairs[arm]]) for arm in ("current", "proposed"))
        confirmed.append(intervals.compare(group, a, b, bench.sizes[name][rows]))
    targets = {arm: np.array([bench.target(one) for one in found]) for arm, found in pairs.items()}
    facts: dict[str, Any] = {
        "run": str(run),
        "stage": stage,
        "method": asked.method,
        "weights": weights,
        "current": dict(mix.weights),
        "natural": dict(zip(supply.names, supply.natural.tolist(), strict=True)),
        "epochs": {
            name: round(weights[name] * supply.tokens / int(have), 4)
            for name, have in zip(supply.names, supply.have, strict=True)
        },
        # Of these there is no held-out text: whatever they are good for, nothing measures it.
        "unjudged": [name for name in supply.names if name not in {one.rpartition("/")[2] for one in bench.groups}],
        "target": dict(zip(bench.groups, bench.importance.tolist(), strict=True)),
        "predicted": {"current": proposal.predicted_current, "proposed": proposal.predicted},
        "confirmed": {
            **{arm: intervals.t_interval(values).as_dict() for arm, values in targets.items()},
            "difference": intervals.t_interval(targets["proposed"] - targets["current"]).as_dict(),
            "sets": [one.as_dict() for one in confirmed],
        },
        "seeds": asked.seeds,
        "proxies": bench.trained,
        "parameters": trained[0].parameters,
        "tokens": settings.seen,
        "seconds": round(bench.seconds, 1),
        "settings": settings.model_dump(mode="json"),
        **proposal.facts,
    }
    facts["verdict"] = verdict(facts["confirmed"]["difference"])
    write_json(out / "optimization.json", facts)
    write_bytes(out / "weights.yaml", weights_yaml(facts, mix).encode())
    return facts


def verdict(difference: Mapping[str, float]) -> str:
    """Say what the confirmation shows: `helps`, `hurts` or `not shown`."""
    return "helps" if difference["high"] < 0 else "hurts" if difference["low"] > 0 else "not shown"


def check(recipe: Recipe, asked: Asked) -> tuple[str, StageMix]:
    """Refuse what can be seen to be wrong in the recipe and the request; return the stage. Raises RecipeError."""
    stages = list(recipe.stages)
    stage = asked.stage or stages[0]
    if stage not in stages:
        raise RecipeError([f"--stage {stage}: not a stage of the recipe{nearest(stage, stages)}"])
    mix = recipe.stages[stage]
    if not mix.weights:
        raise RecipeError([f"stages.{stage}: only stages whose shares are `weights` of sources can be optimised"])
    if len(mix.weights) < 2:
        raise RecipeError([f"stages.{stage}: one source, {next(iter(mix.weights))}: there is nothing to weight"])
    if asked.seeds < 3:
        raise RecipeError([f"--seeds {asked.seeds}: fewer than 3 say nothing of chance; expected 3 or more"])
    settings_of(asked.settings)
    if asked.method in ("regmix", "mixing-laws") and asked.proxies < (least := max(2 * len(mix.weights) + 4, 10)):
        raise RecipeError(
            [f"--proxies {asked.proxies}: too few to fit {len(mix.weights)} weights; expected {least} or more, better "
             f"{FEWEST}"]
        )  # fmt: skip
    if asked.method == "dcpt" and asked.domain not in mix.weights:
        near = nearest(asked.domain or "", list(mix.weights))
        raise RecipeError([f"--domain {asked.domain}: the law is about the share of one source{near}"])
    return stage, mix


def weights_yaml(facts: Mapping[str, Any], mix: StageMix) -> str:
    """Return `stages:` with the proposed weights, as `pomona mix --weights` and a recipe take it."""
    import yaml

    stage = {"tokens": mix.tokens, "weights": facts["weights"], "epochs": mix.model_dump(mode="json")["epochs"]}
    found = facts["confirmed"]["difference"]
    head = (
        f"# {facts['method']}: {facts['proxies']} proxies of {facts['parameters']:,} parameters and "
        f"{facts['tokens']:,} tokens.\n"
        f"# Confirmed with {facts['seeds']} seeds: target loss {found['mean']:+.4f} bits a byte beside the current "
        f"weights\n# (95 % {found['low']:+.4f} to {found['high']:+.4f}): {facts['verdict']}.\n"
    )
    return head + yaml.safe_dump({"stages": {facts["stage"]: stage}}, sort_keys=False)


def sentences(facts: Mapping[str, Any]) -> list[str]:
    """Say what was found."""
    told = [
        f"{name}: {facts['current'][name]:.4f} → {weight:.4f} of the tokens ({facts['epochs'][name]:.2f} epochs)"
        for name, weight in facts["weights"].items()
    ]
    predicted, confirmed = facts["predicted"], facts["confirmed"]
    now, new, gap = (confirmed[name] for name in ("current", "proposed", "difference"))
    told.append(f"predicted: {predicted['current']:.4f} → {predicted['proposed']:.4f} bits a byte")
    told.append(
        f"confirmed with {facts['seeds']} seeds: {now['mean']:.4f} → {new['mean']:.4f} bits a byte, difference "
        f"{gap['mean']:+.4f}, 95 % (paired t) {gap['low']:+.4f} to {gap['high']:+.4f}: {facts['verdict']}"
    )
    told += [
        f"  {one['set']}: {one['a']:.4f} → {one['b']:.4f}, {one['difference']:+.4f} "
        f"({one['over_seeds']['low']:+.4f} to {one['over_seeds']['high']:+.4f}): {one['verdict']}"
        for one in confirmed["sets"]
    ]
    if facts["unjudged"]:
        told.append(f"no held-out text is of {', '.join(facts['unjudged'])}: nothing measured speaks for it")
    if "rank_correlation" in facts:
        told.append(
            f"the regression ranks mixtures it has not seen with Spearman's ρ = {facts['rank_correlation']:.3f}, "
            f"mean error {facts['error']:.4f}"
        )
    return told
