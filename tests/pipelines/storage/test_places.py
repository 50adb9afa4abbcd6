"""Every function of storage does the same on this machine, in memory and on a real S3 server."""

from __future__ import annotations

import http.server
import os
import pickle
import sys
import threading
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from pipelines import storage
from pipelines.storage import s3 as s3_module

TABLE = pa.table({"id": [f"{n:05d}" for n in range(40_000)], "value": list(range(40_000))})


def test_what_is_written_is_read(place: Path) -> None:
    path = place / "steps" / "a.json"
    assert not storage.exists(path)
    assert storage.size(path) is None
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(path)
    storage.write_json(path, {"käse": 1})
    assert storage.read_json(path) == {"käse": 1}
    assert storage.exists(path)
    assert storage.size(path) == len(storage.read_bytes(path))
    assert storage.modified(path) > 0
    storage.write_json(path, {"again": 2})
    assert storage.read_json(path) == {"again": 2}
    storage.remove_file(path)
    storage.remove_file(path)
    assert not storage.exists(path)


def test_parts_have_the_same_bytes_and_digest_everywhere(place: Path, tmp_path: Path) -> None:
    here = storage.write_parquet(tmp_path / "documents" / "part-00000.parquet", TABLE)
    path = place / "documents" / "part-00000.parquet"
    there = storage.write_part(path, [TABLE.slice(0, 7), TABLE.slice(7)], TABLE.schema, storage.PARQUET)
    assert there == here
    assert storage.size(path) == here.bytes
    assert storage.sha256(path) == here.sha256
    assert storage.read_table(path) == TABLE
    assert storage.read_table(path, ["value"]) == TABLE.select(["value"])
    assert pa.concat_tables(storage.read_batches(path, 1000, ["id"])) == TABLE.select(["id"])
    assert max(table.num_rows for table in storage.read_batches(path, 1000)) == 1000
    assert storage.read_schema(path) == TABLE.schema


def test_rows_are_found_by_an_expression(place: Path) -> None:
    paths = [place / f"part-{n}.parquet" for n in range(2)]
    for path, table in zip(paths, (TABLE.slice(0, 20_000), TABLE.slice(20_000)), strict=True):
        storage.write_parquet(path, table)
    found = storage.rows_where(paths, ds.field("id").isin(["00007", "39999"]), ["value"])
    assert [row for batch in found for row in batch.to_pylist()] == [{"value": 7}, {"value": 39_999}]
    assert list(storage.rows_where([], ds.field("id") == "1")) == []


def test_an_interrupted_write_leaves_the_old_file(place: Path) -> None:
    path = place / "a.json"
    storage.write_json(path, {"old": 1})
    with pytest.raises(RuntimeError, match="cut off"), storage.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("cut off")
    assert storage.read_json(path) == {"old": 1}
    assert storage.children(place) == [path]


