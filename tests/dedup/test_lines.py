"""Repeated lines: CCNet's normalisation, which occurrences go, and what is left of a text."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.lines import LineConfig, keys_of, marked, without
from dedup.repeats import Repeated, repeated
from kernels.ranges import CCNET_PUNCTUATION, normalised_hashes
from kernels.strings import text_batch

SORTED = [(name, "ascending") for name in ("key", "rank", "id", "place", "group")]


def normalised(line: str) -> str:
    """CCNet's `normalize_for_dedup`, in words of our own; one letter for a letter, as simple case folding does."""
    out = "".join(one.lower() if len(one.lower()) == 1 else one for one in line.strip())
    out = re.sub(r"\d", "0", out)
    return re.sub(f"[{CCNET_PUNCTUATION}\x00-\x1f\x7f-\x9f]", "", out)


def cut(texts: list[str], config: LineConfig, groups: int = 1, ranks: list[int] | None = None) -> list[str]:
    ids = [f"{number:032x}" for number in range(len(texts))]
    rank = ranks or [0] * len(texts)
    parts = [list(range(len(texts)))[n::groups] for n in range(groups)]
    told = repeated(
        pa.concat_tables(
            keys_of(
                pa.array([texts[i] for i in part], pa.large_string()),
                pa.array([ids[i] for i in part], pa.string()),
                np.array([rank[i] for i in part], np.int32),
                np.zeros(len(part), np.uint64),
                n,
                config,
            )
            for n, part in enumerate(parts)
        ).sort_by(SORTED),
        config.most,
    )
    left = [""] * len(texts)
    for n, part in enumerate(parts):
        text, names = (
            pa.array([texts[i] for i in part], pa.large_string()),
            pa.array([ids[i] for i in part], pa.string()),
        )
        known = Repeated.of(told.filter(pc.equal(told["group"], n)).sort_by("key"))
        found = without(marked(text, names, np.zeros(len(part), np.uint64), known, config))
        for i, a, b in zip(part, found.offsets[:-1], found.offsets[1:], strict=True):
            left[i] = bytes(found.data[a:b]).decode()
    return left


line = st.text(st.sampled_from("aB1７ é，。\t\x07日"), max_size=8)
corpora = st.lists(st.lists(line, max_size=8).map("\n".join), min_size=1, max_size=5)


@settings(max_examples=200, deadline=None)
@given(corpora, st.integers(1, 3), st.sampled_from(["first", "none"]), st.integers(1, 4), st.integers(1, 3))
def test_lines_go_as_counted_one_by_one(texts: list[str], most: int, keep: str, least: int, groups: int) -> None:
    config = LineConfig(most=most, keep=keep, min_chars=least)  # type: ignore[arg-type]
    times = Counter(normalised(one) for text in texts for one in text.split("\n") if len(one.strip()) >= least)
    seen: set[str] = set()
    expected: list[list[str]] = []
    for text in texts:
        kept: list[str] = []
        for one in text.split("\n"):
            name = normalised(one)
            if len(one.strip()) < least or times[name] <= most or (keep == "first" and name not in seen):
                kept.append(one)
            if len(one.strip()) >= least:
                seen.add(name)
        expected.append(kept)
    assert cut(texts, config, groups) == ["\n".join(one) for one in expected]


@settings(max_examples=100, deadline=None)
@given(st.lists(line, min_size=2, max_size=12))
def test_normalised_hashes_are_equal_where_ccnets_texts_are(lines: list[str]) -> None:
    batch = text_batch(pa.array([one.strip() for one in lines], pa.large_string()))
    hashes = normalised_hashes(batch, batch.offsets[:-1], batch.offsets[1:]).tolist()
    names = [normalised(one) for one in lines]
    for a in range(len(lines)):
        for b in range(a):
            assert (hashes[a] == hashes[b]) == (names[a] == names[b])


def test_the_best_source_keeps_its_line() -> None:
    texts = ["the same line\nweb", "wiki\nThe same line", "the same line"]
    assert cut(texts, LineConfig()) == ["the same line\nweb", "wiki", ""]
    assert cut(texts, LineConfig(), ranks=[1, 0, 1]) == ["web", "wiki\nThe same line", ""]


def test_paragraphs() -> None:
    text = [
        "A first paragraph\nof two lines.\n\nAnother, only here.",
        "  Own words.\n\n\nA first paragraph\nof two lines.",
    ]
    assert cut(text, LineConfig(unit="paragraph")) == [text[0], "  Own words."]
    assert cut(text, LineConfig(unit="paragraph", keep="none")) == ["Another, only here.", "  Own words."]


def test_presets_and_buckets() -> None:
    llama = LineConfig.preset("llama3")
    assert (llama.most, llama.keep, llama.bucket) == (6, "none", 30_000_000)
    assert [llama.buckets(number) for number in (0, 1, 30_000_000, 30_000_001)] == [1, 1, 1, 2]
    line_of_nine = "the same line\n"
    assert cut([line_of_nine] * 6, llama) == [line_of_nine] * 6
    assert cut([line_of_nine] * 7, llama) == [""] * 7
    with pytest.raises(ValueError, match=r'found "ccnett", expected one of ccnet, llama3'):
        LineConfig.preset("ccnett")
