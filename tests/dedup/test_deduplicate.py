from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import DedupConfig, deduplicate
from dedup.components import components
from dedup.config import PRESETS
from dedup.edges import kept_edges
from dedup.exact import content_hash
from dedup.pairs import within_buckets

Table = Callable[..., pa.Table]
Planted = Callable[[float, int, int, int], list[tuple[str, str]]]


def rows(result: pa.Table) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in result.to_pylist()}


def jaccard(left: str, right: str) -> float:
    def grams(text: str) -> set[tuple[str, ...]]:
        words = text.lower().split()
        return {tuple(words[i : i + 5]) for i in range(max(len(words) - 4, 1))}

    a, b = grams(left), grams(right)
    return len(a & b) / len(a | b)


def changed(text: str, positions: list[int], word: str = "zebra") -> str:
    words = text.split()
    for position in positions:
        words[position] = f"{word}{position}"
    return " ".join(words)


def test_the_best_copy_stays_whatever_the_order(vocabulary: list[str], table: Table) -> None:
    # The 60-, 64- and 80-word variants of which a union-find root would keep the first.
    base = vocabulary[:60]
    long = base + vocabulary[60:64]
    longest = long + vocabulary[64:80]
    texts = [" ".join(words) for words in (base, long, longest)]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        found = rows(deduplicate(table([texts[i] for i in order], [f"v{i}" for i in order])))
        assert {name: row["keep"] for name, row in found.items()} == {"v0": False, "v1": False, "v2": True}
        assert found["v1"]["parent"] == "v2"
        assert {row["cluster"] for row in found.values()} == {"v2"}
        assert found["v1"]["similarity"] == pytest.approx(jaccard(texts[1], texts[2]))


def test_quality_comes_before_length_and_id_last(pages: list[str], table: Table) -> None:
    page = " ".join(pages[5].split())
    longer = page + " and more"
    by_quality = rows(deduplicate(table([longer, page], ["a", "b"], [0.1, 0.9])))
    assert by_quality["a"]["parent"] == "b"
    by_length = rows(deduplicate(table([page, longer], ["a", "b"], [0.5, 0.5])))
    assert by_length["a"]["parent"] == "b"
    by_id = rows(deduplicate(table([page, page], ["b", "a"])))
    assert by_id["b"]["parent"] == "a"
    unknown_last = rows(deduplicate(table([longer, page, page + "!"], ["a", "b", "c"], [None, 0.0, float("nan")])))
    assert unknown_last["b"]["keep"]
    assert not unknown_last["a"]["keep"]


def test_copies_of_any_length_are_found(table: Table) -> None:
    # Texts under five words have no signature elsewhere, and their copies stay.
    texts = ["one two", "one two", "ok", "ok", "", "", "?!", "?!", "...", None]
    found = deduplicate(table(texts))
    assert found["keep"].to_pylist() == [True, False, True, False, True, False, True, False, True, False]
    assert [int(name[1:]) for name in found["cluster"].to_pylist()] == [0, 0, 2, 2, 4, 4, 6, 6, 8, 4]
    assert found["similarity"].to_pylist() == [None, 1.0] * 4 + [None, 1.0]


def test_texts_without_words_are_never_near(table: Table) -> None:
    assert all(deduplicate(table(["", "...", "!!!", "?", "\n"]))["keep"].to_pylist())


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("ดี", "ดู"),
        ("か", "が"),
        ("か", "\u304b\u3099"),  # the same, decomposed
        ("x^2+1", "x-2=1"),
        ("y = x^2 + 1", "y = x^2 - 1"),
    ],
)
def test_what_marks_and_operators_tell_apart_stays(left: str, right: str, table: Table) -> None:
    assert deduplicate(table([left, right, left]))["keep"].to_pylist() == [True, True, False]


def test_parents_are_verified_and_clusters_are_kept_documents(pages: list[str], table: Table) -> None:
    texts: list[str] = []
    for number, page in enumerate(pages[:60]):
        flat = " ".join(page.split())
        texts += [flat, changed(flat, [10]), changed(flat, [3 + number]), flat]
    found = deduplicate(table(texts))
    text_of = dict(zip(found["id"].to_pylist(), texts, strict=True))
    verdict = rows(found)
    removed = [row for row in verdict.values() if not row["keep"]]
    assert len(removed) >= 60 * 2
    for row in verdict.values():
        assert verdict[row["cluster"]]["keep"]
        if row["keep"]:
            assert (row["cluster"], row["parent"], row["similarity"]) == (row["id"], None, None)
        else:
            assert row["similarity"] >= 0.7
            assert verdict[row["parent"]]["cluster"] == row["cluster"]
            same = text_of[row["id"]] == text_of[row["parent"]]
            assert (row["similarity"] == 1.0) or not same


