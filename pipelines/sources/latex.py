r"""LaTeX sources: single files, folders, archives of one paper, and arXiv's archives of many.

One document is one record: a file that opens a document, with what it puts in by `\input` from the same folder or
archive. It becomes text in the extraction step (`pipelines/extract/latex.py`).
"""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from pipelines import storage
from pipelines.document import canonical_json
from pipelines.sources.files import UNIT_BYTES, Found, digests, files_of, find, grouped, shown_name
from pipelines.sources.latex_project import SUFFIXES, Project, decode
from pipelines.sources.packed import Unpacked, open_unpacked, packing_of
from pipelines.sources.record import Failure, Outcome, Record, Refusal, Unit
from pipelines.sources.source import Location, SourceFields
from pipelines.sources.tar_member import BoundedMember

MAX_PAPER_BYTES = 20_000_000
_ARCHIVES = (".tar", ".tgz", ".gz")
_PACKED = (".gz", ".tgz", ".tar")
_OTHERS = ((b"%PDF", "pdf-only"), (b"%!PS", "not-tex"), (b"<!DOCTYPE", "not-tex"), (b"<html", "not-tex"))


class LatexSource(SourceFields):
    """`*.tex` files; `*.tar`, `*.tar.gz`, `*.tgz` of one paper; `*.gz` of one file; arXiv's `*.tar` of many `*.gz`."""

    type: Literal["latex"] = "latex"
    paths: Annotated[tuple[Location, ...], Field(min_length=1, description="Files, folders or patterns.")]
    license: Annotated[str | None, Field(description="SPDX licence of all documents, where one is known.")] = None
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", description="The documents' kind.")] = "math"
    max_record_bytes: Annotated[int, Field(ge=1, description="Largest document: its sources unpacked.")] = (
        MAX_PAPER_BYTES
    )
    split_bytes: Annotated[int, Field(ge=1, description="Stored bytes that one worker reads, about.")] = UNIT_BYTES

    def units(self) -> list[Unit]:
        """Archives, small ones together; the loose files of each path are one unit, since they put in one another.

        Raises:
            FileNotFoundError: a path leads to no file.
        """
        loose: list[Unit] = []
        archives: list[Found] = []
        for file_or_folder in self.paths:
            found = find([file_or_folder], (*SUFFIXES, *_ARCHIVES), f"sources.{self.name}.paths")
            files = [file for file in found if file.name.lower().endswith(SUFFIXES)]
            archives += [file for file in found if file not in files]
            if files:
                loose.append(_loose(file_or_folder, files, [unit.name for unit in loose]))
        return [*loose, *grouped(_renamed(archives), self.split_bytes)]

    def read(self, unit: Unit) -> Iterator[Outcome]:
        """The documents of one unit, by path."""
        if unit.payload.startswith("{"):
            yield from self._loose_files(unit)
            return
        for file in files_of(unit.payload):
            with open_unpacked(file.path) as (reader, content):
                yield from self._told(file.name, reader, content)

    def _loose_files(self, unit: Unit) -> Iterator[Outcome]:
        files: dict[str, bytes] = {}
        for path, name in json.loads(unit.payload)["files"]:
            data = storage.read_bytes(storage.at(path))
            if len(data) > self.max_record_bytes:
                evidence = {"file": name, "bytes": len(data), "limit": self.max_record_bytes}
                yield Failure(f"{unit.name}#{name}", b"", "too-large", evidence)
            else:
                files[name] = data
        yield from self._project(unit.name, files, loose=True)

    def _told(self, name: str, reader: Any, content: Unpacked) -> Iterator[Outcome]:
        """What is in a file; and that its compression is damaged, unless it has failed as a whole."""
        failed = False
        for outcome in self._content(name, reader, reader.peek(512)[:512]):
            failed |= isinstance(outcome, Failure) and outcome.uri == name
            yield outcome
        if content.damage is not None and not failed:
            evidence = {"file": name, "offset": content.damage.offset, "detail": content.damage.detail}
            yield Failure(f"{name}#damage", b"", "damaged-file", evidence)

    def _content(self, name: str, stream: Any, head: bytes) -> Iterator[Outcome]:
        """What is in a file, its compression undone: an archive, or one source file."""
        if _is_tar(head):
            yield from self._archive(name, stream)
            return
        data = stream.read(self.max_record_bytes + 1)
        if len(data) > self.max_record_bytes:
            yield Failure(name, b"", "too-large", {"file": name, "limit": self.max_record_bytes})
            return
        for begin, reason in _OTHERS:
            if data[:64].lstrip().startswith(begin):
                yield Refusal(name, data, reason, {"file": name, "begins": begin.decode()})
                return
        if data.strip():
            yield from self._project(name, {posixpath.basename(name).rsplit(".", 1)[0] + ".tex": data})

    def _archive(self, name: str, stream: Any) -> Iterator[Outcome]:
        """An archive: of one paper's files, or of papers that are archives themselves, or both."""
        files: dict[str, bytes] = {}
        left = self.max_record_bytes
        held_back: list[Outcome] = []
        papers = 0
        damage = ""
        try:
            tail = _Tail(stream)
            with tarfile.open(fileobj=cast(Any, tail), mode="r|", tarinfo=BoundedMember) as archive:
                for member in archive:
                    if not member.isfile():
                        continue
                    path = posixpath.normpath(shown_name(member.name))
                    lower = path.lower()
                    if lower.endswith(SUFFIXES):
                        data = _member(archive, member, left)
                        if data is None:
                            yield Failure(name, b"", "too-large", {"file": name, "limit": self.max_record_bytes})
                            return
                        left -= len(data)
                        files[path] = data
                    elif lower.endswith(_PACKED):
                        papers += 1
                        yield from self._paper(f"{name}/{path}", archive, member)
                    elif lower.endswith(".pdf"):
                        refusal = Refusal(f"{name}/{path}", path.encode(), "pdf-only", {"file": name})
                        held_back.append(refusal)
            if not tail.ended:
                damage = "the archive ends without the mark of its end: it is cut off"
        except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError) as error:
            if isinstance(error, OSError) and not isinstance(error, tarfile.TarError) and error.errno is not None:
                raise  # the file system's own, not the archive's
            damage = str(error) or type(error).__name__
        if papers:
            yield from held_back  # beside papers a PDF is one; in a paper it is a figure
        if damage:
            # What a cut archive still has may lack a part of every document in it.
            yield Failure(name, b"", "damaged-file", {"file": name, "detail": damage[:300], "files": len(files)})
        elif files or not papers:
            yield from self._project(name, files)

    def _paper(self, name: str, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[Outcome]:
        """One of many papers in an archive."""
        data = _member(archive, member, self.max_record_bytes)
        if data is None:
            yield Failure(name, b"", "too-large", {"bytes": member.size, "limit": self.max_record_bytes})
            return
        packed = Unpacked(io.BytesIO(data))
        with io.BufferedReader(packed) as reader:
            yield from self._told(name, reader, packed)

    def _project(self, name: str, files: dict[str, bytes], *, loose: bool = False) -> Iterator[Outcome]:
        """The documents that some files make."""
        if not files:
            yield Refusal(name, b"", "not-tex", {"file": name, "detail": "no .tex file in the archive"})
            return
        project = Project({path: decode(data) for path, data in sorted(files.items())})
        mains = project.mains()
        whole = b"\0".join(data for _, data in sorted(files.items()))
        if not mains:
            evidence = {"file": name, "files": sorted(files)[:20], "detail": r"no file has \documentclass"}
            yield Failure(name, whole, "no-main-file", evidence)
        for main in mains:
            uri = f"{name}#{main}" if loose or len(mains) > 1 else name
            if files[main].lstrip().startswith(b"%auto-ignore"):
                yield Refusal(uri, files[main], "withdrawn", {"file": name})
                continue
            resolved = project.resolved(main, self.max_record_bytes)
            if resolved is None:
                yield Failure(uri, files[main], "too-large", {"file": name, "limit": self.max_record_bytes})
                continue
            facts: dict[str, Any] = {"file": name, "main": main}
            if resolved.missing:
                facts["missing_inputs"] = list(resolved.missing)[:50]
            content = resolved.text.encode()
            yield Record(uri, content, content, "application/x-tex", self.kind, self.license, metadata=facts)


def _loose(path: Path, files: list[Found], taken: list[str]) -> Unit:
    name = path.name or str(path)
    again = taken.count(name) + sum(other.startswith(f"{name}~") for other in taken)
    name = f"{name}~{again + 1}" if again else name
    found = digests(files)
    covered = canonical_json([[file.name, digest] for file, (digest, _) in zip(files, found, strict=True)])
    payload = canonical_json({"files": [[str(file.path), file.name] for file in files]})
    digest = hashlib.sha256(covered.encode()).hexdigest()
    return Unit(name, digest, sum(size for _, size in found), payload)


def _renamed(files: list[Found]) -> list[Found]:
    """Archives of one name under several paths, told apart by a number."""
    seen: dict[str, int] = {}
    named: list[Found] = []
    for file in files:
        seen[file.name] = seen.get(file.name, 0) + 1
        named.append(file if seen[file.name] == 1 else Found(file.path, f"{file.name}~{seen[file.name]}"))
    return named


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo, most: int) -> bytes | None:
    if member.size > most:
        return None
    stream = archive.extractfile(member)
    return b"" if stream is None else stream.read()


class _Tail:
    """A tar file's bytes for tarfile, which takes an archive cut off between two members for a whole one."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._last = b""

    def read(self, size: int) -> bytes:
        """The next bytes."""
        data: bytes = self._stream.read(size)
        self._last = data[-512:] or self._last
        return data

    @property
    def ended(self) -> bool:
        """Whether the last block read is one of the zeros that end an archive."""
        return len(self._last) == 512 and not self._last.strip(b"\0")


def _is_tar(head: bytes) -> bool:
    """Whether content begins with the header of a tar file, old or new."""
    if len(head) < 512 or packing_of(head) is not None:
        return False
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True
