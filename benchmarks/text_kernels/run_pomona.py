"""Pomona's own kernels, in its own environment."""

from __future__ import annotations

import pyarrow as pa
import timing

import filters
from dedup.minhash import MinHashConfig, signatures


def measured(*families: str):
    """Measure the families and decide by their rules, as a pipeline does."""

    def work(texts: list[str]) -> None:
        signals = filters.measure(pa.array(texts, pa.large_string()), families)
        filters.decide(signals, [rule for name in families for rule in filters.rules(name)])

    return work


def minhash(texts: list[str]) -> None:
    signatures(pa.array(texts, pa.large_string()), MinHashConfig(permutations=112, shingle=5))


timing.run(
    {
        "gopher": measured("gopher"),
        "c4": measured("c4"),
        "fineweb": measured("fineweb"),
        "gopher + c4 + fineweb": measured("gopher", "c4", "fineweb"),
        "gopher + c4": measured("gopher", "c4"),
        "minhash": minhash,
    }
)
