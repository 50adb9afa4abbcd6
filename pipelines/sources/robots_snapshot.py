"""Robots.txt files as they once were, to check pages from elsewhere against.

A snapshot is one of: the folder of a finished crawl; a WARC file, a folder of them or a list of them (Common Crawl's
`robotstxt` set and its `robotstxt.paths.gz`);
JSON lines; or a folder with `<host>/robots.txt` or `<host>.txt` files. A line of JSON has `url`, `origin` or `host`,
and may have `status` (200), `body` (text) or `body_base64`, `fetched_at` (ISO 8601) and `digest` (SHA-256 of the body).
Of several answers for one site the newest counts, and one that could be used (status below 500) before one that could
not. Redirects are followed within the snapshot, five at most (RFC 9309, 2.3.1.2).
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pipelines import storage
from pipelines.crawl.content_coding import ContentCodingError, decode_content
from pipelines.crawl.folder import MANIFEST, ROBOTS, read_manifest
from pipelines.crawl.url import host_of, normalise, origin_of, resolve
from pipelines.robots import MAX_BODY, RobotsFile
from pipelines.sources.archive import ArchiveRecord, read_archive
from pipelines.sources.archive_list import Take, is_list, listed
from pipelines.sources.files import Found
from pipelines.sources.http_message import BadHttpError, HttpMessage
from pipelines.training_consent import NOTED, TrainingRules, noted

MAX_REDIRECTS = 5
_PARSED = 2048
_WARC = (".warc", ".warc.gz", ".arc", ".arc.gz")
_JSON = (".jsonl", ".jsonl.gz")

Missing = Literal["keep", "refuse"]


@dataclass(frozen=True, slots=True)
class _Answer:
    """One answer about a robots.txt: when ("" where that is not known), its status, where it redirects, its body."""

    date: str
    status: int
    location: str
    body: bytes

    @property
    def rank(self) -> tuple[bool, str]:
        return self.status < 500, self.date


class Snapshot:
    """A snapshot in memory; `digest` covers which sites it has and what their files say, not when they were fetched.

    Args:
        answers: addresses of robots.txt files, or bare host names, with what was answered.
    """

    def __init__(self, answers: Iterator[tuple[str, _Answer]]) -> None:
        self._answers: dict[str, _Answer] = {}
        for key, answer in answers:
            known = self._answers.get(key)
            if known is None or answer.rank >= known.rank:
                self._answers[key] = answer
        self._parsed: OrderedDict[tuple[str, tuple[str, ...]], tuple[RobotsFile, TrainingRules, str]] = OrderedDict()
        content = hashlib.sha256()
        for key, answer in sorted(self._answers.items()):
            body = hashlib.sha256(answer.body).hexdigest()
            content.update(f"{key}\0{answer.status}\0{answer.location}\0{body}\n".encode())
        self.digest = content.hexdigest()

    def __len__(self) -> int:
        return len(self._answers)

    def find(self, url: str, tokens: tuple[str, ...] = NOTED) -> tuple[RobotsFile, TrainingRules, str] | None:
        """The robots.txt that speaks for an address, what it says to tokens, its date; None: not in the snapshot."""
        origin = origin_of(url)
        found = self._parsed.get((origin, tokens))
        if found is None:
            answer = self._answers.get(f"{origin}/robots.txt") or self._answers.get(host_of(url))
            if answer is None:
                return None
            answer = self._followed(f"{origin}/robots.txt", answer)
            robots = RobotsFile.from_response(answer.status, answer.body)
            found = self._parsed[origin, tokens] = (robots, TrainingRules(robots, tokens), answer.date)
            if len(self._parsed) > _PARSED:
                self._parsed.popitem(last=False)
        return found

    def _followed(self, address: str, answer: _Answer) -> _Answer:
        for _ in range(MAX_REDIRECTS):
            goal = resolve(address, answer.location) if 300 <= answer.status < 400 and answer.location else None
            further = self._answers.get(goal) if goal is not None else None
            if goal is None or further is None:
                break
            address, answer = goal, further
        return answer


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a snapshot says of a page: allowed, the deciding line, its file's digest and date, tokens refused."""

    allowed: bool
    rule: str
    digest: str | None
    date: str
    training: str | None


@dataclass(frozen=True, slots=True)
class RobotsCheck:
    """How pages are checked against a snapshot.

    Attributes:
        place: where the snapshot is.
        agent: product token whose rules decide.
        missing: what becomes of pages of sites that the snapshot does not have.
        tokens: those that stand for training, in lower case.
        decides: False where only the tokens are looked up, because the crawl itself obeyed robots.txt.
        base: what the names lie below where the snapshot is a list of archives.
        match: pattern of the names that are read of such a list; None: all.
    """

    place: Path
    agent: str
    missing: Missing = "keep"
    tokens: tuple[str, ...] = NOTED
    decides: bool = True
    base: Path | None = None
    match: str | None = None

    def snapshot(self) -> Snapshot:
        """The snapshot, read once in a process.

        Raises:
            FileNotFoundError, ValueError: see `load`.
        """
        return load(self.place, self.base, self.match)

    def judge(self) -> Callable[[str], Judgement]:
        """A function that says what the snapshot has on an address.

        Raises:
            FileNotFoundError, ValueError: see `load`.
        """
        snapshot = self.snapshot()

        def judge(uri: str) -> Judgement:
            url = normalise(uri)
            found = snapshot.find(url, self.tokens) if url is not None else None
            if found is None or url is None:
                return Judgement(self.missing == "keep", "no robots.txt in the snapshot", None, "", None)
            robots, training, date = found
            allowed = robots.allowed(self.agent, url)
            return Judgement(allowed, robots.rule(self.agent, url), robots.digest, date, noted(training.refused(url)))

        return judge


