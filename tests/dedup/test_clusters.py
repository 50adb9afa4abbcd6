from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import DedupConfig, deduplicate
from dedup.clusters import link
from dedup.components import components, large_star, small_star
from dedup.edges import Edges, similarity
from dedup.edit import edit_similarity, units
from dedup.exact import normalised_hash
from dedup.shingles import shingle_sets

WORDS = ["red", "green", "blue", "white", "black", "small", "large", "round", "flat", "old", "new", "warm"]
sentences = st.lists(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), min_size=1, max_size=14)


def verified(texts: list[str], threshold: float) -> Edges:
    sets = shingle_sets(pa.array(texts), 2)
    left, right = np.triu_indices(len(texts), 1)
    value = similarity(sets, left, right)
    near = value >= threshold
    return Edges(left[near], right[near], value[near])


@settings(max_examples=60, deadline=None)
@given(sentences, st.sampled_from([0.4, 0.6, 0.8]), st.sampled_from([1.0, 1.5, 2.0]), st.data())
def test_what_a_cut_promises(texts: list[str], threshold: float, edges: float, data: st.DataObject) -> None:
    found, spread = verified(texts, threshold), edges * (1 - threshold)
    n = len(texts)
    known = np.array(data.draw(st.lists(st.sampled_from([False, False, True]), min_size=n, max_size=n)), np.bool_)
    links = link(n, found, spread, known)
    sets = shingle_sets(pa.array(texts), 2)
    kept = links.parent < 0
    assert (links.root[kept] == np.flatnonzero(kept)).all()
    assert kept[known].all()
    removed = np.flatnonzero(~kept)
    pairs = {(a, b): s for a, b, s in zip(found.left.tolist(), found.right.tolist(), found.similarity, strict=True)}
    for row in removed.tolist():
        parent = int(links.parent[row])
        # Every removed row names a verified match, in its own cluster, and is as near the kept one as was promised.
        assert links.similarity[row] == pairs[min(row, parent), max(row, parent)]
        assert links.root[parent] == links.root[row]
        assert kept[links.root[row]]
    near = similarity(sets, links.root[removed], removed)
    assert (near >= 1 - spread - 1e-6).all()
    # No verified edge joins two kept rows, but known ones.
    for a, b in pairs:
        assert not (kept[a] and kept[b]) or (known[a] and known[b])
    order = data.draw(st.permutations(range(len(found.left))))
    shuffled = link(n, Edges(*(column[list(order)] for column in found)), spread, known)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(links, shuffled, strict=True))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=60))
