"""Data CI with larger proxies than a CPU can pay for: made here, trained where there is a GPU.

    python -m benchmarks.data_ci.larger prepare FOLDER      with POMONA_DATA; needs everything but a GPU
    python -m benchmarks.data_ci.larger train FOLDER        needs `trainer`, `pipelines.proxies` and torch

Two questions. Does the best fifth by a quality model beat the corpus that it is chosen from, at equal tokens, and does
the answer change with the size of the model? And do weights that RegMix finds with small proxies help larger ones?
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipelines.proxies import intervals
from pipelines.proxies.bench import Asked, Bench
from pipelines.proxies.compare import differences, sentence
from pipelines.proxies.finders import FINDERS
from pipelines.proxies.proxy import Folder, Proxy, train_all
from pipelines.proxies.settings import ProxySettings
from pipelines.proxies.supply import Pool, Supply, as_weights, shares_of

MODELS = {
    "1M": "{width: 96, layers: 3, heads: 3, kv_heads: 1, head_dim: 32, ffn_width: 288}",
    "8M": "{width: 256, layers: 6, heads: 8, kv_heads: 4, head_dim: 32, ffn_width: 768}",
    "35M": "{width: 512, layers: 10, heads: 8, kv_heads: 4, head_dim: 64, ffn_width: 1536}",
}
RATES = {"1M": 0.006, "8M": 0.004, "35M": 0.003}
VOCABULARY = 8192
COMPARED, SEARCHED, CONFIRMED = 6_000_000, 2_000_000, 6_000_000
"""Tokens of a proxy: of the quality filter, of RegMix's search, of what confirms it."""
SEEDS, FEW = 5, 3
"""Of each arm; FEW of the largest models."""
PROXIES = 64


def settings(size: str, tokens: int, device: str = "auto") -> ProxySettings:
    return ProxySettings(
        model=MODELS[size], tokens=tokens, sequence_length=512, batch_size=32, peak_lr=RATES[size], device=device
    )


