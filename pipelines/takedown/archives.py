"""WARC files of a run's own crawl without what was taken down: each record becomes one of the same length that says so.

Nothing else moves: every other record keeps its bytes and its offset, by which ledgers, manifests and readers know it.
The record that takes its place is of type `metadata`, which describes others and is no page (ISO 28500:2017, 6.6).
"""

from __future__ import annotations

import shutil
import struct
import uuid
import zlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.crawl.folder import MANIFEST, PAGES
from pipelines.document import canonical_json
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA
from pipelines.report.folder import BATCH_ROWS
from pipelines.sources.archive import ArchiveRecord, read_archive
from pipelines.storage import (
    PARQUET,
    atomic,
    exists,
    local_copy,
    read_batches,
    read_json,
    sha256,
    write_json,
    write_part,
)
from pipelines.takedown.guard import REASON
from pipelines.takedown.journal import Staging

ANSWERS = ("response", "resource", "conversion", "revisit")
"""Types of records that hold what a site answered."""
_HEAD, _TAIL = 10, 8
_STORED = 65_535
"""Bytes of a stored block of deflate at most; each has five before it."""


class ArchiveFault(Exception):
    """A record cannot be written over; the message says where, and why."""


@dataclass(frozen=True)
class Struck:
    """Records of one WARC file that hold what is taken down; digests of the file before and after (dry runs: "")."""

    path: str
    records: int
    bytes: int
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class _Place:
    offset: int
    length: int
    uri: str


def own(run: Path, crawls: Mapping[str, Path]) -> dict[str, Path]:
    """Return the crawls that lie in a run's folder, by source; others are input, and other runs may read them."""
    return {name: place for name, place in crawls.items() if place.is_relative_to(run) and exists(place / MANIFEST)}


def found(folder: Path, uris: Collection[str]) -> list[Struck]:
    """Say which files of a crawl hold answers of these addresses."""
    told: list[Struck] = []
    for file in read_json(folder / MANIFEST)["files"]:
        if places := _places(folder / file["path"], uris):
            told.append(Struck(str(folder / file["path"]), len(places), sum(one.length for one in places)))
    return told


def strike(folder: Path, uris: Collection[str], version: int, evidence: str, staging: Staging) -> list[Struck]:
    """Write a crawl's files, its ledger and crawl.json without the answers of these addresses, beside the run.

    The pages are `taken-down` in the crawl's ledger, so that a later build's sums close.
    """
    manifest = read_json(folder / MANIFEST)
    told: list[Struck] = []
    for number, file in enumerate(manifest["files"]):
        path = folder / file["path"]
        places = _places(path, uris)
        if not places:
            continue
        after = _overwritten(path, staging.place(path), places, version)
        told.append(Struck(str(path), len(places), sum(one.length for one in places), file["sha256"], after))
        entry = {**file, "sha256": after}
        if file["path"].startswith(f"{PAGES}/"):
            known = {int(one["offset"]): one for one in file.get("withdrawn", [])}
            for one in places:
                known[one.offset] = {"offset": one.offset, "uri": one.uri, "reason": REASON}
            entry["withdrawn"] = [known[offset] for offset in sorted(known)]
        manifest["files"][number] = entry
    if not told:
        return []
    path = folder / manifest["ledger"]["path"]
    counts: Counter[str] = Counter()
    made = write_part(staging.place(path), _ledger(path, uris, evidence, counts), LEDGER_SCHEMA, PARQUET)
    manifest["ledger"] = {**manifest["ledger"], "sha256": made.sha256}
    gone = counts[REASON]
    manifest["kept"] -= gone
    manifest["dropped"] = {**manifest["dropped"], REASON: manifest["dropped"].get(REASON, 0) + gone}
    manifest["takedowns"] = [*manifest.get("takedowns", []), version]
    write_json(staging.place(folder / MANIFEST), manifest)
    return told


def _places(path: Path, uris: Collection[str]) -> list[_Place]:
    """Return where the answers of these addresses lie in a file, as stored."""
    with local_copy(path) as file, file.open("rb") as stream:
        items = list(read_archive(stream, 0))
        ends = [item.offset for item in items[1:]] + [file.stat().st_size]
    return [
        _Place(item.offset, end - item.offset, item.uri)
        for item, end in zip(items, ends, strict=True)
        if isinstance(item, ArchiveRecord) and item.kind in ANSWERS and item.uri in uris
    ]


