from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dedup import DedupConfig, Index, IndexRefusedError, deduplicate, index_rows
from dedup.segments import Part

Table = Callable[..., pa.Table]


@pytest.fixture
def documents(pages: list[str], table: Table) -> pa.Table:
    return table([" ".join(page.split()) for page in pages[:30]], [f"page-{i}" for i in range(30)])


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


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    Index.create(tmp_path / "index", DedupConfig(seed=1))
    with pytest.raises(IndexRefusedError, match=r"another configuration \(threshold 0.7, asked 0.8, seed 1, asked 0\)"):
        Index.open(tmp_path / "index", DedupConfig(threshold=0.8))
    with pytest.raises(IndexRefusedError, match="there already"):
        Index.create(tmp_path / "index")


def test_what_is_no_whole_index_is_refused(tmp_path: Path, documents: pa.Table) -> None:
    with pytest.raises(IndexRefusedError, match="nothing is there"):
        Index.open(tmp_path / "nowhere")
    half = tmp_path / "half"
    half.mkdir()
    (half / "segment-000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(IndexRefusedError, match="half-written"):
        Index.open(half)
    with pytest.raises(IndexRefusedError, match="not an empty folder"):
        Index.create(half)

    folder = tmp_path / "index"
    Index.create(folder).add(documents)
    segment = folder / "segment-000000.parquet"
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-100])
    with pytest.raises(IndexRefusedError, match=f"{len(whole) - 100} bytes long, expected {len(whole)}"):
        Index.open(folder)
    near = documents.set_column(1, "text", pa.array([text + " more" for text in documents["text"].to_pylist()]))
    middle = len(whole) // 2
    segment.write_bytes(
        whole[:middle] + bytes(byte ^ 0xFF for byte in whole[middle : middle + 64]) + whole[middle + 64 :]
    )
    with pytest.raises(IndexRefusedError, match="damaged"):
        Index.open(folder).query(near)
    segment.unlink()
    with pytest.raises(IndexRefusedError, match="missing"):
        Index.open(folder)
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace("pomona-dedup-index-2", "pomona-dedup-index-0"))
    with pytest.raises(IndexRefusedError, match="format 'pomona-dedup-index-0'"):
        Index.open(folder)
    manifest.write_text("{")
    with pytest.raises(IndexRefusedError, match="not a manifest"):
        Index.open(folder)


def test_other_hashing_code_is_refused(tmp_path: Path) -> None:
    Index.create(tmp_path / "index")
    manifest = tmp_path / "index" / "manifest.json"
    text = manifest.read_text()
    start = text.index('"probe": "') + len('"probe": "')
    manifest.write_text(text[:start] + "0" * 32 + text[start + 32 :])
    with pytest.raises(IndexRefusedError, match="splits or hashes words differently"):
        Index.open(tmp_path / "index")


def test_a_killed_add_leaves_the_index_as_it_was(tmp_path: Path, documents: pa.Table) -> None:
    folder = tmp_path / "index"
    Index.create(folder).add(documents.slice(0, 10))
    code = """
        import os, signal, sys
        import pyarrow as pa
        import dedup.segments, dedup.index
        def die(folder, manifest):
            os.kill(os.getpid(), signal.SIGKILL)
        dedup.index.write_manifest = die  # after the segment, before the manifest
        text = [f"document number {i} of several that nobody has seen before" for i in range(3)]
        dedup.index.Index.open(sys.argv[1]).add(pa.table({"id": ["a", "b", "c"], "text": text}))
    """
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(folder)], cwd=root, env=environment, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert (folder / "segment-000001.parquet").exists()
    index = Index.open(folder)
    assert len(index) == 10
    assert index.add(documents)["keep"].to_pylist() == [False] * 10 + [True] * 20  # takes over the orphan's name
    assert len(Index.open(folder)) == 30


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


def test_a_compaction_killed_before_its_manifest_leaves_the_index(tmp_path: Path, documents: pa.Table) -> None:
    folder = tmp_path / "index"
    index = Index.create(folder)
    index.add(documents.slice(0, 10))
    index.add(documents.slice(10))
    code = """
        import os, signal, sys
        import dedup.index
        dedup.index.write_manifest = lambda folder, manifest: os.kill(os.getpid(), signal.SIGKILL)
        dedup.index.Index.open(sys.argv[1]).compact()
    """
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(folder)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert len(Index.open(folder)) == 30
    assert not any(Index.open(folder).query(documents)["keep"].to_pylist())
    Index.open(folder).compact()
    assert len(Index.open(folder)) == 30


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


def test_an_index_refuses_what_it_cannot_tell(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="edit_similarity: an index stores neither texts nor URLs"):
        Index.create(tmp_path / "index", DedupConfig(edit_similarity=0.8))
    with pytest.raises(ValueError, match="url: an index stores"):
        Index.create(tmp_path / "index", DedupConfig(url="best"))


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


class Read:
    """Counts what is read of segments."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows = 0
        read = index_rows.read_keys

        def counted(folder: Path, part: Part) -> pa.Table:
            self.rows += part.rows
            return read(folder, part)

        monkeypatch.setattr(index_rows, "read_keys", counted)


def test_adding_reads_only_what_is_new(tmp_path: Path, documents: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Read(monkeypatch)
    index = Index.create(tmp_path / "index")
    for row in range(30):
        index.add(documents.slice(row, 1))
    assert not any(index.query(documents)["keep"].to_pylist())
    assert reads.rows == 30
    opened = Index.open(tmp_path / "index")
    assert (len(opened), opened.digest) == (30, index.digest)
    assert reads.rows == 30  # neither its length nor its digest reads a segment
    assert not any(opened.query(documents)["keep"].to_pylist())
    assert reads.rows == 60
    index.remove(["page-2"])
    assert index.query(documents)["keep"].to_pylist().count(True) == 1
    assert reads.rows == 60


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
