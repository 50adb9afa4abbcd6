"""Recall on planted items and false positives on clean pages; over the evaluation data the figures are printed."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.decontam.items import real
from decontam import Benchmark, Index
from decontam.forms import ALTERED, FORMS
from decontam.recall import chosen, recall


@pytest.fixture(scope="module")
def given(pomona_data: Path) -> list[Benchmark]:
    return real(pomona_data)


@pytest.fixture(scope="module")
def everything(given: list[Benchmark]) -> Index:
    return Index.build(given)


@pytest.fixture(scope="module")
def web(pomona_data: Path) -> list[str]:
    texts = []
    for listing in sorted((pomona_data / "html_gold").glob("*/index.jsonl.gz")):
        with gzip.open(listing, "rt", encoding="utf-8") as lines:
            texts += [text for line in lines if (text := json.loads(line).get("gold_text"))]
    assert len(texts) > 800
    return texts


@pytest.mark.data
def test_recall_by_form(everything: Index, given: list[Benchmark], web: list[str]) -> None:
    found = recall(everything, chosen(everything, given, 900), web)
    missing = everything.not_checkable
    print(f"\n{len(everything)} items, {len(missing)} not checkable; recall on checkable ones, planted:")
    for form, one in found.items():
        print(f"  {form:36s} {one.found:4d} of {one.planted:4d} {one.share:.4f}")
    assert len(missing) < 0.06 * len(everything)
    assert set(found) == set(FORMS)
    for form, one in found.items():
        if form not in ALTERED:
            assert one.share >= 0.99, (form, one.missed)
    assert found["10 % of words inserted or replaced"].share >= 0.9


@pytest.mark.data
def test_false_positives(everything: Index, web: list[str]) -> None:
    hits = defaultdict(list)
    for hit in everything.scan(pa.array(web, pa.large_string())).to_pylist():
        hits[hit["row"]].append(hit)
    print(f"\n{len(hits)} of {len(web)} real pages have a hit:")
    for row, found in hits.items():
        best = max(found, key=lambda hit: hit["score"])
        print(
            f"  {best['benchmark']} {best['item']} {best['score']:.2f} {web[row][best['start'] : best['end']][:90]!r}"
        )
    assert len(hits) <= 0.001 * len(web)


def test_items_of_packages_are_found_in_every_form(index: Index, benchmarks: list[Benchmark], pages: list[str]) -> None:
    """Digits of other scripts, options in any order and under other marks, and the rest."""
    found = recall(index, chosen(index, benchmarks, 200), pages)
    assert set(found) == set(FORMS)
    for form, one in found.items():
        assert one.planted >= 40
        # Of short programs, ">>>" of a doctest as "&gt;&gt;&gt;" makes many words that are not theirs.
        assert one.share >= (0.4 if form in ALTERED else 0.97 if form == "HTML source" else 0.99), (form, one.missed)


def test_nothing_is_planted_of_a_benchmark_that_no_scan_can_find() -> None:
    sums = Benchmark("sums", pa.table({"id": ["a", "b"], "question": ["1 + 1", "2 + 2"]}))
    index = Index.build([sums])
    assert index.not_checkable.num_rows == 2
    assert chosen(index, [sums], 10) == []