def _overwritten(path: Path, target: Path, places: list[_Place], version: int) -> str:
    """Write a file again with records of it struck; return its digest."""
    with local_copy(path) as file, atomic(target) as temporary:
        shutil.copyfile(file, temporary)
        with temporary.open("r+b") as stream:
            for place in places:
                stream.seek(place.offset)
                if stream.read(2) != b"\x1f\x8b":
                    raise ArchiveFault(f"{path}: the record at byte {place.offset} is no gzip member of its own")
                stream.seek(place.offset)
                stream.write(notice(place.length, f"{path.name}#{place.offset}", version))
    return sha256(target)


def notice(length: int, name: str, version: int) -> bytes:
    """Return a gzip member of exactly `length` bytes with a record that says a text was taken down.

    `name` gives it its id. Spaces fill it, in blocks that are stored as they are; what is left fills gzip's extra field
    (RFC 1952, 2.3.1.1). Raises ArchiveFault where it is too short for any record.
    """
    said = f"taken down; mixtures from version {version} on are without it\r\n".encode()
    for blank in range(max(0, length - len(_record(name, said, 0))), -1, -1):
        size = len(_record(name, said, 0)) + blank + len(str(len(said) + blank)) - len(str(len(said)))
        left = length - (_HEAD + 5 * -(-size // _STORED) + size + _TAIL)
        if left == 0 or left >= 2:
            content = _record(name, said, blank)
            return _member(content, _stored(content), bytes(max(left - 2, 0)), extra=left > 0)
    content = _record(name, b"", 0)
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packed.compress(content) + packed.flush()
    left = length - (_HEAD + len(body) + _TAIL)
    if left < 2:
        raise ArchiveFault(f"{name}: {length} bytes are too few for a record in its place")
    return _member(content, body, bytes(left - 2), extra=True)


def _record(name: str, said: bytes, blank: int) -> bytes:
    head = (
        "WARC/1.1\r\nWARC-Type: metadata\r\n"
        f"WARC-Record-ID: <urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}>\r\n"
        "WARC-Date: 1970-01-01T00:00:00Z\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {len(said) + blank}\r\n\r\n"
    )
    return head.encode() + said + b" " * blank + b"\r\n\r\n"


def _stored(content: bytes) -> bytes:
    """Return content as stored blocks of deflate (RFC 1951, 3.2.4)."""
    parts: list[bytes] = []
    for start in range(0, len(content), _STORED):
        some = content[start : start + _STORED]
        last = start + _STORED >= len(content)
        parts.append(struct.pack("<BHH", last, len(some), len(some) ^ 0xFFFF) + some)
    return b"".join(parts)


def _member(content: bytes, deflated: bytes, filler: bytes, *, extra: bool = False) -> bytes:
    field = struct.pack("<H", len(filler)) + filler if extra else b""
    head = bytes([0x1F, 0x8B, 8, 4 if extra else 0, 0, 0, 0, 0, 0, 255])
    return head + field + deflated + struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)


def _ledger(path: Path, uris: Collection[str], evidence: str, counts: Counter[str]) -> Any:
    """Yield a crawl's ledger with its pages of these addresses dropped."""
    wanted = pa.array(sorted(uris), pa.string())
    for table in read_batches(path, BATCH_ROWS):
        rows = table.cast(LEDGER_SCHEMA)
        mine = pc.and_(pc.is_in(rows["uri"], value_set=wanted), pc.equal(rows["verdict"], KEPT))
        counts[REASON] += int(pc.sum(mine).as_py() or 0)
        for name, value in (("verdict", DROPPED), ("reason", REASON), ("evidence", evidence)):
            at = rows.schema.get_field_index(name)
            field = rows.schema.field(name)
            rows = rows.set_column(at, field, pc.if_else(mine, pa.scalar(value, field.type), rows[name]))
        yield rows


def evidence_of(version: int, by: Collection[str]) -> str:
    """Return what a crawl's ledger says of the pages."""
    return canonical_json({"version": version, "by": sorted(by)})