def prepare(data: Path, out: Path, workers: int) -> None:
    """Build both corpora, and write what proxies read: tokens, pools, held-out texts."""
    from benchmarks.data_ci import __main__ as small
    from benchmarks.data_ci import corpora
    from benchmarks.data_ci.corpora import part, write
    from filters.quality.learning import NgramTraining
    from filters.quality.train import train_ngrams
    from pipelines.engines.settings import Settings, opened
    from pipelines.proxies import heldout, supply, tokens
    from pipelines.recipe import load

    small.ROOT, small.VOCABULARY = out, VOCABULARY
    web, good, pages = corpora.web(data), corpora.good(data), corpora.documentation()
    small._say(f"{len(web)} web pages, {len(pages)} pages of documentation, {len(good)} curated texts")
    teach = [one for one in good if part(one.uri, 2) == 0]
    small._labels(out / "labels.parquet", teach, corpora.pages(data))
    _, sha256 = train_ngrams(
        out / "labels.parquet", out / "model", "curated", "none", NgramTraining(buckets=1 << 18), held_out=0.2
    )
    apart = [one for one in web if part(one.group, 8) == 0]
    pool = [*(one for one in web if part(one.group, 8) != 0), *(one for one in pages if part(one.uri, 30) != 0)]
    corpus = write(out / "pool.jsonl", pool)
    judges = write(
        out / "judges.jsonl",
        [
            *(replace(one, group="web pages") for one in apart),
            *(replace(one, group="documentation") for one in pages if part(one.uri, 30) == 0),
            *(replace(one, group=f"curated: {one.group}") for one in good if part(one.uri, 2) != 0),
        ],
    )

    def filters(percentile: float) -> dict[str, Any]:
        return {
            "families": ["gopher", "quality"],
            "references": {"quality": {"path": str(out / "model" / "card.json"), "sha256": sha256}},
            "rules": [{"name": "curated", "signal": "quality.curated", "min": {"percentile": percentile, "of": "web"}}],
            "redact": [],
        }

    sources = [
        {"name": "web", "type": "table", "columns": {"text": "text", "uri": "id"},
         "paths": [str(write(out / "web.jsonl", web))]},
        {"name": "documentation", "type": "table", "columns": {"text": "text", "uri": "id"},
         "paths": [str(write(out / "documentation.jsonl", pages))]},
        {"name": "curated", "type": "table", "columns": {"text": "text", "uri": "id"},
         "paths": [str(write(out / "curated.jsonl", good))]},
        {"name": "code", "type": "python_packages", "packages": list(CODE), "max_bytes": 700_000},
        {"name": "maths", "type": "docstrings", "packages": ["networkx", "sympy", "scipy"]},
    ]  # fmt: skip
    weights = {"web": 0.3, "documentation": 0.4, "curated": 0.1, "code": 0.15, "maths": 0.05}
    stage = {"tokens": 8_000_000, "weights": weights, "epochs": 8.0}
    recipes = {
        "all": small.recipe("all", corpus, COMPARED, filters=filters(0)),
        "best": small.recipe("best", corpus, COMPARED, filters=filters(80)),
        "mixed": small.recipe("mixed", corpus, 1, sources=sources, heldout={"fraction": 0.03}, stages={"core": stage}),
    }
    with opened(Settings(workers=workers)) as engine:
        runs = small.arms("larger", recipes, engine)
    library = runs["all"] / "tokenizer" / "tokenizer.json"
    arms = {
        arm: tokens.in_tokenizer(runs[arm], "core", library, out / "tokens" / arm) for arm in ("all", "best")
    }  # fmt: skip
    (judged,) = heldout.read([str(judges)], [runs["all"], runs["best"]], ["core", "core"])
    heldout.save(judged, library, out / "heldout", 300_000)
    mix = load(recipes["mixed"]).stages["core"]
    supplied, tokenized = supply.supply_of(runs["mixed"], mix)
    supplied.check()
    made = Pool.make(runs["mixed"], supplied, tokenized, out, CONFIRMED + 1)
    (common,) = heldout.read([heldout.COMMON], [runs["mixed"]], ["core"])
    heldout.save(common, made.tokenizer, out / "heldout", 250_000)
    plan = {
        "arms": {arm: str(folder.relative_to(out)) for arm, folder in arms.items()},
        "judges": judged.name,
        "left_out": judged.left_out,
        "steps": {arm: small.sums(run) for arm, run in runs.items()},
        "pool": str(made.folder.relative_to(out)),
        "pool_digest": made.digest,
        "pool_tokenizer": str(made.tokenizer.relative_to(out)),
        "supply": {**asdict(supplied), "have": supplied.have.tolist(), "caps": supplied.caps.tolist()},
        "current": weights,
    }
    (out / "plan.json").write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")


CODE = (
    "rich", "fsspec", "jinja2", "networkx", "pydantic", "huggingface_hub", "datasets", "polars", "aiohttp", "typer",
)  # fmt: skip


def quality(out: Path, plan: dict[str, Any], sizes: Sequence[str], engine: Any, device: str) -> dict[str, Any]:
    """The corpus is A, its best fifth is B; equal tokens, each size of model."""
    judges = out / "heldout" / f"{plan['judges']}.parquet"
    table = pq.read_table(judges)
    found: dict[str, Any] = {}
    for size in sizes:
        seeds = SEEDS if size != list(MODELS)[-1] else FEW
        asked = settings(size, COMPARED, device)
        proxies = [
            Proxy(Folder(out / plan["arms"][arm]), asked.config("core", seed), {plan["judges"]: judges})
            for arm in ("all", "best")
            for seed in range(seeds)
        ]
        began = time.monotonic()
        trained = train_all(proxies, out / "scores", engine)
        results = {"a": trained[:seeds], "b": trained[seeds:]}
        told = differences(results, {plan["judges"]: table})
        found[size] = {
            "parameters": trained[0].parameters,
            "tokens": trained[0].tokens,
            "seconds_each": sum(one.seconds for one in trained) / len(trained),
            "wall": time.monotonic() - began,
            "sets": [one.as_dict() for one in told],
        }
        print(f"\nquality filter, {trained[0].parameters:,} parameters, {trained[0].tokens:,} tokens, {seeds} seeds")
        for one in told:
            print(f"- {sentence(one)}", flush=True)
    return found


