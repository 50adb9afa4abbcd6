"""The runs of an index on disk: few, merged, made anew where there are none, and the same answers whatever they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dedup import DedupConfig, Index, IndexRefusedError
from dedup.segments import read_manifest

Table = Callable[..., pa.Table]
CONFIG = DedupConfig(threshold=0.5, bands=16, rows=2, shingle=2)


def text_of(number: int, changed: int = 0) -> str:
    """Ten words that no other number has; `changed` of them are other ones."""
    return " ".join(f"w{number}x{word}{'other' if word < changed else ''}" for word in range(10))


def some(numbers: list[int], changed: int = 0, prefix: str = "d") -> pa.Table:
    ids = pa.array([f"{prefix}{number}" for number in numbers], pa.string())
    return pa.table({"id": ids, "text": pa.array([text_of(number, changed) for number in numbers], pa.string())})


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sets(st.integers(0, 40), min_size=1, max_size=12)),
        st.tuples(st.just("remove"), st.sets(st.integers(0, 40), min_size=1, max_size=6)),
        st.tuples(st.just("compact"), st.just(set[int]())),
        st.tuples(st.just("open"), st.just(set[int]())),
    ),
    max_size=10,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_answers_are_those_of_a_fresh_index(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, set[int]]]
) -> None:
    folder = tmp_path_factory.mktemp("grown")
    index = Index.create(folder / "index", CONFIG)
    living: list[int] = []  # in order of addition
    for step, numbers in steps:
        if step == "add":
            answer = index.add(some(sorted(numbers)))
            assert answer["keep"].to_pylist() == [number not in living for number in sorted(numbers)]
            living += [number for number in sorted(numbers) if number not in living]
        elif step == "remove":
            assert index.remove(f"d{number}" for number in numbers) == len(numbers & {*living})
            living = [number for number in living if number not in numbers]
        elif step == "compact":
            index.compact()
        else:
            index = Index.open(folder / "index")
    fresh = Index.create(folder / "fresh", CONFIG)
    fresh.add(some(living))
    unsorted = without_runs(folder / "index", folder / "before")
    asked = pa.concat_tables([some(list(range(42)), changed, f"q{changed}-") for changed in (0, 1, 2, 9)])
    for one in (index, Index.open(folder / "index"), unsorted):
        assert len(one) == len(fresh) == len(living)
        assert one.query(asked).equals(fresh.query(asked))
        assert one.matches(asked).equals(fresh.matches(asked))


def without_runs(folder: Path, copy: Path) -> Index:
    """The index as the format before had it."""
    shutil.copytree(folder, copy)
    for run in copy.glob("keys-*.run"):
        run.unlink()
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["runs"]
    manifest["format"] = "pomona-dedup-index-2"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return Index.open(copy)


def test_runs_are_few_and_no_file_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    index = Index.create(folder, CONFIG)
    for number in range(70):
        index.add(some([number]))
        runs = read_manifest(folder).runs
        assert len(runs) <= (number + 1).bit_length()
        assert sum(run.rows for run in runs) == sum(run.segments for run in runs) == number + 1
        assert {path.name for path in folder.glob("*.run")} == {run.name for run in runs}
        assert not list(folder.glob(".*.tmp"))
    assert not any(Index.open(folder).query(some(list(range(70)), 1, "q"))["keep"].to_pylist())


def test_an_index_of_the_format_before_is_read_and_gets_its_runs_when_it_changes(
    tmp_path: Path, documents: pa.Table
) -> None:
    index = Index.create(tmp_path / "now")
    for start in range(0, 24, 6):
        index.add(documents.slice(start, 6))
    index.note("an input", index.state_before(tmp_path / "now", "an input", index.config))
    index.add(documents.slice(24))
    before = without_runs(tmp_path / "now", tmp_path / "before")
    assert (len(before), before.digest) == (30, index.digest)
    assert not any(before.query(documents)["keep"].to_pylist())
    assert not list((tmp_path / "before").glob("*.run"))  # asking writes nothing
    state = Index.state_before(tmp_path / "before", "an input", index.config)
    for removed in (1, 0):
        then = Index.open(tmp_path / "before", state=state)
        assert then.query(documents)["keep"].to_pylist() == [False] * 24 + [True] * 6
        assert before.remove(["page-3"]) == removed
        assert sum(run.segments for run in read_manifest(tmp_path / "before").runs) == 5
    assert Index.open(tmp_path / "before").query(documents)["keep"].to_pylist().count(True) == 1


def test_who_opened_an_index_before_its_runs_were_merged_is_answered_as_then(
    tmp_path: Path, documents: pa.Table
) -> None:
    writer = Index.create(tmp_path / "index")
    writer.add(documents.slice(0, 10))
    asked, not_asked = Index.open(tmp_path / "index"), Index.open(tmp_path / "index")
    expected = [False] * 10 + [True] * 20
    assert asked.query(documents)["keep"].to_pylist() == expected
    writer.add(documents.slice(10, 15))
    assert not (tmp_path / "index" / "keys-000000.run").exists()
    assert asked.query(documents)["keep"].to_pylist() == expected
    assert not_asked.query(documents)["keep"].to_pylist() == expected
    late = Index.open(tmp_path / "index")
    writer.add(documents)
    writer.compact()
    with pytest.raises(IndexRefusedError, match="compacted since it was opened; open it again"):
        late.query(documents)
    assert asked.query(documents.slice(20))["keep"].to_pylist() == [True] * 10
