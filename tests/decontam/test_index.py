from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from decontam import Benchmark, Index, Method


def table(**columns: Sequence[object]) -> pa.Table:
    return pa.table(columns)


LONG = "How many of the forty-one lighthouses on the northern coast were still lit by oil lamps in the winter of 1911?"


def test_what_cannot_be_checked_is_reported_with_its_reason() -> None:
    items = table(
        id=["short", "empty", "marks", "common", "fine", "by-choices", "by-context", "passage"],
        question=[
            "Who was Ada?",
            None,
            "?!",
            "What do you do when they are not there with you and him?",
            LONG,
            "Best?",
            "Why did he?",
            "Why?",
        ],
        choices=[
            None,
            None,
            None,
            None,
            None,
            ["a brass sextant from Bristol", "an ebony octant made in Whitby"],
            None,
            None,
        ],
        context=[
            None,
            None,
            None,
            None,
            None,
            None,
            "Ferdinand carried eleven copper kettles across the frozen estuary.",
            " ".join(f"word{i}" for i in range(80)),
        ],
    )
    index = Index.build([Benchmark("b", items)])
    reasons = {row["item"]: row["reason"] for row in index.not_checkable.to_pylist()}
    assert set(reasons) == {"short", "empty", "marks", "common", "passage"}
    assert "3 words that count, fewer than 8" in reasons["short"]
    assert "no words" in reasons["empty"]
    assert "no words" in reasons["marks"]
    assert "too common" in reasons["common"]
    assert len(index) == 8
    found = index.scan(pa.array(["Ferdinand carried eleven copper kettles across the frozen estuary. Why did he?"]))
    assert found["item"].to_pylist() == ["by-context"]


def test_an_item_of_templates_only_is_reported() -> None:
    questions = [
        f"Tell which nautical instrument a careful navigator of the eighteenth century used number{i}"
        for i in range(40)
    ]
    index = Index.build([Benchmark("b", table(id=list(range(40)), question=questions))])
    assert index.not_checkable["reason"].to_pylist()[0].startswith("template")
    assert len(index.not_checkable) == 40


def test_a_cloze_passage_is_its_own_question() -> None:
    index = Index.build([Benchmark("cloze", table(id=["1"], context=[LONG]))])
    assert index.scan(pa.array([f"x {LONG} y"])).num_rows == 1


def test_saved_and_loaded_it_finds_the_same(
    tmp_path: Path, index: Index, benchmarks: list[Benchmark], pages: list[str]
) -> None:
    index.save(tmp_path / "index")
    again = Index.load(tmp_path / "index")
    texts = pa.array([f"{pages[0]}\n{item}" for item in benchmarks[0].items["question"].to_pylist()])
    assert again.scan(texts).equals(index.scan(texts))
    assert again.scan(texts).num_rows >= len(texts) - 2
    assert again.not_checkable.equals(index.not_checkable)
    assert again.method == index.method
    assert len(again) == len(index)
    with pytest.raises(FileExistsError, match="something is there"):
        index.save(tmp_path / "index")


def test_a_damaged_index_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    Index.build([Benchmark("b", table(id=["1"], question=[LONG]))]).save(folder)
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]
    grams = folder / "grams.npy"
    whole = grams.read_bytes()
    grams.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"grams\.npy: damaged"):
        Index.load(folder)
    grams.unlink()
    with pytest.raises(ValueError, match=r"grams\.npy: missing"):
        Index.load(folder)
    grams.write_bytes(whole)
    manifest = folder / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"probe": "', '"probe": "0'))
    with pytest.raises(ValueError, match="splits or hashes words differently"):
        Index.load(folder)
    manifest.write_text(text.replace("pomona-decontam-index-4", "other"))
    with pytest.raises(ValueError, match="format 'other'"):
        Index.load(folder)
    manifest.write_text("no json")
    with pytest.raises(ValueError, match="damaged"):
        Index.load(folder)
    manifest.unlink()
    with pytest.raises(FileNotFoundError, match="no index of benchmarks"):
        Index.load(folder)


