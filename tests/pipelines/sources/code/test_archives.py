from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.sources.code.archive_tree import open_archive
from pipelines.sources.code.tree import parts_of, walk
from pipelines.sources.record import Failure, Outcome, Record, Refusal

from .conftest import TEXTS, Files, read, reasons, source

Pack = Callable[[Files], bytes]


def tar(files: Files, extra: list[tarfile.TarInfo] | None = None, form: int = tarfile.PAX_FORMAT) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra or []:
            archive.addfile(info)
    return target.getvalue()


def zipped(files: Files) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def zstd(data: bytes) -> bytes:
    target = pa.BufferOutputStream()
    with pa.CompressedOutputStream(target, "zstd") as stream:
        stream.write(data)
    return target.getvalue().to_pybytes()


KINDS: dict[str, Pack] = {
    "a.zip": zipped,
    "a.tar": tar,
    "a.tar.gz": lambda files: gzip.compress(tar(files), mtime=0),
    "a.tar.bz2": lambda files: bz2.compress(tar(files)),
    "a.tar.xz": lambda files: lzma.compress(tar(files)),
    "a.tar.zst": lambda files: zstd(tar(files)),
}


def outcomes_of(tmp_path: Path, name: str, data: bytes, **fields: object) -> list[Outcome]:
    (tmp_path / name).write_bytes(data)
    return read(source(paths=[str(tmp_path / name)], **fields))


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_gives_the_same_files(name: str, library: Files, tmp_path: Path) -> None:
    packed = {f"project-1.0/{path}": content for path, content in library.items()}
    outcomes = outcomes_of(tmp_path, name, KINDS[name](packed))
    assert reasons(outcomes) == {
        f"project-1.0/{path}": "licence-file" if path == "LICENSE" else "kept" for path in library
    }
    assert {one.content for one in outcomes if isinstance(one, Record)} == {
        content for path, content in library.items() if path != "LICENSE"
    }
    record = next(one for one in outcomes if isinstance(one, Record))
    assert (record.license, record.metadata["archive"]) == ("MIT", name)
    assert record.metadata["license_file"] == "project-1.0/LICENSE"


def test_what_it_is_is_told_by_its_bytes(library: Files, tmp_path: Path) -> None:
    outcomes = outcomes_of(tmp_path, "a.zip", KINDS["a.tar.xz"](library))
    assert set(reasons(outcomes)) == set(library)
    (failure,) = outcomes_of(tmp_path, "b.zip", b"<html>not found</html>" * 100)
    assert isinstance(failure, Failure)
    assert failure.reason == "damaged-archive"
    assert "neither a zip nor a tar" in failure.evidence["detail"]
    (failure,) = outcomes_of(tmp_path, "c.tar.gz", b"")
    assert isinstance(failure, Failure)


def test_a_wheel_and_a_source_distribution(library: Files, tmp_path: Path) -> None:
    info = b"Metadata-Version: 2.4\nName: Json_Pkg\nVersion: 2.0\nLicense-Expression: Apache-2.0\n"
    wheel = {
        **{path: content for path, content in library.items() if path.startswith("json/")},
        "json_pkg-2.0.dist-info/METADATA": info,
        "json_pkg-2.0.dist-info/licenses/LICENSE": TEXTS["Apache-2.0"].encode(),
    }
    outcomes = outcomes_of(tmp_path, "Json_Pkg-2.0-py3-none-any.whl", zipped(wheel))
    kept = [one for one in outcomes if isinstance(one, Record)]
    assert {one.license for one in kept} == {"Apache-2.0"}
    assert kept[0].uri == "pypi://json-pkg/2.0/json/__init__.py"
    assert len(kept) == len(library) - 2
    sdist = {f"json_pkg-2.0/{path}": content for path, content in library.items() if path != "LICENSE"}
    sdist["json_pkg-2.0/PKG-INFO"] = info
    outcomes = outcomes_of(tmp_path, "json_pkg-2.0.tar.gz", KINDS["a.tar.gz"](sdist))
    assert {one.license for one in outcomes if isinstance(one, Record)} == {"Apache-2.0"}