def test_stars_end_where_a_union_find_ends(pairs: list[tuple[int, int]]) -> None:
    pairs = [(a, b) for a, b in pairs if a != b]
    a, b = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    expected = components(41, a, b)
    edges = {(int(max(pair)), int(min(pair))) for pair in pairs}

    def sorted_rows(rows: set[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        table = np.array(sorted(rows), np.uint64).reshape(-1, 2)
        return table[:, 0].copy(), table[:, 1].copy()

    rounds = 0
    while True:
        rounds += 1
        both = sorted_rows(edges | {(low, high) for high, low in edges})
        large = set(zip(*(column.tolist() for column in large_star(*both)), strict=True))
        small = set(zip(*(column.tolist() for column in small_star(*sorted_rows(large))), strict=True))
        if small == edges:
            break
        edges = small
    assert rounds <= 8
    assert dict(edges) == {node: int(expected[node]) for node in np.unique([a, b]).tolist() if expected[node] != node}


def plain_distance(a: list[str], b: list[str]) -> int:
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1]


@settings(max_examples=80, deadline=None)
@given(sentences, st.sampled_from([0.0, 0.5, 0.8, 1.0]))
def test_edit_similarity_is_levenshteins(texts: list[str], threshold: float) -> None:
    found = units(pa.array(texts))
    left, right = np.triu_indices(len(texts), 1)
    values = edit_similarity(found, left, right, threshold)
    for a, b, value in zip(left.tolist(), right.tolist(), values.tolist(), strict=True):
        one, other = texts[a].split(), texts[b].split()
        longer = max(len(one), len(other))
        expected = 1 - plain_distance(one, other) / longer if longer else 1.0
        assert value == pytest.approx(expected if expected >= threshold - 1e-12 else 0.0)


def test_edit_similarity_tells_reordered_lists_apart() -> None:
    lines = [f"{WORDS[i % 12]} entry number {i} of the long list that is sorted" for i in range(40)]
    texts = [". ".join(lines), ". ".join(reversed(lines))]
    table = pa.table({"id": ["a", "b"], "text": texts})
    assert deduplicate(table, DedupConfig(threshold=0.6))["keep"].to_pylist().count(True) == 1
    assert deduplicate(table, DedupConfig(threshold=0.6, edit_similarity=0.9))["keep"].to_pylist() == [True, True]


def test_what_counts_as_the_same_when_normalised() -> None:
    same = ["A  text\nof three", "a text of three", " a\ttext of THREE ", "a\u00a0text of three"]
    other = ["a text, of three", "a text of thre\u0301e", "ดี", "ดู", "x^2+1", "x-2=1", ""]
    digests = normalised_hash(pa.array(same + other)).to_pylist()
    assert len(set(digests[: len(same)])) == 1
    assert len(set(digests)) == 1 + len(other)
    composed, decomposed = normalised_hash(pa.array(["caf\u00e9", "CAFE\u0301"])).to_pylist()
    assert composed == decomposed


def test_a_text_of_one_repeated_word_is_near_no_other() -> None:
    texts = ["word " * 100_000, "word " * 50, "word " * 3, "other " * 1000, "word"]
    found = deduplicate(pa.table({"id": list("abcde"), "text": texts}))
    # The first two have one shingle, the same; three words or one are another shingle each.
    assert found["keep"].to_pylist() == [True, False, True, True, True]
    assert found["parent"].to_pylist()[1] == "a"


@pytest.mark.slow
def test_a_million_identical_documents() -> None:
    text = "one page that a million addresses serve, with words enough for a few shingles of five"
    table = pa.table({"id": [f"{i:07d}" for i in range(1_000_000)], "text": [text] * 1_000_000})
    found = deduplicate(table)
    assert found["keep"].to_pylist().count(True) == 1
    assert set(found["parent"].to_pylist()) == {None, "0000000"}


def test_priority_date_and_protection_decide_in_the_stated_order() -> None:
    text = " ".join(WORDS * 3)
    table = pa.table(
        {
            "id": ["a", "b", "c"],
            "text": [text] * 3,
            "priority": [1, 2, 2],
            "date": [9.0, 1.0, 5.0],
            "protected": [False, False, False],
        }
    )

    def kept(config: DedupConfig, rows: pa.Table = table) -> list[str]:
        found = deduplicate(rows, config)
        return found.filter(found["keep"])["id"].to_pylist()

    assert kept(DedupConfig()) == ["c"]
    assert kept(DedupConfig(date="oldest")) == ["b"]
    assert kept(DedupConfig(order=("date",))) == ["a"]
    assert kept(DedupConfig(order=())) == ["a"]
    guarded = table.set_column(4, "protected", pa.array([False, True, True]))
    assert kept(DedupConfig(), guarded) == ["b", "c"]
    with pytest.raises(ValueError, match="each name once"):
        DedupConfig(order=("date", "date"))


def test_one_url_keeps_its_newest_version() -> None:
    table = pa.table(
        {
            "id": ["old", "new", "other", "copy"],
            "text": ["first version of it", "a second one, quite different", "another page", "first version of it"],
            "url": ["u", "u", None, None],
            "date": [1.0, 2.0, None, None],
        }
    )
    found = deduplicate(table, DedupConfig(url="newest"))
    # What the old version was a copy of stays: it is not the old version's fault.
    assert found["keep"].to_pylist() == [False, True, True, True]
    assert found["parent"].to_pylist()[0] == "new"
    assert found["similarity"].to_pylist()[0] == 0.0
    with pytest.raises(ValueError, match='no column "url"'):
        deduplicate(table.drop_columns(["url"]), DedupConfig(url="best"))
