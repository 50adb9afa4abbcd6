"""Files exist whole or not at all, and equal tables have equal bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines import storage


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    storage.write_json(path, {"old": 1})
    with pytest.raises(RuntimeError, match="cut off"), storage.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("cut off")
    assert storage.read_json(path) == {"old": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_equal_tables_have_equal_bytes_however_chunked(tmp_path: Path) -> None:
    whole = pa.table({"id": [str(n) for n in range(40_000)], "value": list(range(40_000))})
    chunked = pa.concat_tables([whole.slice(0, 1), whole.slice(1, 20_000), whole.slice(20_001)])
    first = storage.write_parquet(tmp_path / "a.parquet", whole)
    second = storage.write_parquet(tmp_path / "b.parquet", chunked)
    assert first.sha256 == second.sha256


def test_a_second_writer_is_refused_with_the_holders_name(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pipelines.storage import lock\n"
        "with lock(Path(sys.argv[1]), 'pomona build first'):\n    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(storage.RunLocked, match=f"pomona build first, process {holder.pid}"),
            storage.lock(tmp_path, "second"),
        ):
            pass
    finally:
        holder.kill()
        holder.wait()
    with storage.lock(tmp_path, "third"):
        pass


def test_damaged_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"x\.json: not valid JSON"):
        storage.read_json(path)
