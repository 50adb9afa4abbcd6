"""Find records in a run's ledger by id or URL, and the nearest URLs when there is none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from pipelines import storage
from pipelines.report.folder import RunFolder, idea_of, read_batches

SUGGESTIONS = 5
CANDIDATES = 256
"""URIs compared in full with an unknown key, chosen by their letters first."""


class UnknownRecord(KeyError):
    """No record of the run has this id or URL; `nearest` holds URIs that look like it, best first."""

    def __init__(self, run: Path, key: str, nearest: Sequence[str]) -> None:
        """Tell which run was searched, for which key."""
        self.run, self.key, self.nearest = run, key, tuple(nearest)
        super().__init__(key)

    def __str__(self) -> str:
        near = "; nearest: " + ", ".join(self.nearest) if self.nearest else ""
        return f"{self.run}: no record has the id or URL {self.key!r}{near}"


def variants(url: str) -> list[str]:
    """Return the other spellings under which a URL may have been recorded, the nearest first, itself left out."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return []
    if not parts.scheme or not parts.netloc:
        return []
    host = (parts.hostname or "").lower()
    if port is not None and port != {"http": 80, "https": 443}.get(parts.scheme):
        host = f"{host}:{port}"
    path = parts.path or "/"
    other = path[:-1] if path.endswith("/") else path + "/"
    schemes = [parts.scheme] + [
        name for name in ("https", "http") if parts.scheme in ("http", "https") and name != parts.scheme
    ]
    spellings = [
        urlunsplit((scheme, netloc, spelt, parts.query, fragment))
        for scheme in schemes
        for fragment in dict.fromkeys((parts.fragment, ""))
        for spelt in (parts.path, path, other)
        for netloc in dict.fromkeys((parts.netloc, host))
    ]
    return [spelling for spelling in dict.fromkeys(spellings) if spelling != url]


def nearest(ledger: Sequence[Path], key: str) -> list[str]:
    """Return recorded URIs that look like a key: those with nearly its letters, then ranked by difflib's ratio."""
    wanted = _letters(pa.array([key]))[0]
    found: dict[str, int] = {}
    for path in ledger:
        for batch in read_batches(path, ("uri",)):
            uris = pc.unique(batch["uri"])
            distance = np.abs(_letters(uris) - wanted).sum(axis=1)
            best = np.argsort(distance, kind="stable")[:CANDIDATES]
            found |= {uris[at].as_py(): int(distance[at]) for at in best.tolist()}
        found = dict(sorted(found.items(), key=lambda item: (item[1], item[0]))[:CANDIDATES])
    return difflib.get_close_matches(key, list(found), n=SUGGESTIONS, cutoff=0.5)


def _letters(texts: pa.Array[Any]) -> NDArray[np.int32]:
    """Count the bytes of each text in 64 buckets: texts k edits apart differ by at most 2k."""
    rows = len(texts)
    if not rows:
        return np.zeros((0, 64), np.int32)
    binary = texts.cast(pa.large_binary())
    buffers: list[Any] = binary.buffers()
    offsets = np.frombuffer(buffers[1], np.int64, rows + 1, binary.offset * 8)
    data = np.frombuffer(buffers[2] or b"", np.uint8)[offsets[0] : offsets[-1]].astype(np.int64)
    owner = np.repeat(np.arange(rows), np.diff(offsets))
    return np.bincount(owner * 64 + data % 64, minlength=rows * 64).reshape(rows, 64).astype(np.int32)


def find(folder: RunFolder, key: str) -> tuple[str, list[list[dict[str, Any]]]]:
    """Find the records of a key: how it was matched, and each record's ledger rows in the order of the steps.

    Matched is "id", "id prefix", "URL" or "URL variant", the strictest reading that finds a record. Raises
    UnknownRecord.
    """
    matched, rows = _matching(folder, key)
    if not rows:
        raise UnknownRecord(folder.path, key, nearest(folder.ledger, key))
    if matched.startswith("id"):
        rows += _rest_of(folder, rows)
    by_id: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_id.setdefault(row["id"], []).append(row)
    order = {step.name: at for at, step in enumerate(folder.steps)}
    records = [
        sorted(found, key=lambda row: (order.get(row["step"], len(order)), row["verdict"], row["reason"]))
        for _, found in sorted(by_id.items())
    ]
    return matched, _joined(records)


def _rest_of(folder: RunFolder, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Find what the crawl said of the same addresses under another id: it may name a page before it has its content."""
    known = {row["id"] for row in rows}
    crawls = [step.name for step in folder.steps if step.idea == "crawl"]
    wanted = ds.field("uri").isin([row["uri"] for row in rows]) & ds.field("step").isin(crawls)
    return [row for row in rows_where(folder.ledger, wanted) if row["id"] not in known] if crawls else []


def _joined(records: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """Put a crawl's "kept" for an address before the record that was read from it, where their ids differ."""

    def crawled(rows: Sequence[dict[str, Any]]) -> bool:
        return all(idea_of(row["step"])[0] == "crawl" and row["verdict"] == "kept" for row in rows)

    read = [rows for rows in records if not crawled(rows)]
    for rows in records:
        if crawled(rows):
            heirs = [
                other
                for other in read
                if (other[-1]["source"], other[-1]["uri"]) == (rows[-1]["source"], rows[-1]["uri"])
            ]
            for other in heirs:
                other[:0] = rows
            if not heirs:
                read.append(rows)
    return read


def _matching(folder: RunFolder, key: str) -> tuple[str, list[dict[str, Any]]]:
    if re.fullmatch(r"[0-9a-f]{32}", key):
        tries: list[tuple[str, ds.Expression]] = [("id", ds.field("id") == key)]
    elif re.fullmatch(r"[0-9a-f]{8,31}", key):
        tries = [("id prefix", (ds.field("id") >= key) & (ds.field("id") <= key + "g"))]
    else:
        tries = []
    tries.append(("URL", ds.field("uri") == key))
    if others := variants(key):
        tries.append(("URL variant", ds.field("uri").isin(others)))
    for matched, wanted in tries:
        if rows := rows_where(folder.ledger, wanted):
            return matched, rows
    return "", []


def rows_where(
    files: Iterable[Path], wanted: ds.Expression, columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Read the rows that an expression wants; row groups whose statistics exclude it are not read."""
    return [row for batch in storage.rows_where(list(files), wanted, columns) for row in batch.to_pylist()]
