"""How an index changes: better copies, compaction, the state before an input, and what of it is read for that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dedup import Index, IndexRefusedError, index_rows, index_run_files, segments
from dedup.segments import Part

Table = Callable[..., pa.Table]


def test_a_better_copy_takes_the_place_of_an_indexed_one(tmp_path: Path, documents: pa.Table, table: Table) -> None:
    index = Index.create(tmp_path / "index")
    index.add(documents)
    text = documents["text"][7].as_py()
    better = table([text + " and a little more", text[:-20]], ["longer", "shorter"])
    done = index.replace(better)
    assert done.table["keep"].to_pylist() == [True, False]
    assert done.table["cluster"].to_pylist() == ["longer", "longer"]
    told = done.replaced.to_pylist()
    assert [(row["id"], row["cluster"], row["parent"]) for row in told] == [("page-7", "longer", "longer")]
    assert 0.7 <= told[0]["similarity"] < 1
    for opened in (index, Index.open(tmp_path / "index")):
        assert len(opened) == 30
        assert opened.query(table([text], ["again"]))["parent"].to_pylist() == ["longer"]
    # Worse ones, and equal ones, replace nothing; nor does a second try.
    again = index.replace(better)
    assert again.replaced.num_rows == 0
    assert len(index) == 30


def test_an_indexed_quality_is_remembered(tmp_path: Path, table: Table, pages: list[str]) -> None:
    index = Index.create(tmp_path / "index")
    page = " ".join(pages[4].split())
    index.add(table([page], ["good"], [0.9]))
    worse = index.replace(table([page + " longer but worse"], ["worse"], [0.5]))
    assert (worse.table["keep"].to_pylist(), worse.replaced.num_rows) == ([False], 0)
    better = index.replace(table([page + " best"], ["best"], [0.95]))
    assert better.replaced["id"].to_pylist() == ["good"]
    assert Index.open(tmp_path / "index").query(table([page], ["x"]))["cluster"].to_pylist() == ["best"]


def test_compacting_changes_no_answer(tmp_path: Path, documents: pa.Table, table: Table) -> None:
    folder = tmp_path / "index"
    index = Index.create(folder)
    for start in range(0, 30, 5):
        index.add(documents.slice(start, 5))
    index.remove([f"page-{number}" for number in range(0, 30, 3)])
    asked = documents.set_column(1, "text", pa.array([text + " more" for text in documents["text"].to_pylist()]))
    before = index.query(asked)
    assert index.compact() > 0
    assert index.query(asked).equals(before)
    assert Index.open(folder).query(asked).equals(before)
    assert len(list(folder.glob("*.parquet"))) == 1
    assert index.compact() == 0
    # Names are not used again, so that a crash between two manifests never overwrites a file that counts.
    assert index.add(documents)["keep"].to_pylist().count(True) == 10
    assert sorted(path.name for path in folder.glob("*.parquet")) == [
        "segment-000006.parquet",
        "segment-000007.parquet",
    ]
    everything = Index.create(tmp_path / "empty")
    everything.add(documents)
    everything.remove(documents["id"].to_pylist())
    everything.compact()
    assert len(Index.open(tmp_path / "empty")) == 0
    assert not list((tmp_path / "empty").glob("*.parquet"))


def test_an_index_can_be_asked_as_it_was_before_an_input(tmp_path: Path, documents: pa.Table) -> None:
    folder = tmp_path / "index"
    index = Index.create(folder)
    empty = Index.state_before(folder, "second", index.config)
    assert empty == Index.state_before(tmp_path / "none", "second", index.config)
    index.add(documents.slice(0, 10))
    state = Index.state_before(folder, "second", index.config)
    assert (state.segments, state.removals, state.digest) == (1, 0, index.digest)
    index.note("second", state)
    index.add(documents.slice(10))
    index.remove(["page-3"])
    assert Index.state_before(folder, "second", index.config) == state
    assert Index.state_before(folder, "third", index.config).digest == Index.open(folder).digest != state.digest
    before = Index.open(folder, state=state)
    assert len(before) == 10
    assert before.query(documents)["keep"].to_pylist() == [False] * 10 + [True] * 20
    for change in (lambda: before.add(documents), lambda: before.remove(["page-1"]), before.compact):
        with pytest.raises(IndexRefusedError, match="opened as it was before"):
            change()
    index.note("second", Index.state_before(folder, "other", index.config))  # it stays as it was noted first
    assert Index.state_before(folder, "second", index.config) == state
    index.compact()
    with pytest.raises(IndexRefusedError, match="compacted since this input was added"):
        Index.open(folder, state=state)
    assert len(Index.open(folder, state=empty)) == 0


def test_opening_reads_no_rows(tmp_path: Path, documents: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index.create(tmp_path / "index")
    for row in range(30):
        index.add(documents.slice(row, 1))
    read: list[str] = []

    def reading(name: str) -> None:
        function = getattr(segments, name)

        def noted(folder: Path, part: Part, *rest: Any) -> Any:
            read.append(part.name)
            return function(folder, part, *rest)

        for module in (index_rows, index_run_files):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, noted)

    for name in ("read_keys", "read_chosen", "read_rows"):
        reading(name)
    opened = Index.open(tmp_path / "index")
    assert (len(opened), opened.digest) == (30, index.digest)
    assert not opened.query(documents.slice(3, 1))["keep"][0].as_py()
    assert set(read) == {"segment-000003.parquet"}
    read.clear()
    other = documents.set_column(1, "text", pa.array([f"no {n} text like one there" for n in range(30)]))
    assert index.query(other.set_column(0, "id", pa.array([f"n{n}" for n in range(30)])))["keep"].to_pylist()[0]
    assert not read
    index.add(pa.table({"id": ["new"], "text": ["a text that is not there either, of ten words"]}))
    assert set(read) == {"segment-000030.parquet"}  # its keys are put among the others
