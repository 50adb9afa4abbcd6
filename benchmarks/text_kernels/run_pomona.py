"""Pomona's own kernels, in its own environment."""

from __future__ import annotations

import pyarrow as pa
import timing

import filters
from benchmarks.text_kernels.one_line import HEURISTICS
from dedup.minhash import MinHashConfig, signatures


def measured(*families: str):
    """Measure the families and decide by their rules, as a pipeline does."""

    def work(texts: list[str]) -> None:
        signals = filters.measure(pa.array(texts, pa.large_string()), families)
        presets = filters.presets()
        rules = {rule.name: rule for name in families if name in presets for rule in filters.rules(name)}
        filters.decide(signals, list(rules.values()))

    return work


def minhash(texts: list[str]) -> None:
    signatures(pa.array(texts, pa.large_string()), MinHashConfig(permutations=112, shingle=5))


timing.run(
    {
        "gopher": measured("gopher"),
        "c4": measured("c4"),
        "fineweb": measured("fineweb"),
        "gopher + c4 + fineweb": measured("gopher", "c4", "fineweb"),
        f"all {len(HEURISTICS)} heuristics": measured(*HEURISTICS),
        "gopher + c4": measured("gopher", "c4"),
        "minhash": minhash,
    }
)
