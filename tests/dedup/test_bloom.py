"""The Bloom filter: what DCLM's order of questions gives, how often it errs, and that it says when it is full."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.bloom import Bloom, BloomConfig, BloomSize, FilterFull, FilterTooLarge, grams
from pipelines import recipe
from pipelines.recipe_errors import RecipeError
from tests.pipelines.runs import tiny


def column(texts: list[str]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def exact(texts: list[str], config: BloomConfig) -> tuple[list[bool], list[list[bool]]]:
    """BFF with a set in place of the filter: which documents go, and which of their lines."""
    held: set[tuple[str, ...]] = set()
    documents: list[bool] = []
    lines: list[list[bool]] = []
    for text in texts:
        seen = count = 0
        gone: list[bool] = []
        waiting: list[tuple[str, ...]] = []
        for line in text.split("\n"):
            tokens = line.split()
            found = [tuple(tokens[at : at + config.ngram]) for at in range(len(tokens) - config.ngram + 1)]
            known = sum(one in held for one in found)
            seen, count = seen + known, count + len(found)
            gone.append(config.level != "document" and known > config.threshold * len(found))
            if config.level == "document":
                waiting += found
            elif not gone[-1]:
                held |= set(found)
        dropped = seen > config.threshold * count
        if not dropped:
            held |= set(waiting)
        documents.append(dropped and config.level != "paragraph")
        lines.append(gone)
    return documents, lines


line = st.lists(st.sampled_from(["a", "b", "ein", "日"]), max_size=12).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(line, max_size=4).map("\n".join), max_size=6),
    st.sampled_from(["paragraph", "document", "both"]),
    st.integers(1, 4),
    st.integers(1, 6),
)
def test_it_decides_as_a_set_does_and_batches_do_not_show(texts: list[str], level: str, ngram: int, rows: int) -> None:
    config = BloomConfig(ngram=ngram, level=level, false_positive_rate=1e-9, threshold=0.5)  # type: ignore[arg-type]
    documents, lines = exact(texts, config)
    bloom = Bloom(BloomSize.of(2000, 1e-9), config)
    told = [bloom.sweep(grams(column(texts[at : at + rows]), ngram)) for at in range(0, len(texts), rows)]
    assert [bool(one) for part in told for one in part.document] == documents
    assert [bool(one) for part in told for one in part.line] == [one for gone in lines for one in gone]


@pytest.mark.parametrize("rate", [0.1, 0.01, 1e-4])
def test_it_errs_as_often_as_was_wished(rate: float) -> None:
    rng = np.random.default_rng(0)
    count = 200_000
    config = BloomConfig(ngram=1, level="paragraph", threshold=0.99, false_positive_rate=rate)
    bloom = Bloom(BloomSize.of(count, rate), config)
    new = [" ".join(map(str, rng.integers(0, 1 << 60, 1000))) for _ in range(2 * count // 1000)]
    bloom.sweep(grams(column(new[: count // 1000]), 1))
    assert bloom.fill == pytest.approx(0.5, abs=0.05)
    assert bloom.rate == pytest.approx(rate, rel=0.2)
    assert not bloom.full
    asked = bloom.sweep(grams(column(new[count // 1000 :]), 1))
    # While it is asked it is told too: it errs as wished at first and more often later, full at the end.
    first = asked.seen[:20].sum() / asked.grams[:20].sum()
    assert first == pytest.approx(rate, rel=0.3, abs=3e-4)
    assert bloom.full
    with pytest.raises(FilterFull, match=r"is full: \d+\.\d% of its [\d,]+ bits are set, so that it takes"):
        bloom.check()


def test_a_filter_that_cannot_fit_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FilterTooLarge, match=r"take a filter of 1,198 GB, and 4 GB is the limit \(memory_gb\).* 300 g"):
        BloomSize.of(10**12, 0.01).check(10**12, 0.01, 4 * 10**9)
    monkeypatch.chdir(tmp_path)
    tiny.lay_out(tmp_path)
    with pytest.raises(RecipeError, match=r"dedup_parts.0.ngrams: 1,000,000,000,000 n-grams .*memory_gb"):
        recipe.load(Path("tiny.yaml"), ["dedup_parts=[{type: bloom, ngrams: 1000000000000}]"])


def test_sizes_are_the_smallest_for_the_rate() -> None:
    size = BloomSize.of(1_000_000, 0.01)
    assert (round(size.bits / 1e6, 2), size.hashes) == (9.59, 7)
    assert size.rate(size.bits // 2) == pytest.approx(2**-7, rel=1e-3)
    assert BloomSize.of(0, 0.01).bits == 64 * 1