def load(place: Path, base: Path | None = None, match: str | None = None) -> Snapshot:
    """Read a snapshot, or give the one that this process has read.

    Args:
        place: where it is; a list of archives (Common Crawl's `robotstxt.paths.gz`) stands for those.
        base: what the names of a list lie below.
        match: pattern of the names that are read of a list.

    Raises:
        FileNotFoundError: nothing is there, or no file of a kind that is known.
        SourceError: a list is damaged.
        ValueError: a line of JSON is not as it should be (the message names it).
    """
    if is_list(place):
        if base is None:
            raise ValueError(f"{place}: a list of archives needs 'base', the address that its names lie below")
        # Hundreds of files of an archive that does not change: they are not asked for their dates each time.
        return _loaded(tuple((str(file.path), file.name, 0, 0.0) for file in _listed(place, base, match)))
    files = _files(place)
    stamp = tuple((str(file), name, storage.size(file) or 0, storage.modified(file)) for file, name in files)
    return _loaded(stamp)


@lru_cache(maxsize=4)
def _listed(place: Path, base: Path, match: str | None) -> tuple[Found, ...]:
    return tuple(listed(place, base, Take(match=match), "robots"))


@lru_cache(maxsize=4)
def _loaded(stamp: tuple[tuple[str, str, int, float], ...]) -> Snapshot:
    return Snapshot(pair for path, name, *_ in stamp for pair in _read(storage.at(path), name))


def _files(place: Path) -> list[tuple[Path, str]]:
    if storage.exists(place / MANIFEST):
        named = (file["path"] for file in read_manifest(place)["files"])
        return [(place / name, name) for name in named if name.startswith(f"{ROBOTS}/")]
    if storage.exists(place) if storage.is_remote(place) else place.is_file():
        files = [(place, place.name)]
    else:
        files = [(file, name) for file, name in storage.files_below(place)]
    known = [(file, name) for file, name in files if name.lower().endswith((*_WARC, *_JSON, ".txt"))]
    if not known:
        raise FileNotFoundError(
            f"{place}: no snapshot of robots.txt files here; expected a crawl's folder, *.warc.gz, *.jsonl, "
            "<host>/robots.txt or <host>.txt"
        )
    return sorted(known, key=lambda pair: pair[1])


def _read(path: Path, name: str) -> Iterator[tuple[str, _Answer]]:
    lower = name.lower()
    if lower.endswith(_WARC):
        yield from _read_warc(path)
    elif lower.endswith(_JSON):
        yield from _read_lines(path)
    else:
        host = name.rpartition("/")[0].rpartition("/")[2] if lower.endswith("/robots.txt") else ""
        host = host or name.rpartition("/")[2].removesuffix(".txt")
        yield host.lower(), _Answer("", 200, "", storage.read_bytes(path))


def _read_warc(path: Path) -> Iterator[tuple[str, _Answer]]:
    with storage.open_read(path) as stream:
        for record in read_archive(stream, 20 * MAX_BODY + (1 << 16)):
            if not isinstance(record, ArchiveRecord) or record.kind != "response" or record.block is None:
                continue
            url = normalise(record.uri)
            if url is None:
                continue
            try:
                message = HttpMessage.parse(record.block)
                body = decode_content(message.body, message.headers.get("content-encoding"), 20 * MAX_BODY)
            except (BadHttpError, ContentCodingError):
                continue  # no answer that could be used
            location = message.headers.get("location", "")
            yield url, _Answer(record.headers.get("warc-date", ""), message.status, location, body)


def _read_lines(path: Path) -> Iterator[tuple[str, _Answer]]:
    data = storage.read_bytes(path)
    data = gzip.decompress(data) if path.name.lower().endswith(".gz") else data
    for number, line in enumerate(data.splitlines(), 1):
        if line.strip():
            yield _line(line, f"{path}, line {number}")


def _line(line: bytes, where: str) -> tuple[str, _Answer]:
    try:
        row: Any = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError(f"expected an object, found {type(row).__name__}")
        body = base64.b64decode(row["body_base64"], validate=True) if "body_base64" in row else _text(row.get("body"))
        status = int(row.get("status", 200))
        date = str(row.get("fetched_at", ""))
        if date:
            datetime.fromisoformat(date.replace("Z", "+00:00"))
    except (ValueError, TypeError, binascii.Error) as error:
        raise ValueError(f"{where}: {error}") from error
    digest = row.get("digest")
    found = hashlib.sha256(body).hexdigest()
    if digest is not None and str(digest).removeprefix("sha256:") != found:
        raise ValueError(f"{where}: the digest is {digest}, but the body's SHA-256 is {found}")
    key = row.get("url") or row.get("origin") or row.get("host")
    url = normalise(str(key)) if key else None
    if not key:
        raise ValueError(f"{where}: expected one of url, origin and host")
    return (str(key).lower() if url is None else f"{origin_of(url)}/robots.txt"), _Answer(date, status, "", body)


def _text(value: object) -> bytes:
    if value is None:
        return b""
    if not isinstance(value, str):
        raise ValueError(f"body is {type(value).__name__}, expected text (or body_base64)")
    return value.encode()