def weighing(out: Path, plan: dict[str, Any], sizes: Sequence[str], engine: Any, device: str) -> dict[str, Any]:
    """RegMix with the smallest models; the current and the proposed weights with fresh seeds at each size."""
    had = plan["supply"]
    supply = Supply(tuple(had["names"]), np.array(had["have"]), np.array(had["caps"]), had["tokens"])
    pool = Pool(out / plan["pool"], supply, out / plan["pool_tokenizer"], plan["pool_digest"])
    file = out / "heldout" / "common.parquet"
    table = pq.read_table(file)
    names = np.asarray(table["group"].to_pylist())
    groups = sorted(set(names.tolist()))

    def bench(size: str, tokens: int, seeds: int) -> Bench:
        return Bench(
            pool, settings(size, tokens, device), {"common": file}, groups,
            {group: ("common", names == group) for group in groups}, {"common": table["bytes"].to_numpy()},
            np.full(len(groups), 1 / len(groups)), out / "scores", engine,
            Asked(proxies=PROXIES, seeds=seeds), lambda said: print(f"  {said}", flush=True),
        )  # fmt: skip

    current = shares_of(plan["current"], supply)
    began = time.monotonic()
    search = bench(sizes[0], SEARCHED, SEEDS)
    proposal = FINDERS["regmix"](search, supply, current)
    weights = as_weights(supply, proposal.shares)
    found: dict[str, Any] = {
        "weights": weights,
        "natural": dict(zip(supply.names, supply.natural.tolist(), strict=True)),
        "predicted": [proposal.predicted_current, proposal.predicted],
        "rank_correlation": proposal.facts["rank_correlation"],
        "error": proposal.facts["error"],
        "search": {"proxies": search.trained, "seconds": search.seconds, "wall": time.monotonic() - began},
        "confirmed": {},
    }
    print(f"\nRegMix, {PROXIES} proxies of {SEARCHED:,} tokens, {found['search']['wall']:.0f} s: {weights}")
    print(
        f"Spearman's rho on mixtures not seen {found['rank_correlation']:.3f}; predicted "
        f"{proposal.predicted_current:.4f} -> {proposal.predicted:.4f}"
    )
    for size in sizes:
        seeds = SEEDS if size != list(MODELS)[-1] else FEW
        one = bench(size, CONFIRMED, seeds)
        trained = one.train([current, shares_of(weights, supply)], list(range(1, seeds + 1)))
        now, new = trained[:seeds], trained[seeds:]
        targets = [np.array([one.target(result) for result in arm]) for arm in (now, new)]
        gap = intervals.t_interval(targets[1] - targets[0])
        each = [
            intervals.compare(
                group,
                *(np.stack([result.nats["common"][rows] for result in arm]) for arm in (now, new)),
                one.sizes["common"][rows],
            )
            for group, (_, rows) in one.rows.items()
        ]
        found["confirmed"][size] = {
            "parameters": trained[0].parameters,
            "current": float(targets[0].mean()),
            "proposed": float(targets[1].mean()),
            "difference": gap.as_dict(),
            "sets": [group.as_dict() for group in each],
        }
        print(
            f"{trained[0].parameters:,} parameters, {CONFIRMED:,} tokens, {seeds} seeds: target "
            f"{targets[0].mean():.4f} -> {targets[1].mean():.4f}, {gap.mean:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})"
        )
        for group in each:
            print(f"- {sentence(group)}", flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_ci.larger", description=__doc__)
    parser.add_argument("task", choices=("prepare", "train"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parts", nargs="*", default=["quality", "weighing"])
    parser.add_argument("--sizes", nargs="*", default=list(MODELS), help=", ".join(MODELS))
    parser.add_argument("--workers", type=int, default=1, help="proxies at once")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tokens", type=int, help="of every proxy: to see that everything works")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    if arguments.task == "prepare":
        if "POMONA_DATA" not in os.environ:
            print("POMONA_DATA is not set: it names the folder of evaluation data", file=sys.stderr)
            return 2
        prepare(Path(os.environ["POMONA_DATA"]), folder, arguments.workers)
        return 0
    if arguments.tokens is not None:
        global COMPARED, SEARCHED, CONFIRMED, PROXIES
        COMPARED = SEARCHED = CONFIRMED = arguments.tokens
        PROXIES = 14
    from pipelines.engines.settings import Settings, opened

    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    with opened(Settings(workers=arguments.workers)) as engine:
        for name in arguments.parts:
            work = {"quality": quality, "weighing": weighing}[name]
            found = work(folder, plan, arguments.sizes, engine, arguments.device)
            (folder / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