def test_similarity_is_exact(planted: Planted, table: Table) -> None:
    pairs = planted(0.85, 120, 40, 5)
    found = deduplicate(table([text for pair in pairs for text in pair]))
    texts = {f"d{i:05d}": text for i, text in enumerate(text for pair in pairs for text in pair)}
    removed = [row for row in found.to_pylist() if not row["keep"]]
    assert len(removed) > 30
    for row in removed:
        assert row["similarity"] == pytest.approx(jaccard(texts[row["id"]], texts[row["parent"]]), abs=1e-12)


def test_unverified_candidates_join_nothing(planted: Planted, table: Table) -> None:
    # At J = 0.5 and 20 bands of 2 rows nearly every pair is a candidate; none may be joined at 0.7.
    pairs = planted(0.5, 100, 60, 6)
    config = DedupConfig(threshold=0.7, bands=20, rows=2)
    assert all(deduplicate(table([text for pair in pairs for text in pair]), config)["keep"].to_pylist())


def test_two_verified_pairs_are_not_joined_by_an_unverified_edge(vocabulary: list[str], table: Table) -> None:
    # text-dedup's fault: (0, 1) and (2, 3) verified, 1 and 2 only candidates, all four in one cluster.
    words = vocabulary[:400]
    first, second = words[:100], words[40:140]
    texts = [" ".join(part) for part in (first, [*first, "extra"], second, [*second, "other"])]
    assert 0.3 < jaccard(texts[0], texts[2]) < 0.6
    found = deduplicate(table(texts), DedupConfig(threshold=0.8, bands=50, rows=1))
    assert found["cluster"].to_pylist() == ["d00001", "d00001", "d00003", "d00003"]


