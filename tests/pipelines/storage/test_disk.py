"""Files exist whole or not at all, and equal tables have equal bytes; what a disk that refuses is answered with."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines import storage
from pipelines.storage import space


def test_equal_tables_have_equal_bytes_however_chunked(tmp_path: Path) -> None:
    whole = pa.table({"id": [str(n) for n in range(40_000)], "value": list(range(40_000))})
    chunked = pa.concat_tables([whole.slice(0, 1), whole.slice(1, 20_000), whole.slice(20_001)])
    first = storage.write_parquet(tmp_path / "a.parquet", whole)
    second = storage.write_parquet(tmp_path / "b.parquet", chunked)
    assert first.sha256 == second.sha256


def test_a_full_disk_is_named_with_the_file_and_what_is_free(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
import pyarrow as pa
from pipelines import storage
storage.write_json(Path(sys.argv[1]) / "small.json", {"kept": 1})
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
table = pa.table({"id": [f"{number * 7919:x}" for number in range(50_000)]})
for write in (
    lambda: storage.write_parquet(Path(sys.argv[1]) / "part-00000.parquet", table),
    lambda: storage.write_bytes(Path(sys.argv[1]) / "large", bytes(20_000)),
):
    try:
        write()
    except storage.StorageFull as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line, name in zip(lines, ("part-00000.parquet", "large"), strict=True):
        assert line.startswith(f"{tmp_path / name}: no room to write (File too large); ")
        assert "bytes are free there. Make room or choose another place" in line
    assert [path.name for path in tmp_path.iterdir()] == ["small.json"]


def test_no_space_is_answered_as_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(storage.StorageFull, match=r"a: no room to write \(No space left on device\); [\d,]+ bytes"):
        storage.write_bytes(tmp_path / "a", b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder that this process may not write to, root or not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65_534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


def test_a_read_only_folder_is_refused_before_anything_starts(read_only: Path) -> None:
    for folder in (read_only, read_only / "runs" / "new"):
        with pytest.raises(storage.NotWritable, match=r"cannot write there \(Permission denied\); nothing was started"):
            storage.check_writable(folder)
    assert list(read_only.iterdir()) == []


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(storage.NotWritable, match=r"run: cannot write there \(File exists\)"):
        storage.check_writable(tmp_path / "run")


def test_a_missing_source_is_not_published(tmp_path: Path) -> None:
    storage.write_bytes(tmp_path / "old", b"old")
    with pytest.raises(FileNotFoundError):
        storage.publish(tmp_path / "missing", tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == b"old"


def test_local_files_are_read_in_place(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    with storage.local_copy(path) as copy:
        assert copy is path
    storage.publish(path, tmp_path / "b")
    assert (tmp_path / "b").stat().st_ino == path.stat().st_ino


def test_what_a_killed_process_left_on_its_way_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POMONA_SCRATCH", str(tmp_path))
    code = (
        "import sys; from pipelines.storage.space import passing_folder\n"
        "with passing_folder() as folder:\n"
        "    (folder / 'half').write_text('half'); print(folder, flush=True); sys.stdin.read()"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        folders = [Path(process.stdout.readline().strip()) for process in started if process.stdout is not None]
        started[0].kill()
        started[0].wait()
        monkeypatch.setattr(space, "_held", {})  # as a process that begins
        with space.passing_folder() as ours:
            assert ours.is_dir()
            assert not folders[0].exists()
            assert (folders[1] / "half").exists()
    finally:
        for process in started:
            process.kill()
            process.communicate()
