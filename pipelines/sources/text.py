"""Plain text as a source: a file a document, or many documents in a file, between blank lines or marker lines."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO, Literal, Self, cast

from pydantic import Field, field_validator, model_validator

from pipelines import storage
from pipelines.document import canonical_json
from pipelines.extract.encoding import web_encoding
from pipelines.sources.archive_input import Damage
from pipelines.sources.files import UNIT_BYTES, Found, digests, files_of, find, grouped
from pipelines.sources.lines import line_spans, lines_between
from pipelines.sources.packed import is_packed_name, open_unpacked, read_all
from pipelines.sources.record import Failure, Outcome, Record, Unit
from pipelines.sources.source import Location, SourceFields

SUFFIXES = (".txt", ".text", ".md", ".markdown", ".rst")
MAX_BYTES = 50_000_000


class TextSource(SourceFields):
    """Text files, compressed (.gz .zst .xz .bz2) or not.

    `split`: "file" (a file a document), "blank-lines" (documents between empty lines) or "marker" (documents between
    lines that are `marker` and nothing else).
    """

    type: Literal["text"] = "text"
    paths: Annotated[tuple[Location, ...], Field(min_length=1, description="Files, folders or patterns.")]
    suffixes: Annotated[tuple[str, ...], Field(description="Ends of names of the files taken from folders.")] = SUFFIXES
    split: Annotated[Literal["file", "blank-lines", "marker"], Field(description="What a document is.")] = "file"
    marker: Annotated[str | None, Field(min_length=1, description='The line between documents, such as "<|end|>".')] = (
        None
    )
    encoding: Annotated[str, Field(description="Encoding of files without a byte order mark.")] = "utf-8"
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", description="The documents' kind.")] = "text"
    license: Annotated[str | None, Field(description="SPDX licence of all texts, where one is known.")] = None
    max_record_bytes: Annotated[int, Field(ge=1, description="Longest document.")] = MAX_BYTES
    split_bytes: Annotated[int, Field(ge=1, description="Stored bytes that one worker reads, about.")] = UNIT_BYTES

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        if web_encoding(encoding) is None:
            raise ValueError(f"no encoding is called {encoding!r}; expected a name such as utf-8, latin-1 or gb18030")
        return encoding

    @model_validator(mode="after")
    def _splits(self) -> Self:
        if (self.split == "marker") != (self.marker is not None):
            raise ValueError(
                "split: marker needs the field 'marker', the line between documents; other splits take none"
            )
        if self.split != "file" and (web_encoding(self.encoding) or "").startswith(("utf-16", "utf-32")):
            raise ValueError(f"a file in {self.encoding} cannot be split by lines; convert it to UTF-8 first")
        return self

    def units(self) -> list[Unit]:
        """Small files together, or parts of large ones that are split.

        Raises:
            FileNotFoundError: a path leads to no file.
        """
        files = find(self.paths, self.suffixes, f"sources.{self.name}.paths")
        if self.split == "file":
            return grouped(files, self.split_bytes)
        made: list[Unit] = []
        for file, (digest, size) in zip(files, digests(files), strict=True):
            cut = [(0, size)]
            if not is_packed_name(file.name):
                cut = line_spans(file.path, size, self.split_bytes, self._ends)
            for start, end in cut:
                whole = len(cut) == 1
                covered = digest if whole else hashlib.sha256(canonical_json([digest, start, end]).encode()).hexdigest()
                place = {"path": str(file.path), "name": file.name, "start": start, "end": None if whole else end}
                name = file.name if whole else f"{file.name}@{start}"
                made.append(Unit(name, covered, end - start, canonical_json(place)))
        return made

    def read(self, unit: Unit) -> Iterator[Outcome]:
        """The documents of one unit, by file and then by place."""
        if self.split == "file":
            for file in files_of(unit.payload):
                yield self._whole(file)
            return
        place: dict[str, Any] = json.loads(unit.payload)
        path, name, start = storage.at(place["path"]), str(place["name"]), int(place["start"])
        if start:
            with storage.open_read(path) as stream:
                stream.seek(start)
                yield from self._between(stream, name, start, place["end"])
            return
        with open_unpacked(path) as (reader, content):
            yield from self._between(reader, name, 0, place["end"])
            if place["end"] is None and content.damage is not None:
                yield _damaged(name, content.damage)

    def _whole(self, file: Found) -> Outcome:
        data, more, damage = read_all(file.path, self.max_record_bytes)
        if damage is not None and not more:
            return _damaged(file.name, damage)
        return self._outcome(file.name, data, None if more else len(data), {"file": file.name})

    def _between(
        self, stream: BinaryIO | io.BufferedReader, name: str, start: int, end: int | None
    ) -> Iterator[Outcome]:
        """The documents of some lines; what is between them is no record."""
        lines: list[bytes] = []
        began = length = 0

        def document() -> Iterator[Outcome]:
            if length:
                size: int | None = length
                data = b""
                if length <= self.max_record_bytes:
                    data = b"".join(lines).rstrip(b"\r\n")
                else:
                    size = None
                yield self._outcome(f"{name}#offset={began}", data, size, {"file": name, "offset": began})

        for offset, line, size in lines_between(cast(BinaryIO, stream), start, end, self.max_record_bytes):
            if line is not None and self._ends(line):
                yield from document()
                lines, length = [], 0
                continue
            if not length and line is not None and not line.strip():
                continue  # before the first line of a document
            if not length:
                began = offset
            length += size
            if line is None or length > self.max_record_bytes:
                length, lines = max(length, self.max_record_bytes + 1), []
            else:
                lines.append(line)
        yield from document()

    def _ends(self, line: bytes) -> bool:
        """Whether a line stands between documents."""
        if self.marker is None:
            return not line.strip()
        return line.strip() == self.marker.strip().encode(web_encoding(self.encoding) or "utf-8", "replace")

    def _outcome(self, uri: str, data: bytes, size: int | None, place: dict[str, Any]) -> Outcome:
        """A document; `size` is None where it is too long."""
        if size is None:
            return Failure(uri, b"", "too-large", {**place, "limit": self.max_record_bytes})
        kind = f"text/plain; charset={self.encoding}"
        return Record(uri, data, data, kind, self.kind, self.license, metadata=place)


def _damaged(name: str, damage: Damage) -> Failure:
    evidence = {"file": name, "offset": damage.offset, "detail": damage.detail}
    return Failure(f"{name}#damage", b"", "damaged-file", evidence)
