"""Labelled near-duplicate pairs of Common Crawl pages (chatnoir-eu/copycat)."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest

from dedup import DedupConfig, deduplicate


def shingled(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + 5]) for i in range(max(len(words) - 4, 1))}


@pytest.mark.data
def test_copycat_pairs(pomona_data: Path) -> None:
    with gzip.open(pomona_data / "neardup" / "copycat_cc1511_pairs_a.jsonl.gz", "rt", encoding="utf-8") as lines:
        pairs = [json.loads(line) for line in lines]
    documents = pa.table(
        {
            "id": [f"{i:03d}-{side}" for i in range(len(pairs)) for side in "ab"],
            "text": pa.array([pair[side] for pair in pairs for side in "ab"], pa.large_string()),
        }
    )
    clusters = deduplicate(documents, DedupConfig.preset("fineweb"))["cluster"].to_pylist()
    counts = {"same": [0, 0], "between": [0, 0], "different": [0, 0]}
    for number, pair in enumerate(pairs):
        a, b = shingled(pair["a"]), shingled(pair["b"])
        similarity = len(a & b) / len(a | b)
        # The pages are stemmed word by word, so that a plain split gives nearly our words.
        kind = "same" if similarity >= 0.8 else "different" if similarity < 0.6 else "between"
        counts[kind][0] += clusters[2 * number] == clusters[2 * number + 1]
        counts[kind][1] += 1
    print("\njoined of pairs, by exact Jaccard (>= 0.8, 0.6-0.8, < 0.6):", counts)
    assert counts["same"][1] > 10
    assert counts["same"][0] / counts["same"][1] >= 0.95  # the curve of 14 x 8 gives 92 % at 0.8 and 99 % at 0.85
    # A page may repeat in another pair, and clusters are transitive; joined pairs below 0.6 must stay rare all the
    # same.
    assert counts["different"][0] <= 0.05 * counts["different"][1]
