"""What an index refuses, and that a killed process leaves it as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pytest

from dedup import DedupConfig, Index, IndexRefusedError


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    Index.create(tmp_path / "index", DedupConfig(seed=1))
    with pytest.raises(IndexRefusedError, match=r"another configuration \(threshold 0.7, asked 0.8, seed 1, asked 0\)"):
        Index.open(tmp_path / "index", DedupConfig(threshold=0.8))
    with pytest.raises(IndexRefusedError, match="there already"):
        Index.create(tmp_path / "index")


def test_an_index_refuses_what_it_cannot_tell(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="edit_similarity: an index stores neither texts nor URLs"):
        Index.create(tmp_path / "index", DedupConfig(edit_similarity=0.8))
    with pytest.raises(ValueError, match="url: an index stores"):
        Index.create(tmp_path / "index", DedupConfig(url="best"))


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
    manifest.write_text(manifest.read_text().replace("pomona-dedup-index-3", "pomona-dedup-index-0"))
    with pytest.raises(IndexRefusedError, match="format 'pomona-dedup-index-0'"):
        Index.open(folder)
    manifest.write_text("{")
    with pytest.raises(IndexRefusedError, match="not a manifest"):
        Index.open(folder)


def test_damaged_runs_are_refused(tmp_path: Path, documents: pa.Table) -> None:
    folder = tmp_path / "index"
    Index.create(folder).add(documents)
    [run] = folder.glob("keys-*.run")
    whole = run.read_bytes()
    near = pa.array([text + " more" for text in documents["text"].to_pylist()])
    copies = pa.table({"id": [f"copy-{row}" for row in range(30)], "text": near})

    def write(content: bytes) -> None:
        run.unlink()  # what is mapped is left alone
        run.write_bytes(content)

    for place in (0, 16, 40, 60, 64 + 8 * 100, 64 + 8 * 30 * 14 + 4 * 100, len(whole) - 60):
        write(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(IndexRefusedError, match="damaged"):
            Index.open(folder).matches(copies)
        with pytest.raises(IndexRefusedError, match="damaged"):
            Index.open(folder).add(pa.table({"id": ["new"], "text": ["a text of ten words that is not there yet"]}))
    write(whole[:-8])
    with pytest.raises(IndexRefusedError, match=f"{len(whole) - 8} bytes long, expected {len(whole)}"):
        Index.open(folder)
    write(whole)
    assert not any(Index.open(folder).query(copies)["keep"].to_pylist())
    assert len(Index.open(folder)) == 30


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
    assert (folder / "keys-000001.run").exists()
    index = Index.open(folder)
    assert len(index) == 10
    assert index.add(documents)["keep"].to_pylist() == [False] * 10 + [True] * 20  # takes over the orphan's name
    assert len(Index.open(folder)) == 30


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
