"""Data CI: does deduplication help, does the quality filter, does decontamination undo a leak? Matched proxies say."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data_ci import corpora
from benchmarks.data_ci.corpora import Text, part, write
from benchmarks.environments import BENCH
from pipelines.proxies import intervals
from pipelines.proxies.compare import Asked, Compared, compare, sentence

MODEL = "{width: 96, layers: 3, heads: 3, kv_heads: 1, head_dim: 32, ffn_width: 288}"
VOCABULARY = 2048
SEEDS = 5
SETTINGS = {"model": MODEL, "sequence_length": 256, "batch_size": 4, "peak_lr": 0.002}
ROOT = BENCH / "data_ci"


def recipe(name: str, corpus: Path, tokens: int, **changes: Any) -> Path:
    """Write the recipe of one arm: everything is kept and nothing changed but for what `changes` says."""
    value: dict[str, Any] = {
        "name": name,
        "partitions": 4,
        "sources": [{"name": "web", "type": "table", "paths": [str(corpus)], "columns": {"text": "text", "uri": "id"}}],
        "filters": {"families": ["gopher"], "rules": [], "redact": []},
        "tokenizer": {"vocab_size": VOCABULARY, "sample_bytes": 3_000_000},
        "heldout": {"fraction": 0.0},
        "stages": {"core": {"tokens": tokens, "weights": {"web": 1.0}, "epochs": 8.0}},
        **changes,
    }
    path = ROOT / "recipes" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")  # JSON is YAML
    return path


def arms(name: str, recipes: dict[str, Path], engine: Any) -> dict[str, Path]:
    from pipelines.proxies.cli import built

    return {arm: built(str(path), ROOT / name / arm, ROOT / "store", engine, _say) for arm, path in recipes.items()}


def _say(text: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def sums(run: Path) -> dict[str, Any]:
    described = json.loads((run / "run.json").read_text())
    return {
        one["name"]: {"in": one["in"], "kept": one["kept"], "dropped": one["dropped"]} for one in described["steps"]
    }


def told(found: Compared) -> dict[str, Any]:
    return {**found.as_dict(), "said": [sentence(one) for one in found.differences]}


def deduplication(data: Path, engine: Any) -> dict[str, Any]:
    """Raw is A, deduplicated is B."""
    web = corpora.web(data)
    apart = [one for one in web if part(one.group, 5) == 0]
    pool = [one for one in web if part(one.group, 5) != 0][:330]
    corpus = write(ROOT / "raw.jsonl", corpora.duplicated([*pool, *corpora.licences()[:150]]))
    heldout = write(ROOT / "pages.jsonl", [replace(one, group="pages") for one in apart])
    tokens = 400_000
    runs = arms(
        "deduplication",
        {
            "raw": recipe("raw", corpus, tokens, dedup={"protect": ["web"]}),
            "deduplicated": recipe("deduplicated", corpus, tokens),
        },
        engine,
    )
    asked = Asked((str(heldout),), SEEDS, settings=SETTINGS, tokens=tokens, heldout_tokens=120_000)
    found = compare((runs["raw"], runs["deduplicated"]), ROOT / "deduplication", engine, asked, _say, ROOT / "scores")
    return {**told(found), "steps": {arm: sums(run) for arm, run in runs.items()}}


def quality(data: Path, engine: Any) -> dict[str, Any]:
    """The web as it is is A, its best fifth by a quality model is B; equal tokens."""
    from filters.quality.learning import NgramTraining
    from filters.quality.train import train_ngrams

    web, good, other = corpora.web(data), corpora.good(data), corpora.pages(data)
    # Half of the curated texts teach the model, the other half judge; its negatives are pages of other hosts.
    teach = [one for one in good if part(one.uri, 2) == 0]
    labels = ROOT / "labels.parquet"
    _labels(labels, teach, other)
    options = NgramTraining(buckets=1 << 18)
    card, sha256 = train_ngrams(labels, ROOT / "model", "curated", "none", options, held_out=0.2)
    corpus = write(ROOT / "web.jsonl", [one for one in web if part(one.group, 8) != 0])
    judge = write(
        ROOT / "judges.jsonl",
        [
            *(replace(one, group="web pages") for one in web if part(one.group, 8) == 0),
            *(replace(one, group=f"curated: {one.group}") for one in good if part(one.uri, 2) != 0),
        ],
    )
    tokens = 200_000

    def filters(percentile: float) -> dict[str, Any]:
        return {
            "families": ["gopher", "quality"],
            "references": {"quality": {"path": str(ROOT / "model" / "card.json"), "sha256": sha256}},
            "rules": [{"name": "curated", "signal": "quality.curated", "min": {"percentile": percentile, "of": "web"}}],
            "redact": [],
        }

    runs = arms(
        "quality",
        {
            "all": recipe("all", corpus, tokens, filters=filters(0)),
            "best": recipe("best", corpus, tokens, filters=filters(80)),
        },
        engine,
    )
    asked = Asked((str(judge),), SEEDS, settings=SETTINGS, tokens=tokens, heldout_tokens=120_000)
    found = compare((runs["all"], runs["best"]), ROOT / "quality", engine, asked, _say, ROOT / "scores")
    facts = {"auc of the quality model, on texts of its own kind": card.metrics.get("auc")}
    return {**told(found), **facts, "steps": {arm: sums(run) for arm, run in runs.items()}}


def _labels(path: Path, positive: list[Text], negative: list[Text]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [(1, one) for one in positive] + [(0, one) for one in negative]
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {
        "label": pa.array([label for label, _ in rows], pa.int8()),
        "group": pa.array([one.uri if label else one.group for label, one in rows]),
        "text": pa.array([one.text for _, one in rows], pa.large_string()),
    }
    pq.write_table(pa.table(table), path)


def decontamination(data: Path, engine: Any) -> dict[str, Any]:
    """A leak, the same leak decontaminated, and a corpus that never had it; losses on leaked and on other items."""
    items = sorted(corpora.items(data), key=lambda one: hashlib.sha256(one["id"].encode()).hexdigest())
    leaked, others = items[: corpora.LEAKED], items[corpora.LEAKED : 5 * corpora.LEAKED]
    web = corpora.web(data)
    carriers = [replace(one, text=one.text[:1500]) for one in web[: 2 * corpora.LEAKED]]
    # As much as one pass of a proxy: what leaks is seen as often as it leaks.
    pool = corpora.as_long_as(web[2 * corpora.LEAKED :], 600_000)
    clean = write(ROOT / "clean.jsonl", [*pool, *carriers])
    dirty = write(ROOT / "dirty.jsonl", [*pool, *carriers, *corpora.leaks(leaked, carriers)])
    benchmark = ROOT / "gsm8k.jsonl"
    benchmark.write_text("".join(json.dumps(one) + "\n" for one in items), encoding="utf-8")
    sets = {
        name: write(ROOT / f"{name}.jsonl", [Text(one["id"], name, corpora.whole(one)) for one in some])
        for name, some in (("leaked", leaked), ("others", others))
    }
    tokens = 300_000
    check = {"benchmarks": [{"name": "gsm8k", "path": str(benchmark)}], "recall": 0}
    runs = arms(
        "decontamination",
        {
            "clean": recipe("clean", clean, tokens),
            # The copies are near-duplicates of each other: deduplication off, for it is not what is asked here.
            "leaked": recipe("leaked", dirty, tokens, dedup={"protect": ["web"]}),
            "decontaminated": recipe("decontaminated", dirty, tokens, dedup={"protect": ["web"]}, decontaminate=check),
        },
        engine,
    )
    library = str(runs["clean"] / "tokenizer" / "tokenizer.json")
    asked = Asked(
        tuple(map(str, sets.values())), SEEDS, tokenizer=library, settings=SETTINGS, tokens=tokens, unseen=False
    )
    found = {
        arm: compare(
            (runs["clean"], runs[arm]), ROOT / "decontamination" / f"to-{arm}", engine, asked, _say, ROOT / "scores"
        )
        for arm in ("leaked", "decontaminated")
    }
    return {
        "advantage": {arm: advantage(one) for arm, one in found.items()},
        "compared": {arm: told(one) for arm, one in found.items()},
        "steps": {arm: sums(run) for arm, run in runs.items()},
    }


def advantage(found: Compared) -> dict[str, Any]:
    """What an arm gains on leaked items over what it gains on others, beside the clean arm, in bits a byte.

    Below zero: leaked items are known. Differences of differences: the items of both groups need not be equally hard.
    """
    bits: dict[str, Any] = {}
    for name, table in found.sets.items():
        sizes = table["bytes"].to_numpy()
        a, b = (np.stack([one.nats[name] for one in found.results[arm]]) / np.log(2) for arm in "ab")
        bits[name] = (b - a, sizes.astype(float))
    (known, sizes), (other, other_sizes) = bits["leaked"], bits["others"]
    each = known.sum(axis=1) / sizes.sum() - other.sum(axis=1) / other_sizes.sum()
    seeds = intervals.t_interval(each)
    rng = np.random.default_rng(0)
    drawn: list[float] = []
    for _ in range(intervals.RESAMPLES):
        i, j = rng.integers(0, len(sizes), len(sizes)), rng.integers(0, len(other_sizes), len(other_sizes))
        drawn.append(known.mean(axis=0)[i].sum() / sizes[i].sum() - other.mean(axis=0)[j].sum() / other_sizes[j].sum())
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"over seeds": seeds.as_dict(), "over items": {"mean": seeds.mean, "low": float(low), "high": float(high)}}


def optimization(data: Path, engine: Any) -> dict[str, Any]:
    """Weights of web pages, code and docstrings by RegMix: 64 very small models, confirmed with five seeds."""
    from pipelines import recipe as recipes
    from pipelines.proxies import plots
    from pipelines.proxies.bench import Asked as Search
    from pipelines.proxies.cli import built
    from pipelines.proxies.optimize import optimize, sentences

    corpus = write(ROOT / "all-web.jsonl", corpora.web(data))
    sources = [
        {"name": "web", "type": "table", "paths": [str(corpus)], "columns": {"text": "text", "uri": "id"}},
        {"name": "code", "type": "python_packages", "packages": ["rich", "fsspec", "jinja2"], "max_bytes": 300_000},
        {"name": "maths", "type": "docstrings", "packages": ["networkx", "sympy"]},
    ]
    stage = {"tokens": 600_000, "weights": {"web": 0.8, "code": 0.1, "maths": 0.1}, "epochs": 4.0}
    path = recipe("mixed", corpus, 1, sources=sources, heldout={"fraction": 0.05}, stages={"core": stage})
    run = built(str(path), ROOT / "optimization" / "run", ROOT / "store", engine, _say)
    small = "{width: 64, layers: 2, heads: 2, kv_heads: 1, head_dim: 32, ffn_width: 192}"
    settings = {"model": small, "sequence_length": 128, "batch_size": 4, "peak_lr": 0.004, "tokens": 80_000}
    found = optimize(
        run,
        recipes.load(path),
        ROOT / "optimization",
        engine,
        Search(seeds=SEEDS, settings=settings, heldout_tokens=30_000),
        _say,
    )
    plots.optimization(found, ROOT / "optimization" / "optimization.png")
    return {**found, "said": sentences(found)}


PARTS: dict[str, Callable[[Path, Any], dict[str, Any]]] = {
    "deduplication": deduplication,
    "quality": quality,
    "decontamination": decontamination,
    "optimization": optimization,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_ci", description=__doc__)
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    data = os.environ.get("POMONA_DATA")
    if not data:
        print("POMONA_DATA is not set: it names the folder of evaluation data that this measures on", file=sys.stderr)
        return 2
    from pipelines.engines.settings import Settings, opened

    found: dict[str, Any] = {}
    for name in arguments.parts or list(PARTS):
        with opened(Settings(workers=arguments.workers)) as engine:
            started = time.monotonic()
            found[name] = PARTS[name](Path(data), engine)
            found[name]["wall"] = round(time.monotonic() - started, 1)
        (ROOT / f"{name}.json").write_text(json.dumps(found[name], indent=1) + "\n", encoding="utf-8")
        if not arguments.json:
            _print(name, found[name])
    if arguments.json:
        print(json.dumps(found, indent=1))
    return 0


def _print(name: str, found: dict[str, Any]) -> None:
    print(f"\n{name}: {found['wall']:.0f} s")
    compared = found.get("compared", {"": found})
    for arm, one in compared.items():
        for said in one["said"]:
            print(f"- {f'clean → {arm}: ' if arm else ''}{said}")
    for arm, one in found.get("advantage", {}).items():
        seeds, items = one["over seeds"], one["over items"]
        print(
            f"- {arm}: advantage of leaked items {seeds['mean']:+.4f} bits a byte, 95 % over seeds {seeds['low']:+.4f} "
            f"to {seeds['high']:+.4f}, over items {items['low']:+.4f} to {items['high']:+.4f}"
        )


if __name__ == "__main__":
    raise SystemExit(main())
