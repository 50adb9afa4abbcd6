"""Indexes of archives, and which of their entries a recipe selects: CDXJ, CDX, and Common Crawl's columnar Parquet.

CDXJ: `com,example)/path 20240518015810 {"url": ..., "filename": ..., "offset": ..., "length": ...}` as pywb and Common
Crawl write it, or one object a line as index servers answer (`output=json`). CDX: fields by the letters of the header
line (` CDX N b a m s k r M S V g`); without one, by their number. What an index lists and the recipe does not select is
no record of the source; a line or row that does not say where its record lies is one failure.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as json_reader
from pydantic import BaseModel, ConfigDict, Field

from pipelines import storage
from pipelines.document import canonical_json
from pipelines.sources.archive_list import is_name
from pipelines.sources.files import SourceError
from pipelines.sources.packed import open_unpacked

ENTRY_SCHEMA = pa.schema(
    [
        pa.field("url", pa.string()),
        pa.field("file", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("length", pa.int64()),
        pa.field("digest", pa.string()),
    ]
)
"""An entry: the page's address, its archive's name, where its record begins and how many bytes it has (stored)."""

MAX_LINE = 1 << 20

_CHOICE = {"mime": pa.string(), "status": pa.int64(), "languages": pa.string()}
_TEXT_SCHEMA = pa.schema([*ENTRY_SCHEMA, *(pa.field(name, kind) for name, kind in _CHOICE.items())])
_STRINGS = pa.schema(
    [
        pa.field(name, pa.string())
        for name in ("url", "filename", "offset", "length", "digest", "mime", "mime-detected", "status", "languages")
    ]
)
_KEY = re.compile(rb"(?m)^[^ \n{][^ \n]* [^ \n]* (?=\{)")
"""What stands before an entry's object: the sort key and the date."""
_BLOCK = 8 << 20
_ROWS = 65_536
_COLUMNS = {
    "url": ("url",),
    "file": ("warc_filename",),
    "offset": ("warc_record_offset",),
    "length": ("warc_record_length",),
    "digest": ("content_digest",),
    "mime": ("content_mime_detected", "content_mime_type"),
    "status": ("fetch_status",),
    "languages": ("content_languages",),
}
"""What we need -> Common Crawl's names of it; the first four must be there."""
_REVERSED = "url_host_name_reversed"
_LETTERS = {"a": "url", "g": "file", "V": "offset", "S": "length", "k": "digest", "m": "mime", "s": "status"}
_BY_COUNT = {11: "NbamskrMSVg", 10: "NbamskrMVg", 9: "NbamskrVg"}


class BadLine(Exception):
    """A line that does not say where a record lies."""