@pytest.mark.parametrize("pack", [zipped, tar])
@pytest.mark.parametrize("name", ["../up.py", "/etc/up.py", "a/../../up.py", "C:/up.py"])
def test_names_that_lead_outside(pack: Pack, name: str, library: Files, tmp_path: Path) -> None:
    outcomes = outcomes_of(tmp_path, "a.zip", pack({**library, name: b"x = 1\n"}))
    (failure,) = [one for one in outcomes if isinstance(one, Failure)]
    assert failure.reason == "unsafe-path"
    assert "up.py" in failure.evidence["detail"]
    assert len(outcomes) == len(library) + 1


def test_links_and_devices_are_named(library: Files, tmp_path: Path) -> None:
    link, hard, device = (tarfile.TarInfo(name) for name in ("link.py", "hard.py", "null.py"))
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    hard.type, hard.linkname = tarfile.LNKTYPE, "README.md"
    device.type = tarfile.CHRTYPE
    found = reasons(outcomes_of(tmp_path, "a.tar", tar(library, [link, hard, device])))
    assert (found["link.py"], found["hard.py"], found["null.py"]) == ("symbolic-link", "special-file", "special-file")
    target = io.BytesIO(zipped(library))
    with zipfile.ZipFile(target, "a") as archive:
        info = zipfile.ZipInfo("link.py")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert reasons(outcomes_of(tmp_path, "a.zip", target.getvalue()))["link.py"] == "symbolic-link"


def test_the_same_name_twice(tmp_path: Path) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("a.py", "x = 1\n")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.py", "x = 2\n")
    outcomes = outcomes_of(tmp_path, "a.zip", target.getvalue(), license="MIT")
    assert [(one.uri, one.content) for one in outcomes] == [
        ("code://a.zip/a.py", b"x = 1\n"), ("code://a.zip/a.py~2", b"x = 2\n"),
    ]  # fmt: skip


def test_bombs_cost_what_the_limits_say(library: Files, tmp_path: Path) -> None:
    bomb = {**library, "zeros.py": bytes(50_000_000)}
    for name in ("a.zip", "a.tar.gz"):
        assert reasons(outcomes_of(tmp_path, name, KINDS[name](bomb)))["zeros.py"] == "huge-file"
    outcomes = outcomes_of(tmp_path, "b.tar.gz", KINDS["a.tar.gz"](bomb), max_unpacked_bytes=1_000_000)
    failures = [one for one in outcomes if isinstance(one, Failure)]
    assert [one.reason for one in failures] == ["unpacked-limit"]
    assert set(reasons(outcomes)) >= set(library)


def test_a_size_that_lies(library: Files, tmp_path: Path) -> None:
    """The list of members says 10 bytes, and the data has a million and a half."""
    data = bytearray(zipped({"LICENSE": library["LICENSE"], "liar.py": b"x = 1\n" * 250_000}))
    entry = data.rindex(b"liar.py") - 46
    assert data[entry : entry + 4] == b"PK\x01\x02"
    data[entry + 24 : entry + 28] = (10).to_bytes(4, "little")
    found = reasons(outcomes_of(tmp_path, "a.zip", bytes(data)))
    assert found["liar.py"] in ("failed damaged-archive", "huge-file")


def test_an_encrypted_member(library: Files, tmp_path: Path) -> None:
    data = bytearray(zipped(library))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(signature, data.index(b"README.md") - 50 if signature == b"PK\x03\x04" else 0)
        while data[at : at + 4] == signature and b"README.md" not in data[at : at + 60]:
            at = data.index(signature, at + 1)
        data[at + flags] |= 1
    found = reasons(outcomes_of(tmp_path, "a.zip", bytes(data)))
    assert found["README.md"] == "failed encrypted-member"
    assert found["json/decoder.py"] == "kept"


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tar.bz2", "a.tar.xz", "a.tar", "a.tar.zst"])
def test_cut_off_archives_give_what_came_before(name: str, library: Files, tmp_path: Path) -> None:
    first = {"LICENSE": library["LICENSE"], **{f"a{number}.py": b"x = %d\n" % number for number in range(40)}}
    whole = KINDS[name]({**first, **{f"z{number}.py": bytes([number]) * 90_000 for number in range(30)}})
    for part in (0.3, 0.6, 0.95):
        outcomes = outcomes_of(tmp_path, f"{part}{name}", whole[: int(len(whole) * part)])
        assert any(isinstance(one, Failure) and one.reason == "damaged-archive" for one in outcomes)
        assert len({one.uri for one in outcomes}) == len(outcomes)
    if name not in ("a.tar.bz2", "a.tar.zst"):  # their blocks are as large as this archive
        assert sum(isinstance(one, Record) for one in outcomes) == 40