def chain(vocabulary: list[str]) -> list[str]:
    """Four texts, each near the next one only; the first is the longest."""
    words = [word.ljust(20, "x") for word in vocabulary]  # of one length, so that more words are a longer text
    return [" ".join(words[start : start + 104 - start // 12]) for start in (0, 12, 24, 36)]


def test_a_chain_names_its_neighbour_as_parent(vocabulary: list[str], table: Table) -> None:
    texts = chain(vocabulary)
    config = DedupConfig(threshold=0.75, bands=60, rows=2, spread=1.0)
    found = rows(deduplicate(table(texts), config))
    assert [row["keep"] for row in found.values()] == [True, False, False, False]
    assert {row["cluster"] for row in found.values()} == {"d00000"}
    for name, parent in (("d00001", "d00000"), ("d00002", "d00001"), ("d00003", "d00002")):
        assert found[name]["parent"] == parent
        assert found[name]["similarity"] >= 0.75
    assert jaccard(texts[0], texts[3]) < 0.75


def test_a_chain_is_cut_where_it_could_leave_the_kept_text(vocabulary: list[str], table: Table) -> None:
    texts = chain(vocabulary)
    config = DedupConfig(threshold=0.75, bands=60, rows=2)
    assert config.reach == 0.5
    found = rows(deduplicate(table(texts), config))
    assert [row["keep"] for row in found.values()] == [True, False, False, True]
    assert [row["cluster"] for row in found.values()] == ["d00000"] * 3 + ["d00003"]
    with pytest.raises(ValueError, match=r"spread: found 0\.1, expected 0\.25 or more"):
        DedupConfig(threshold=0.75, spread=0.1)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_answer_does_not_depend_on_the_order_of_rows(data: st.DataObject) -> None:
    words = [
        "red",
        "green",
        "blue",
        "white",
        "black",
        "small",
        "large",
        "round",
        "flat",
        "old",
        "new",
        "warm",
        "cold",
        "soft",
        "hard",
    ]
    texts = data.draw(st.lists(st.lists(st.sampled_from(words), max_size=9).map(" ".join), max_size=14))
    quality = data.draw(st.lists(st.sampled_from([None, 0.0, 1.0]), min_size=len(texts), max_size=len(texts)))
    order = data.draw(st.permutations(range(len(texts))))
    bound = data.draw(st.sampled_from([4, 8, 32]))
    config = DedupConfig(threshold=0.5, bands=16, rows=2, shingle=2, representatives=bound)
    ids = [f"d{i}" for i in range(len(texts))]

    def run(numbers: list[int]) -> dict[str, dict[str, Any]]:
        columns = {
            "id": pa.array([ids[i] for i in numbers], pa.string()),
            "text": pa.array([texts[i] for i in numbers], pa.large_string()),
            "quality": pa.array([quality[i] for i in numbers], pa.float64()),
        }
        result = deduplicate(pa.table(columns), config)
        assert result["id"].to_pylist() == [ids[i] for i in numbers]
        return rows(result)

    straight = run(list(range(len(texts))))
    assert straight == run(list(order))
    for row in straight.values():
        assert straight[row["cluster"]]["keep"]
        if not row["keep"]:
            assert row["similarity"] >= 0.5
            assert straight[row["parent"]]["cluster"] == row["cluster"]


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_near_identical_texts_are_compared_with_a_bounded_number_of_others(
    count: int, vocabulary: list[str], table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = DedupConfig()
    compared: list[int] = []

    def counted(sets: Any, text: Any, first: Any, second: Any, given: DedupConfig) -> Any:
        compared.append(len(first))
        return kept_edges(sets, text, first, second, given)

    monkeypatch.setattr(importlib.import_module("dedup.deduplicate"), "kept_edges", counted)
    base = " ".join(vocabulary[:40])
    found = deduplicate(table([f"{base} number {i}" for i in range(count)]), config)
    assert sum(found["keep"].to_pylist()) == 1
    # Each text meets at most `representatives` others a band; all pairs would be a million, or 5,000 million.
    assert count - 1 <= sum(compared) <= count * config.representatives * config.bands


def test_a_hundred_thousand_copies(table: Table, pages: list[str]) -> None:
    found = deduplicate(table([pages[3]] * 100_000))
    assert found["keep"].to_pylist() == [True] + [False] * 99_999
    assert set(found["parent"].to_pylist()[1:]) == {"d00000"}


def test_a_large_bucket_gives_a_bounded_choice_of_pairs() -> None:
    rng = np.random.default_rng(0)
    for size in (2, 8, 9, 100, 5000):
        following = rng.integers(0, 40, size).astype(np.uint32)
        first, second = within_buckets(np.array([0, size]), following, 8)
        assert (first < second).all()
        pairs = set(zip(first.tolist(), second.tolist(), strict=True))
        if size <= 8:
            assert len(pairs) == size * (size - 1) // 2
            continue
        assert len(first) <= 8 * size
        # Every text meets the first two, and its own family's nearest.
        assert {(hub, row) for hub in (0, 1) for row in range(2, size)} <= pairs
        for value in np.unique(following):
            family = np.flatnonzero(following == value).tolist()
            assert {(a, b) for a, b in itertools.pairwise(family)} <= pairs


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(0, 2**32))
def test_buckets_one_by_one_give_the_pairs_of_all(sizes: list[int], seed: int) -> None:
    bounds = np.concatenate(([0], np.cumsum(sizes)))
    following = np.random.default_rng(seed).integers(0, 4, bounds[-1]).astype(np.uint32)
    first, second = within_buckets(bounds, following, 8)
    together = list(zip(first.tolist(), second.tolist(), strict=True))
    alone: list[tuple[int, int]] = []
    for start, end in itertools.pairwise(bounds.tolist()):
        a, b = within_buckets(np.array([0, end - start]), following[start:end], 8)
        alone += zip((a + start).tolist(), (b + start).tolist(), strict=True)
    assert together == alone


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_components_are_those_of_a_plain_search(pairs: list[tuple[int, int]]) -> None:
    left, right = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    found = components(20, left, right).tolist()
    label = list(range(20))
    for _ in range(20):
        for a, b in pairs:
            label[a] = label[b] = min(label[a], label[b])
    assert found == label


def test_content_hash_is_xxh3_128_of_the_bytes() -> None:
    import xxhash

    texts = ["", "a", "ดี", "a" * 1000, None]
    found = content_hash(pa.chunked_array([texts[:2], texts[2:]], pa.string()))
    assert found.to_pylist() == [xxhash.xxh3_128_digest((text or "").encode()) for text in texts]
    assert len(content_hash(pa.array([], pa.string()))) == 0


def test_wrong_tables_are_refused(table: Table) -> None:
    with pytest.raises(ValueError, match='no column "text"; found id'):
        deduplicate(pa.table({"id": ["a"]}))
    with pytest.raises(ValueError, match='id "a" occurs 2 times'):
        deduplicate(table(["x", "y", "z"], ["a", "b", "a"]))
    with pytest.raises(ValueError, match='"id" is null in row 1'):
        deduplicate(pa.table({"id": ["a", None], "text": ["x", "y"]}))
    with pytest.raises(ValueError, match='"text" is of type int64'):
        deduplicate(pa.table({"id": ["a"], "text": [1]}))
    with pytest.raises(ValueError, match='"quality" is of type string'):
        deduplicate(pa.table({"id": ["a"], "text": ["x"], "quality": ["good"]}))


def test_an_empty_table_has_an_empty_answer(table: Table) -> None:
    found = deduplicate(table([]))
    assert found.num_rows == 0
    assert found.column_names == ["id", "cluster", "parent", "similarity", "keep"]


def test_the_callers_table_may_be_chunked_and_carry_more_columns(pages: list[str], table: Table) -> None:
    whole = table(pages[:6] + pages[:2])
    chunked = pa.concat_tables([whole.slice(0, 3), whole.slice(3)]).append_column("other", pa.array(range(8)))
    assert deduplicate(chunked).equals(deduplicate(whole))


def test_presets_find_a_changed_copy(pages: list[str], table: Table) -> None:
    page = " ".join(pages[-3].split())
    for preset in PRESETS:
        found = deduplicate(table([page, changed(page, [50]), pages[3]]), DedupConfig.preset(preset))
        assert found["keep"].to_pylist().count(False) == 1, preset
