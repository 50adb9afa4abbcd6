"""What an index answers: duplicates of what is in it and inside the query, whatever the portions, lasting at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dedup import DedupConfig, Index, deduplicate

Table = Callable[..., pa.Table]


def test_of_n_new_copies_of_an_indexed_document_none_survives(
    tmp_path: Path, documents: pa.Table, table: Table
) -> None:
    index = Index.create(tmp_path / "index")
    assert all(index.add(documents)["keep"].to_pylist())
    text = documents["text"][7].as_py()
    copies = table([text] * 4 + [text + " changed"] * 4, [f"copy-{i}" for i in range(8)])
    for answer in (index.query(copies), index.add(copies)):
        assert not any(answer["keep"].to_pylist())
        assert answer["cluster"].to_pylist() == ["page-7"] * 8
        assert answer["parent"].to_pylist() == ["page-7"] * 8
        assert answer["similarity"].to_pylist()[:4] == [1.0] * 4
        assert all(0.7 <= value < 1 for value in answer["similarity"].to_pylist()[4:])
    assert len(index) == 30


def test_a_query_counts_duplicates_inside_it_and_changes_nothing(
    tmp_path: Path, documents: pa.Table, table: Table
) -> None:
    index = Index.create(tmp_path / "index")
    index.add(documents.slice(0, 10))
    fresh = documents["text"][20].as_py()
    asked = table([fresh, fresh + " more", documents["text"][3].as_py()], ["x", "y", "z"])
    answer = index.query(asked)
    assert answer["keep"].to_pylist() == [False, True, False]
    assert answer["cluster"].to_pylist() == ["y", "y", "page-3"]
    assert answer.schema.equals(deduplicate(asked).schema)
    assert index.query(asked).equals(answer)
    assert len(index) == 10


def test_an_empty_index_answers_as_deduplicate_does(tmp_path: Path, documents: pa.Table, table: Table) -> None:
    texts = documents["text"].to_pylist()
    asked = table(texts + [text + " again" for text in texts[:12]] + texts[:5] + ["", ""])
    assert Index.create(tmp_path / "index").query(asked).equals(deduplicate(asked))


def test_what_was_added_is_there_for_the_next_process(tmp_path: Path, documents: pa.Table) -> None:
    Index.create(tmp_path / "index", DedupConfig(seed=5)).add(documents.slice(0, 20))
    again = Index.open(tmp_path / "index")
    assert len(again) == 20
    assert again.config == DedupConfig(seed=5)
    answer = again.add(documents)
    assert answer["keep"].to_pylist() == [False] * 20 + [True] * 10
    # Already there under its own id: a repeated add changes nothing.
    assert answer["parent"].to_pylist()[:20] == answer["id"].to_pylist()[:20]
    assert len(Index.open(tmp_path / "index")) == 30


def test_two_writers_see_each_other(tmp_path: Path, documents: pa.Table) -> None:
    first = Index.create(tmp_path / "index")
    second = Index.open(tmp_path / "index")
    first.add(documents.slice(0, 10))
    assert second.add(documents)["keep"].to_pylist() == [False] * 10 + [True] * 20
    assert first.remove(["page-29"]) == 1
    assert len(Index.open(tmp_path / "index")) == 29


def test_removed_documents_are_forgotten(tmp_path: Path, documents: pa.Table, table: Table) -> None:
    index = Index.create(tmp_path / "index")
    index.add(documents)
    text = documents["text"][4].as_py()
    assert index.remove(["page-4", "page-5", "never-there"]) == 2
    assert index.remove(["page-4"]) == 0
    for opened in (index, Index.open(tmp_path / "index")):
        assert len(opened) == 28
        assert opened.query(table([text], ["new"]))["keep"].to_pylist() == [True]
    assert index.add(table([text], ["page-4"]))["keep"].to_pylist() == [True]  # the id is free again
    assert not index.query(table([text], ["new"]))["keep"][0].as_py()


def test_empty_and_wordless_texts_are_known_by_content(tmp_path: Path, table: Table) -> None:
    index = Index.create(tmp_path / "index")
    assert index.add(table(["", "...", "ok"], ["a", "b", "c"]))["keep"].to_pylist() == [True] * 3
    answer = index.query(table(["", "...", "ok", "!!", "ok!"], ["p", "q", "r", "s", "t"]))
    assert answer["keep"].to_pylist() == [False, False, False, True, False]
    assert answer["parent"].to_pylist() == ["a", "b", "c", None, "c"]


def test_an_id_cannot_stand_for_two_texts(tmp_path: Path, documents: pa.Table, table: Table) -> None:
    index = Index.create(tmp_path / "index")
    index.add(documents)
    with pytest.raises(ValueError, match='id "page-3" is in the index'):
        index.add(table(["new text of seven words, unlike others", "fresh"], ["new", "page-3"]))
    assert len(Index.open(tmp_path / "index")) == 30


def test_indexed_documents_stay_even_between_similar_ones(tmp_path: Path, vocabulary: list[str], table: Table) -> None:
    config = DedupConfig(threshold=0.6, bands=60, rows=2)
    index = Index.create(tmp_path / "index", config)
    left, middle, right = (" ".join(vocabulary[start : start + 100]) for start in (0, 20, 40))
    assert all(index.add(table([left, right], ["left", "right"]))["keep"].to_pylist())
    answer = index.add(table([middle + " and much longer than either", middle], ["long", "middle"]))
    assert answer["keep"].to_pylist() == [False, False]
    assert set(answer["cluster"].to_pylist()) <= {"left", "right"}
    assert len(index) == 2


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_adding_in_any_portions_lets_no_duplicate_in(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    words = ["red", "green", "blue", "white", "black", "small", "large", "round", "flat", "old"]
    texts = data.draw(st.lists(st.lists(st.sampled_from(words), max_size=6).map(" ".join), max_size=12))
    cut = data.draw(st.integers(0, len(texts)))
    config = DedupConfig(threshold=0.5, bands=16, rows=2, shingle=2)
    index = Index.create(tmp_path_factory.mktemp("portions") / "index", config)
    everything = pa.table(
        {"id": pa.array([f"d{i}" for i in range(len(texts))], pa.string()), "text": pa.array(texts, pa.string())}
    )
    kept: set[str] = set()
    for portion in (everything.slice(0, cut), everything.slice(cut)):
        answer = index.add(portion)
        assert answer["id"].equals(portion["id"])
        kept |= {row["id"] for row in answer.to_pylist() if row["keep"]}
        assert {row["cluster"] for row in answer.to_pylist()} <= kept
    assert len(index) == len(kept)
    copies = everything.set_column(0, "id", pa.array([f"copy-{i}" for i in range(len(texts))], pa.string()))
    assert not any(index.query(copies)["keep"].to_pylist())


def test_matches_are_the_same_in_any_batches(tmp_path: Path, documents: pa.Table, table: Table) -> None:
    index = Index.create(tmp_path / "index")
    index.add(documents.slice(0, 10))
    texts = [text + " again" for text in documents["text"].to_pylist()]
    asked = table(texts + texts, [f"n-{number}" for number in range(60)])
    whole = index.matches(asked)
    assert whole["id"].to_pylist() == [f"n-{number}" for number in [*range(10), *range(30, 40)]]
    parts = [index.matches(asked.slice(start, 7)) for start in range(0, 60, 7)]
    assert pa.concat_tables(parts).combine_chunks().equals(whole.combine_chunks())
    assert index.matches(documents).num_rows == 0  # what is in the index is no duplicate of itself


def test_many_identical_documents_and_one_repeated_word_are_one_row_each(tmp_path: Path, table: Table) -> None:
    page = "one page that many addresses serve, with words enough for a few shingles of five"
    index = Index.create(tmp_path / "index")
    answer = index.add(table([page] * 100_000))
    assert answer["keep"].to_pylist().count(True) == 1
    repeated = table(["word " * count for count in (100_000, 5000, 7)], ["a", "b", "c"])
    # Of one word repeated there is one shingle, however often: all three are the same set.
    assert index.add(repeated)["keep"].to_pylist() == [True, False, False]
    assert len(index) == len(Index.open(tmp_path / "index")) == 2
    assert not any(index.query(table([page] * 50_000))["keep"].to_pylist())
    assert index.remove(["d00000", "a"]) == 2
    assert index.query(table([page, "word " * 9], ["x", "y"]))["keep"].to_pylist() == [True, True]