def test_a_header_as_long_as_it_likes_is_not_read(library: Files, tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 500_000_000
    data = tar(library).rstrip(b"\0")
    data += bytes(-len(data) % 512) + info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    outcomes = outcomes_of(tmp_path, "a.tar", data)
    (failure,) = [one for one in outcomes if isinstance(one, Failure)]
    assert "a header of 500000000 bytes" in failure.evidence["detail"]
    assert len(outcomes) == len(library) + 1


NAMES = st.lists(
    st.sampled_from(["a", "b", "..", ".", "", "é", "\\", "a b", "x" * 120, "C:", "#?%", "LICENSE", "\udcff"]),
    min_size=1, max_size=5,
).map("/".join)  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(NAMES, st.binary(max_size=40)), max_size=8), st.booleans())
def test_every_member_is_one_outcome(tmp_path: Path, members: list[tuple[str, bytes]], as_zip: bool) -> None:
    target = io.BytesIO()
    if as_zip:
        members = [(name.replace("\udcff", "ÿ").replace("\\", "/"), content) for name, content in members]
        members = [(name, content) for name, content in members if not name.endswith("/") and name]
        with zipfile.ZipFile(target, "w") as archive:
            for name, content in members:
                archive.writestr(zipfile.ZipInfo(name), content)
    else:
        with tarfile.open(fileobj=target, mode="w", errors="surrogateescape", encoding="utf-8") as archive:
            for name, content in members:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    outcomes = outcomes_of(tmp_path, "a.zip", target.getvalue())
    assert len(outcomes) == max(1, len(members)), "an archive without any is told too"
    assert len({one.uri for one in outcomes}) == len(outcomes)
    assert all(one.uri.isascii() for one in outcomes)
    assert not any(".." in one.uri.split("/") for one in outcomes if not isinstance(one, Failure))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_damage_anywhere_is_answered(tmp_path: Path, library: Files, name: str, data: st.DataObject) -> None:
    small = {"LICENSE": library["LICENSE"], "a.py": library["json/scanner.py"], "b/c.py": b"x = 1\n"}
    whole = bytearray(KINDS[name](small))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    outcomes = outcomes_of(tmp_path, name, bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    assert all(isinstance(one, Record | Failure | Refusal) for one in outcomes)
    assert len({one.uri for one in outcomes}) == len(outcomes)


def test_paths() -> None:
    assert parts_of("./a//b/./c.py") == ("a", "b", "c.py")
    assert [parts_of(name) for name in ("", "/", "..", "a/..", "/a", "a\0b", "c:x", "/".join("a" * 300))] == [None] * 8


def test_many_folders_are_not_entered_by_a_part_that_does_not_need_them(tmp_path: Path) -> None:
    files = {f"d{folder:02}/f{number}.py": b"x = 1\n" * 20 for folder in range(20) for number in range(5)}
    (tmp_path / "a.zip").write_bytes(zipped(files))
    with open_archive(tmp_path / "a.zip", "a.zip", 1) as tree:
        entered: list[object] = []
        listed = tree.children
        tree.children = lambda folder: entered.append(folder) or listed(folder)  # type: ignore[method-assign]
        found = [parts for folder in walk(tree, ((1, "d07"), (0, "f2.py")), ((1, "d09"), (0, "f1.py")))
                 for parts, _, _ in folder.files(((1, "d07"), (0, "f2.py")), ((1, "d09"), (0, "f1.py")))]  # fmt: skip
    assert found == [("d07", f"f{n}.py") for n in (2, 3, 4)] + [("d08", f"f{n}.py") for n in range(5)] + [
        ("d09", "f0.py")
    ]
    assert entered == [None, ("d07",), ("d08",), ("d09",)]
