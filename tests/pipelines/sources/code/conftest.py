"""Trees made for a test from the standard library's own sources."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from dulwich import porcelain
from identify.vendor.licenses import LICENSES

from pipelines.sources.code import CodeSource
from pipelines.sources.record import Failure, Outcome, Record, Refusal, Unit

Files = Mapping[str, bytes]
MakeRepository = Callable[[Path, Files], str]
TEXTS = dict(LICENSES)
WHO = b"A <a@example.org>"


@pytest.fixture(scope="session")
def library() -> dict[str, bytes]:
    """Real files: the json package of this Python, with a licence."""
    folder = Path(json.__file__).parent
    files = {f"json/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.py"))}
    return {"LICENSE": TEXTS["MIT"].encode(), "README.md": b"# JSON\n\nReads and writes JSON.\n", **files}


def write(folder: Path, files: Files) -> Path:
    """Put files into a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def commit(folder: Path, files: Files, message: bytes = b"a") -> str:
    """Commit files to the repository in a folder, made where there is none; return the commit's name."""
    if not (folder / ".git").exists():
        folder.mkdir(parents=True, exist_ok=True)
        porcelain.init(str(folder))
    write(folder, files)
    porcelain.add(str(folder))
    return porcelain.commit(
        str(folder), message, author=WHO, committer=WHO, commit_timestamp=0, author_timestamp=0
    ).decode()


def read(source: CodeSource) -> list[Outcome]:
    """All outcomes of a source."""
    return [outcome for unit in source.units() for outcome in source.read(unit)]


def read_units(source: CodeSource, units: list[Unit]) -> list[Outcome]:
    """The outcomes of some units."""
    return [outcome for unit in units for outcome in source.read(unit)]


def source(**fields: object) -> CodeSource:
    """A source called "code"."""
    return CodeSource.model_validate({"name": "code", **fields})


def reasons(outcomes: list[Outcome]) -> dict[str, str]:
    """The last part of each address -> "kept" or the reason."""
    return {
        outcome.uri.partition("//")[2].partition("/")[2] or outcome.uri: "kept"
        if isinstance(outcome, Record)
        else f"failed {outcome.reason}"
        if isinstance(outcome, Failure)
        else outcome.reason
        for outcome in outcomes
    }


def refused(outcomes: list[Outcome], reason: str) -> Refusal:
    """The one refusal with a reason."""
    (found,) = [one for one in outcomes if isinstance(one, Refusal) and one.reason == reason]
    return found


def without_git(folder: Path, target: Path) -> Path:
    """A copy of a working repository without its repository."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns(".git"))
    return target
