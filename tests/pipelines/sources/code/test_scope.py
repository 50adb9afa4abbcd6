from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.sources.code.scope import is_licence_file
from pipelines.sources.record import Record

from .conftest import TEXTS, read, refused, source, write

CODE = b"x = 1\n"
MIT, APACHE, GPL = (TEXTS[name].encode() for name in ("MIT", "Apache-2.0", "GPL-3.0"))


def licences(folder: Path, **fields: object) -> dict[str, str | None]:
    """Path -> licence of what is kept, None of what is refused for it."""
    found: dict[str, str | None] = {}
    for one in read(source(paths=[str(folder)], **fields)):
        if isinstance(one, Record):
            found[one.metadata["path"]] = one.license
        elif one.reason == "licence-not-permissive":
            found[one.evidence["path"]] = None
    return found


def test_the_nearest_statement_holds(tmp_path: Path) -> None:
    files = {
        "LICENSE": MIT,
        "a.py": CODE,
        "deep/er/a.py": CODE,
        "gnu/COPYING": GPL,
        "gnu/a.py": CODE,
        "gnu/sub/a.py": CODE,
        "gnu/sub/own/LICENSE.txt": APACHE,
        "gnu/sub/own/a.py": CODE,
        "gnu/z.py": b"# SPDX-License-Identifier: ISC\n" + CODE,
        "z.py": b"# SPDX-License-Identifier: GPL-2.0-only\n" + CODE,
        "zz/a.py": CODE,
    }
    assert licences(write(tmp_path, files)) == {
        "a.py": "MIT", "deep/er/a.py": "MIT", "gnu/a.py": None, "gnu/sub/a.py": None, "gnu/sub/own/a.py": "Apache-2.0",
        "gnu/z.py": "ISC", "z.py": None, "zz/a.py": "MIT",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("files", "licence"),
    [
        ({"LICENSE": MIT, "pyproject.toml": b'[project]\nlicense = "MIT OR Apache-2.0"\n'}, "MIT OR Apache-2.0"),
        ({"LICENSE-MIT": MIT, "LICENSE-APACHE": APACHE, "Cargo.toml": b'[package]\nlicense = "MIT OR Apache-2.0"\n'},
         "MIT OR Apache-2.0"),
        ({"LICENSE-MIT": MIT, "LICENSE-APACHE": APACHE}, "Apache-2.0 AND MIT"),
        ({"LICENSE": GPL, "package.json": b'{"license": "MIT"}'}, None),
        ({"LICENSE": TEXTS["BSD-2-Clause"].encode(), "setup.cfg": b"[metadata]\nlicense = BSD\n"}, "BSD-2-Clause"),
        ({"LICENSE": MIT, "package.json": b'{"license": "SEE LICENSE IN LICENSE"}'}, "MIT"),
        ({"LICENSE": MIT, "package.json": b"{damaged"}, "MIT"),
        ({"LICENSES/MIT.txt": MIT}, "MIT"),
        ({"COPYING.md": APACHE}, "Apache-2.0"),
        ({"UNLICENSE": TEXTS["Unlicense"].encode()}, "Unlicense"),
        ({"LICENSE": b"Licensed under the Apache License, Version 2.0. See elsewhere.\n"}, "Apache-2.0"),
        ({"LICENSE": b"You may look at this and nothing else.\n"}, None),
        ({"LICENSE": MIT + b"\nThe Software shall be used for Good, not Evil.\n"}, None),
        ({"license.py": MIT}, None),
        ({"LICENSE": MIT, "licenses/__init__.py": CODE}, "MIT"),
        ({}, None),
    ],
)  # fmt: skip
def test_what_a_folder_states(files: dict[str, bytes], licence: str | None, tmp_path: Path) -> None:
    assert licences(write(tmp_path, {**files, "src/a.py": CODE}))["src/a.py"] == licence


def test_a_refusal_says_what_was_stated_and_where(tmp_path: Path) -> None:
    write(tmp_path, {"sub/COPYING": GPL, "sub/a.py": CODE})
    found = refused(read(source(paths=[str(tmp_path)])), "licence-not-permissive")
    assert found.evidence["license"] == "GPL-3.0-only"
    assert found.evidence["license_stated"] == "the licence file's text"
    assert found.evidence["license_file"] == "sub/COPYING"
    assert found.content == CODE


def test_the_recipe_s_licence_and_list(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": CODE, "sub/COPYING": GPL, "sub/a.py": CODE})
    assert licences(tmp_path, license="mit") == {"a.py": "MIT", "sub/a.py": None}
    assert licences(tmp_path, license="GPL-3.0-only", permissive=["GPL-3.0-only"]) == {
        "a.py": "GPL-3.0-only", "sub/a.py": "GPL-3.0-only",
    }  # fmt: skip
    (tmp_path / "LICENSE").write_bytes(b"Ask me.\n")
    assert licences(tmp_path, license="mit")["a.py"] == "MIT"
    (tmp_path / "LICENSE").write_bytes(GPL)
    assert licences(tmp_path, license="mit")["a.py"] is None
    (tmp_path / "LICENSE").unlink()
    assert licences(tmp_path, permissive=["MIT"]) == {"a.py": None, "sub/a.py": None}


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("LICENSE", True), ("LICENCE.txt", True), ("license.md", True), ("COPYING.LESSER", True), ("UNLICENSE", True),
        ("LICENSE-MIT", True), ("MIT-LICENSE", True), ("third-party-licenses.txt", True), ("OFL.txt", True),
        ("license.go", False), ("licensing.py", False), ("test_license.py", False), ("README", False),
    ],
)  # fmt: skip
def test_names(name: str, is_one: bool) -> None:
    assert is_licence_file(name) is is_one