def test_files_are_published_to_and_from_every_place(place: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"text")
    storage.publish(source, place / "a")
    storage.publish(place / "a", place / "b")
    storage.write_bytes(place / "b", b"new")
    storage.publish(place / "a", place / "b")
    storage.publish(place / "b", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"text"
    with pytest.raises(FileNotFoundError):
        storage.publish(place / "missing", place / "c")
    assert storage.children(place) == [place / "a", place / "b"]


def test_a_folder_is_published_and_copied_back_without_a_listing(place: Path, tmp_path: Path) -> None:
    source = tmp_path / "index"
    source.mkdir()
    (source / "a.npy").write_bytes(b"a" * 10)
    (source / "manifest.json").write_bytes(b"{}")
    storage.publish_folder(source, place / "index")
    with storage.local_copy(place / "index") as folder:
        assert (folder / "a.npy").read_bytes() == b"a" * 10
        assert (folder / "manifest.json").read_bytes() == b"{}"
    with storage.local_copy(place / "index" / "a.npy") as file:
        assert file.read_bytes() == b"a" * 10
    if storage.is_remote(place):
        assert not folder.exists()
        with pytest.raises(FileNotFoundError, match="no such file"), storage.local_copy(place / "other"):
            pass


def test_a_removed_folder_is_gone_and_its_neighbour_is_not(place: Path) -> None:
    for path in (place / "a" / "_manifest.json", place / "a" / "deep" / "x", place / "ab" / "_manifest.json"):
        storage.write_bytes(path, b"x")
    storage.remove(place / "a")
    storage.remove(place / "never")
    assert not storage.exists(place / "a" / "_manifest.json")
    assert not storage.exists(place / "a" / "deep" / "x")
    assert storage.exists(place / "ab" / "_manifest.json")
    assert storage.children(place, "a") == [place / "ab"]


def test_damaged_json_is_named(place: Path) -> None:
    storage.write_bytes(place / "_manifest.json", b'{"step": ')
    with pytest.raises(ValueError, match=r"_manifest\.json: not valid JSON .* run again"):
        storage.read_json(place / "_manifest.json")


def test_a_folder_that_takes_files_passes_the_check(place: Path) -> None:
    storage.check_writable(place)
    assert storage.children(place) == []


def test_scratch_is_on_this_machine_and_the_same_for_every_process(place: Path) -> None:
    folder = storage.scratch(place, "dedup")
    assert not storage.is_remote(folder)
    assert storage.scratch(pickle.loads(pickle.dumps(place)), "dedup") == folder
    assert storage.scratch(place / "other", "dedup") != folder
    folder.mkdir(parents=True)
    storage.clear_scratch(place)
    assert not folder.exists()


def test_a_large_file_travels_in_parts(s3: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pipelines.storage.s3", "pipelines.storage.remote"):
        monkeypatch.setattr(sys.modules[module], "PIECE", 5 << 20)
    data = os.urandom((13 << 20) + 7)
    (tmp_path / "large").write_bytes(data)
    storage.publish(tmp_path / "large", s3 / "large")
    head = s3_module.connect().head(f"{s3.name or str(s3)[5:].strip('/')}/large")
    assert head is not None
    assert head.tag.endswith("-3")
    storage.publish(s3 / "large", s3 / "copy")
    storage.publish(s3 / "copy", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


def test_a_url_is_told_from_a_path() -> None:
    assert storage.at("runs/sample") == Path("runs/sample")
    assert storage.at("file:///var/runs") == Path("/var/runs")
    assert storage.at(Path("x")) == Path("x")
    assert str(storage.at("s3://bucket/runs/") / "a" / "part-00000.parquet") == "s3://bucket/runs/a/part-00000.parquet"
    path = storage.at("s3://bucket/runs/a")
    assert (path.name, str(path.parent), storage.at(path)) == ("a", "s3://bucket/runs", path)
    assert pickle.loads(pickle.dumps(path)) == path
    for wrong in ("s3:/bucket/runs", Path("s3://bucket/runs")):
        with pytest.raises(storage.StorageError, match="s3:"):
            storage.at(wrong)
    with pytest.raises(storage.StorageError, match="rubbish://x"):
        storage.at("rubbish://x")


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(storage.StorageError, match=r"needs the package s3fs; install it with .*'\.\[s3\]'"):
        storage.at("s3://bucket/x")


def test_http_is_read_and_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POMONA_SCRATCH", str(tmp_path / "scratch"))
    served = tmp_path / "served"
    storage.write_parquet(served / "documents" / "part-00000.parquet", TABLE)
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(served)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        folder = storage.at(f"http://127.0.0.1:{server.server_address[1]}/documents")
        path = folder / "part-00000.parquet"
        assert storage.read_table(path) == TABLE
        assert storage.read_schema(path) == TABLE.schema
        assert storage.size(path) == (served / "documents" / "part-00000.parquet").stat().st_size
        assert storage.size(folder / "missing") is None
        for write in (storage.check_writable, lambda place: storage.write_bytes(place / "x", b"x")):
            with pytest.raises(storage.StorageError, match="read only"):
                write(folder)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