def test_an_opened_index_reads_its_tables_where_they_are(tmp_path: Path) -> None:
    """Workers on one machine share what they do not write; opening makes nothing anew."""
    folder = tmp_path / "index"
    built = Index.build([Benchmark("b", table(id=["1"], question=[LONG]))])
    built.save(folder)
    opened = Index.load(folder)
    for one in (built, opened):
        postings, lookup = one._postings, one._lookup  # pyright: ignore[reportPrivateUsage]
        assert not any(array.flags.writeable for array in (*postings, lookup.slots, lookup.pairs))
    array = opened._postings.grams  # pyright: ignore[reportPrivateUsage]
    while isinstance(array, np.ndarray):
        array = array.base
    assert isinstance(array, mmap.mmap)
    for name in ("slots", "pairs"):
        ours, theirs = (getattr(one._lookup, name) for one in (built, opened))  # pyright: ignore[reportPrivateUsage]
        assert np.array_equal(ours, theirs)


def test_an_item_twice_in_a_benchmark_is_named_twice(tmp_path: Path) -> None:
    index = Index.build([Benchmark("b", table(id=["1", "2"], question=[LONG, LONG.upper()]))])
    assert index.scan(pa.array([LONG]))["item"].to_pylist() == ["1", "2"]


def test_an_item_of_one_repeated_word_is_not_checkable() -> None:
    index = Index.build([Benchmark("b", table(id=["1", "2"], question=["lighthouse " * 500, LONG]))])
    assert index.not_checkable["item"].to_pylist() == ["1"]
    assert "too common" in index.not_checkable["reason"][0].as_py()
    assert index.scan(pa.array(["lighthouse " * 1000])).num_rows == 0


def test_more_n_grams_than_an_index_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decontam.lookup._MOST_GRAMS", 10)
    with pytest.raises(ValueError, match=r"n-grams, more than one index holds \(9\)"):
        Index.build([Benchmark("b", table(id=["1"], question=[LONG]))])


def test_an_index_of_nothing_is_refused() -> None:
    # It would call every text clean.
    with pytest.raises(ValueError, match="none given"):
        Index.build([])
    with pytest.raises(ValueError, match='"b": no items'):
        Benchmark("b", table(id=pa.array([], pa.string()), question=pa.array([], pa.string())))


def test_wrong_benchmarks_are_refused() -> None:
    with pytest.raises(ValueError, match='"b": no column "id"; found question'):
        Benchmark("b", table(question=["x"]))
    with pytest.raises(ValueError, match='neither a column "question" nor "context"'):
        Benchmark("b", table(id=["1"], prompt=["x"]))
    with pytest.raises(ValueError, match='id "1" occurs 2 times'):
        Benchmark("b", table(id=["1", "1"], question=["x", "y"]))
    with pytest.raises(ValueError, match="1 of 2 items have no id"):
        Benchmark("b", table(id=["1", None], question=["x", "y"]))
    with pytest.raises(ValueError, match='column "choices" is of type string'):
        Benchmark("b", table(id=["1"], question=["x"], choices=["y"]))
    with pytest.raises(ValueError, match="name is empty"):
        Benchmark("", table(id=["1"], question=["x"]))
    same = Benchmark("b", table(id=["1"], question=[LONG]))
    with pytest.raises(ValueError, match='name "b" is given 2 times'):
        Index.build([same, same])


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match='found "default2", expected one of afm, decon, default'):
        Index.build([Benchmark("b", table(id=["1"], question=[LONG]))], "default2")


def test_a_method_may_have_figures_of_its_own() -> None:
    strict = Method.named("default").model_copy(update={"min_score": 0.95})
    benchmark = Benchmark("b", table(id=["1"], question=[LONG]))
    words = LONG.split()
    changed = " ".join([*words[:9], "southern", *words[10:]])
    assert Index.build([benchmark]).scan(pa.array([changed])).num_rows == 1
    assert Index.build([benchmark], strict).scan(pa.array([changed])).num_rows == 0