class Select(BaseModel):
    """Which entries of an index are read: those that fit every field that is given; an empty one fits all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hosts: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[^\s/:*]+$")], ...],
        Field(description='Hosts with all hosts below them: "example.org", or a suffix such as "ac.uk".'),
    ] = ()
    urls: Annotated[
        tuple[str, ...], Field(description='Patterns of whole addresses, as "https://*.wikipedia.org/wiki/*".')
    ] = ()
    mime: Annotated[tuple[str, ...], Field(description="Media types, the detected one where the index has it.")] = ()
    status: Annotated[tuple[int, ...], Field(description="HTTP statuses.")] = (200,)
    languages: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[a-z]{3}$")], ...],
        Field(description="ISO 639-3 codes; a page is selected by any of its languages."),
    ] = ()

    def expression(self, columns: dict[str, str]) -> Any:
        """The choice as an Arrow expression over the columns that hold each part; None: everything."""
        tests: list[Any] = []
        if self.hosts:
            names = "|".join(re.escape(host.strip(".").lower()) for host in self.hosts)
            pattern = rf"(?i)^[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?(?:[^/?#@:]*\.)?(?:{names})\.?(?::\d*)?(?:[/?#]|$)"
            tests.append(pc.match_substring_regex(pc.field(columns["url"]), pattern))
            if _REVERSED in columns and all(re.search(r"[^0-9.]", host) for host in self.hosts):
                # Says nothing more, but by its statistics row groups are passed over that hold no such host.
                tests.append(reduce(lambda one, other: one | other, map(_reversed_range, self.hosts)))
        if self.urls:
            pattern = "|".join(_glob(url) for url in self.urls)
            tests.append(pc.match_substring_regex(pc.field(columns["url"]), f"^(?:{pattern})$"))
        if self.mime:
            tests.append(pc.field(columns["mime"]).isin(list(self.mime)))
        if self.status:
            tests.append(pc.field(columns["status"]).cast(pa.int64()).isin(list(self.status)))
        if self.languages:
            pattern = rf"(?:^|[,\s])(?:{'|'.join(self.languages)})(?:[,\s]|$)"
            tests.append(pc.match_substring_regex(pc.field(columns["languages"]), pattern))
        return reduce(lambda one, other: one & other, tests) if tests else None

    def needs(self) -> list[str]:
        """The parts of an entry that the choice asks about."""
        return [name for name in _CHOICE if getattr(self, name)]


@dataclass(frozen=True, slots=True)
class Problem:
    """A place of an index that names no record: its number there (from 1), its bytes, a reason, what was found."""

    where: str
    content: bytes
    reason: str
    detail: str


def read_index(path: Path, select: Select) -> Iterator[pa.Table | Problem]:
    """The selected entries of an index as tables of ENTRY_SCHEMA, and its problems, in the index's order.

    Raises:
        FileNotFoundError: there is no such file.
        SourceError: it is Parquet without the columns that are needed.
    """
    with storage.open_read(path) as stream:
        head = stream.read(4)
    yield from _read_columns(path, select) if head == b"PAR1" else _read_text(path, select)


def _read_columns(path: Path, select: Select) -> Iterator[pa.Table | Problem]:
    damaged = (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError)
    try:
        names = storage.read_schema(path).names
        columns = {
            part: found
            for part, known in _COLUMNS.items()
            if (found := next((name for name in known if name in names), None)) is not None
        }
        if missing := [
            _COLUMNS[part][0] for part in ("url", "file", "offset", "length", *select.needs()) if part not in columns
        ]:
            raise SourceError(
                f"{path}: no column {', '.join(missing)} among {', '.join(names[:40])}; expected Common Crawl's "
                "columnar index (cc-index/table/cc-main/warc), or leave out what is selected by it"
            )
        if _REVERSED in names:
            columns[_REVERSED] = _REVERSED
        wanted = [part for part in ENTRY_SCHEMA.names if part in columns]
        count = 0
        for batch in storage.rows_where([path], select.expression(columns), [columns[part] for part in wanted], _ROWS):
            table = pa.Table.from_batches([batch]).rename_columns(wanted)
            for part in ENTRY_SCHEMA.names:
                if part not in wanted:
                    table = table.append_column(part, pa.nulls(len(table), pa.string()))
            table = table.select(ENTRY_SCHEMA.names).cast(ENTRY_SCHEMA)
            good = _good(table)
            yield table.filter(good)
            if not pc.all(good).as_py():
                for row in table.filter(pc.invert(good)).to_pylist():
                    count += 1
                    said = canonical_json(row)
                    yield Problem(
                        f"row~{count}", said.encode(), "bad-index-line", f"no place of a record: {said[:300]}"
                    )
    except damaged as error:
        if isinstance(error, FileNotFoundError):
            raise
        yield Problem("damage", b"", "damaged-index", str(error)[:300])


def _good(table: pa.Table) -> pa.ChunkedArray:
    """Which rows say where a record lies."""
    placed = pc.and_(pc.greater_equal(table["offset"], 0), pc.greater(table["length"], 0))
    return pc.fill_null(pc.and_(_named(table), placed), False)


def _named(table: pa.Table) -> pa.ChunkedArray:
    """Which rows name a file as `is_name` demands: relative, no scheme, no ".."."""
    name = pc.match_substring_regex(table["file"], r"(?s)^[^/:\x00][^:/\x00]*(?:/[^\x00]*)?$")
    climbs = pc.match_substring_regex(table["file"], r"(?:^|/)\.\.(?:/|$)")
    return pc.fill_null(pc.and_(name, pc.invert(climbs)), False)


def _read_text(path: Path, select: Select) -> Iterator[pa.Table | Problem]:
    chosen = select.expression({name: name for name in _TEXT_SCHEMA.names})
    letters: str | None = None
    delimiter = " "
    number = 0
    with open_unpacked(path) as (reader, content):
        for block in _blocks(reader):
            if number == 0 and block[1:5] == b"CDX ":
                header, _, block = block.partition(b"\n")
                delimiter = chr(header[0])
                letters = "".join(header[5:].decode("ascii", "replace").split())
                number = 1
            table = _objects(block) if letters is None else None
            if table is None:
                table, problems = _lines(block, number, letters, delimiter)
                yield from problems
            yield (table if chosen is None else table.filter(chosen)).select(ENTRY_SCHEMA.names)
            number += block.count(b"\n")
        if content.damage is not None:
            yield Problem("damage", b"", "damaged-index", f"byte {content.damage.offset}: {content.damage.detail}")


def _blocks(reader: io.BufferedReader[Any]) -> Iterator[bytes]:
    """A stream in pieces of whole lines; of a line longer than MAX_LINE so much that this shows."""
    while block := reader.read(_BLOCK):
        if not block.endswith(b"\n"):
            block += reader.readline(MAX_LINE + 1)
            if not block.endswith(b"\n"):
                while (more := reader.readline(MAX_LINE)) and not more.endswith(b"\n"):
                    pass
                block += b"\n"
        yield block


def _objects(block: bytes) -> pa.Table | None:
    """Lines of CDXJ as a table, by Arrow; None where one of them is anything but an entry as Common Crawl writes it."""
    if b"\n\n" in block or block.startswith(b"\n"):
        return None
    options = json_reader.ParseOptions(explicit_schema=_STRINGS, unexpected_field_behavior="ignore")
    try:
        found = json_reader.read_json(io.BytesIO(_KEY.sub(b"", block)), parse_options=options).combine_chunks()
        found.validate(full=True)
    except pa.ArrowInvalid:
        return None
    if found.num_rows != block.count(b"\n"):
        return None
    numbers = {
        name: pc.if_else(pc.match_substring_regex(found[name], r"^\d{1,18}$"), found[name], None).cast(pa.int64())
        for name in ("offset", "length", "status")
    }
    detected = found["mime-detected"]
    table = pa.table(
        {
            "url": found["url"],
            "file": found["filename"],
            "offset": numbers["offset"],
            "length": pc.if_else(pc.equal(numbers["length"], 0), None, numbers["length"]),
            "digest": found["digest"],
            "mime": pc.if_else(pc.fill_null(pc.equal(detected, ""), True), found["mime"], detected),
            "status": numbers["status"],
            "languages": found["languages"],
        },
        _TEXT_SCHEMA,
    )
    return table if pc.all(_named(table)).as_py() and not numbers["offset"].null_count else None


def _lines(block: bytes, before: int, letters: str | None, delimiter: str) -> tuple[pa.Table, list[Problem]]:
    """Lines one by one; `before`: how many came before them."""
    rows: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for number, line in enumerate(block.split(b"\n"), before + 1):
        try:
            if len(line) > MAX_LINE:
                line = line[:1000]
                raise BadLine(f"longer than {MAX_LINE} bytes")
            text = line.decode("utf-8", "replace").rstrip("\r")
            if text.strip() and not text.startswith("!"):  # comments of pywb's
                rows.append(_entry(text, letters, delimiter))
        except BadLine as error:
            problems.append(Problem(f"line={number}", line.rstrip(b"\r"), "bad-index-line", str(error)))
    return pa.Table.from_pylist(rows, _TEXT_SCHEMA), problems


def _entry(text: str, letters: str | None, delimiter: str) -> dict[str, Any]:
    """One line. Raises BadLine."""
    parts = text.split(delimiter, 2)
    said = text if text.startswith("{") else parts[2] if len(parts) == 3 and parts[2].startswith("{") else None
    if said is not None:
        try:
            fields: Any = json.loads(said)
        except (ValueError, RecursionError) as error:
            raise BadLine(f"not JSON: {error}; {text[:100]!r}") from error
        if not isinstance(fields, dict):
            raise BadLine(f"expected an object, found {said[:60]!r}")
        found: dict[str, Any] = {**fields, "file": fields.get("filename")}
        found["mime"] = fields.get("mime-detected") or fields.get("mime")
    else:
        values = text.strip(delimiter).split(delimiter)
        order = letters or _BY_COUNT.get(len(values))
        if order is None or len(order) != len(values):
            expected = str(len(order)) if order else "9, 10 or 11"
            raise BadLine(f"{len(values)} fields, expected {expected} or JSON: {text[:100]!r}")
        if "V" not in order:
            order = order.replace("v", "V")
        found = {_LETTERS[letter]: value for letter, value in zip(order, values, strict=True) if letter in _LETTERS}
    name = found.get("file")
    if not isinstance(name, str) or not is_name(name) or name != _text(name):  # a lone surrogate names no file
        raise BadLine(f"the archive's name is {name!r}, expected one below the base: {text[:100]!r}")
    offset = _number(found.get("offset"))
    if offset is None:
        raise BadLine(f"the offset is {found.get('offset')!r}, expected a number: {text[:100]!r}")
    return {
        "url": _text(found.get("url")),
        "file": name,
        "offset": offset,
        "length": _number(found.get("length")) or None,
        "digest": _text(found.get("digest")),
        "mime": _text(found.get("mime")),
        "status": _number(found.get("status")),
        "languages": _text(found.get("languages")),
    }


def _number(value: Any) -> int | None:
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdecimal() and len(value) < 19 else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62 else None


def _text(value: Any) -> str | None:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _glob(pattern: str) -> str:
    return "".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)


def _reversed_range(host: str) -> Any:
    """A host and those below it by their reversed names: "org.example", and from "org.example." to before its end."""
    name = ".".join(reversed(host.strip(".").lower().split(".")))
    column = pc.field(_REVERSED)
    return (column == name) | ((column >= f"{name}.") & (column < f"{name}/"))
