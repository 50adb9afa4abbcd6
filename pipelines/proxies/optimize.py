"""Better weights for sources or entries: found with proxies on many mixtures, and confirmed with fresh ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.engines.plan import Engine
from pipelines.mixture.repetition import cost, effective
from pipelines.proxies import intervals
from pipelines.proxies.bench import FEWEST, Asked, bench_of
from pipelines.proxies.finders import FINDERS, observed_of
from pipelines.proxies.settings import settings_of
from pipelines.proxies.supply import Pool, Supply, as_weights, shares_of, supply_of
from pipelines.recipe import Recipe, StageMix
from pipelines.recipe_errors import RecipeError, nearest
from pipelines.storage import read_json, write_bytes, write_json

TRUSTED = 0.5
"""Spearman's ρ of a regression below which its proposal is called chance: ours; RegMix's authors report 0.97."""

FAR = 10
"""Times the parameters of the largest proxy from which on a law's prediction is told to be an extrapolation; ours."""


def optimize(
    run: Path, recipe: Recipe, out: Path, engine: Engine, asked: Asked, told: Callable[[str], None] = lambda said: None
) -> dict[str, Any]:
    """Propose weights for a stage of a finished run, confirm them, and write weights.yaml and optimization.json.

    Raises RecipeError for what was asked wrongly or cannot be done under the epoch caps.
    """
    stage, mix = check(recipe, asked)
    supply, stock = supply_of(run, mix, stage)
    supply.check()
    settings = settings_of(asked.settings)
    pool = Pool.make(run, supply, stock, out, settings.seen + 1)
    by_entry = stock.groups() if mix.entries else None
    bench = bench_of(run, stage, pool, settings, out, engine, asked, told, by_entry)
    current = shares_of(mix.shares(), supply)
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
        "current": mix.shares(),
        "natural": dict(zip(supply.names, supply.natural.tolist(), strict=True)),
        "epochs": {
            name: round(weights[name] * supply.tokens / int(have), 4)
            for name, have in zip(supply.names, supply.have, strict=True)
        },
        "repetition": repetition(run, stage, mix, supply, weights),
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
    if mix.schedule is not None:
        raise RecipeError(
            [f"stages.{stage}.schedule: shares that change while training goes on cannot be optimised; give the stage "
             "weights, or shares of entries, for this"]
        )  # fmt: skip
    names = list(mix.shares())
    what = "entry" if mix.entries else "source"
    if len(names) < 2:
        raise RecipeError([f"stages.{stage}: one {what}, {names[0]}: there is nothing to weight"])
    if asked.seeds < 3:
        raise RecipeError([f"--seeds {asked.seeds}: fewer than 3 say nothing of chance; expected 3 or more"])
    settings_of(asked.settings)
    if asked.method in ("regmix", "mixing-laws") and asked.proxies < (least := max(2 * len(names) + 4, 10)):
        raise RecipeError(
            [f"--proxies {asked.proxies}: too few to fit {len(names)} weights; expected {least} or more, better "
             f"{FEWEST}"]
        )  # fmt: skip
    if asked.method == "dcpt" and asked.domain not in names:
        near = nearest(asked.domain or "", names)
        raise RecipeError([f"--domain {asked.domain}: the law is about the share of one {what}{near}"])
    given = {"--size": asked.sizes, "--law": asked.laws, "--target-parameters": asked.target_parameters,
             "--target-tokens": asked.target_tokens}  # fmt: skip
    if asked.method != "dcpt" and (extra := [name for name, value in given.items() if value]):
        raise RecipeError([f"{', '.join(extra)}: for --method dcpt, not {asked.method}"])
    if asked.sizes and asked.start is not None:
        raise RecipeError(["--size and --start: a model to go on from has one size; leave one out"])
    for model in asked.sizes:
        settings_of({**asked.settings, "model": model})
    if asked.laws:
        observed_of(asked.laws)
    return stage, mix


def repetition(
    run: Path, stage: str, mix: StageMix, supply: Supply, weights: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Return what each entry's tokens are worth with these weights (2305.16264); of sources with the other stages' too.

    What the other training stages take of a source is as their manifests say: it counts as seen before or after.
    """
    found: dict[str, dict[str, float]] = {}
    others = Counter[str]()
    if not mix.entries:
        for name in (str(one) for one in read_json(run / "run.json")["stages"]):
            if name not in (stage, "heldout"):
                others.update(read_json(run / "mixture" / name / "manifest.json").get("sources") or {})
    for name, have in zip(supply.names, supply.have.tolist(), strict=True):
        taken = round(weights[name] * supply.tokens)
        told = {"tokens": taken, "effective_tokens": round(effective(taken, have)), "cost": round(cost(taken, have), 6)}
        if others[name]:
            whole = taken + others[name]
            told |= {"with_other_stages": whole, "cost_with_other_stages": round(cost(whole, have), 6)}
        found[name] = told
    return found


def weights_yaml(facts: Mapping[str, Any], mix: StageMix) -> str:
    """Return `stages:` with the proposed weights, as `pomona mix --weights` and a recipe take it."""
    import yaml

    plain = mix.with_shares(facts["weights"]).model_dump(mode="json", exclude_defaults=True)
    stage = {"tokens": mix.tokens, **plain, "epochs": mix.model_dump(mode="json")["epochs"]}
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
        + intervals.too_few(one["documents"])
        for one in confirmed["sets"]
    ]
    if "at" in facts:
        told.append(
            f"best for {facts['at']['parameters']:,.0f} parameters and {facts['at']['tokens']:,.0f} tokens; the law "
            f"was fitted to {', '.join(f'{size:,}' for size in facts['sizes'])} parameters"
        )
        if (times := facts["at"]["parameters"] / max(facts["sizes"])) > FAR:
            told.append(f"that is {times:,.0f} times the largest proxy: predicted losses there are an extrapolation")
    twice = [f"{name} {one['cost_with_other_stages']:.1%}" for name, one in facts["repetition"].items()
             if one.get("cost_with_other_stages")]  # fmt: skip
    if twice:
        told.append(f"repetition over all stages of the recipe wastes, of what each source gives: {', '.join(twice)}")
    if facts["unjudged"]:
        told.append(f"no held-out text is of {', '.join(facts['unjudged'])}: nothing measured speaks for it")
    if "rank_correlation" in facts:
        told.append(
            f"the regression ranks mixtures it has not seen with Spearman's ρ = {facts['rank_correlation']:.3f}, "
            f"mean error {facts['error']:.4f}"
        )
        if not facts["rank_correlation"] > TRUSTED:
            told.append(
                "so these proxies cannot tell mixtures apart, and the weights are hardly more than chance: "
                "train more of them (--proxies), for longer (--tokens), or larger ones (--model)"
            )
    return told
