"""Stack Exchange dumps: threads as documents, a question with its answers, the best answer first.

Read from `Posts.xml` (plain or compressed) or from the site's archive (`SITE.7z`). Every post carries its licence: what
the dump says (`ContentLicense`), else what its date says.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import lzma
import posixpath
import re
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, cast

from pydantic import Field

from pipelines import storage
from pipelines.document import canonical_json
from pipelines.extract import HTML_PARTS
from pipelines.extract.html_parts import pack_parts
from pipelines.sources.archive_input import Damage
from pipelines.sources.files import Found, SourceError, digests, find
from pipelines.sources.packed import open_unpacked
from pipelines.sources.record import Failure, Outcome, Record, Refusal, Unit
from pipelines.sources.source import Location, SourceFields
from pipelines.sources.stackexchange_threads import BadRow, Post, Thread, number, threads
from pipelines.storage.errors import full_disk_named

SPLIT_BYTES = 8 << 30
"""Bytes of Posts.xml that one worker's threads have, about; each worker passes over the whole file."""
MAX_POST_BYTES = 10_000_000
_SEVEN = b"7z\xbc\xaf\x27\x1c"
_SITE = re.compile(r"(?:^|/)([a-z0-9.-]+\.(?:com|net|org))(?:-posts)?(?:\.7z|/|$)", re.IGNORECASE)
# stackoverflow.com/help/licensing: by the day on which a post was written.
_LICENCES = (("2011-04-08", "CC-BY-SA-2.5"), ("2018-05-02", "CC-BY-SA-3.0"))
_STATED = {f"CC BY-SA {version}": f"CC-BY-SA-{version}" for version in ("2.5", "3.0", "4.0")}


class StackExchangeSource(SourceFields):
    """`Posts.xml`, or `*.7z` archives as archive.org has them (needs the extra `stackexchange`)."""

    type: Literal["stackexchange"] = "stackexchange"
    paths: Annotated[tuple[Location, ...], Field(min_length=1, description="Files, folders or patterns.")]
    site: Annotated[str | None, Field(description="The site's host; else as the file's or its folder's name says.")] = (
        None
    )
    unanswered: Annotated[bool, Field(description="Also questions without an answer.")] = True
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", description="The documents' kind.")] = "dialogue"
    max_record_bytes: Annotated[int, Field(ge=1, description="Longest post.")] = MAX_POST_BYTES
    split_bytes: Annotated[int, Field(ge=1, description="Bytes of a site that one worker's threads have.")] = (
        SPLIT_BYTES
    )

    def units(self) -> list[Unit]:
        """Sites; of one larger than `split_bytes` shares of its threads.

        Raises:
            FileNotFoundError: a path leads to no file.
            ModuleNotFoundError: an archive is named and py7zr is not installed.
            SourceError: nothing says which site a file is of.
        """
        files = find(self.paths, ("posts.xml", ".7z"), f"sources.{self.name}.paths")
        made: list[Unit] = []
        for file, (digest, size) in zip(files, digests(files), strict=True):
            if _is_archive(file):
                _require_py7zr(self.name)
            parts = 1 if _is_archive(file) else max(1, -(-size // self.split_bytes))
            for part in range(parts):
                name, covered = file.name, digest
                if parts > 1:
                    name = f"{file.name}%{part}of{parts}"
                    covered = hashlib.sha256(canonical_json([digest, part, parts]).encode()).hexdigest()
                place = {
                    "path": str(file.path),
                    "name": file.name,
                    "site": self._site(file),
                    "share": [part, parts],
                    "bytes": size,
                }
                made.append(Unit(name, covered, size // parts, canonical_json(place)))
        return made

    def read(self, unit: Unit) -> Iterator[Outcome]:
        """The threads of one unit; before them what could not be read."""
        place: dict[str, Any] = json.loads(unit.payload)
        file, site = Found(storage.at(place["path"]), str(place["name"])), str(place["site"])
        share = (int(place["share"][0]), int(place["share"][1]))
        try:
            with _posts(file, int(place["bytes"])) as (stream, size, ended):
                for found in threads(stream, size, share, self.max_record_bytes):
                    yield self._outcome(found, site, file.name)
                damage = ended()
        except _BadArchive as error:
            yield Failure(file.name, b"", error.reason, {"file": file.name, "detail": str(error)})
            return
        if damage is not None and share[0] == 0:
            evidence = {"file": file.name, "offset": damage.offset, "detail": damage.detail}
            yield Failure(f"{file.name}#damage", b"", "damaged-file", evidence)

    def _outcome(self, found: Thread | BadRow, site: str, file: str) -> Outcome:
        if isinstance(found, BadRow):
            evidence = {"file": file, "offset": found.offset, "detail": found.detail}
            kind = Refusal if found.reason == "not-a-question" else Failure
            return kind(f"{file}#offset={found.offset}", found.content, found.reason, evidence)
        uri = f"https://{site}/questions/{found.number}"
        question = found.question
        if question is None:
            content = "\0".join(post.get("Body", "") for post in found.answers).encode()
            return Refusal(uri, content, "orphan-answers", {"file": file, "answers": len(found.answers)})
        title = question.get("Title", "").strip()
        posts = [question, *found.answers]
        content = "\0".join([title, *(post.get("Body", "") for post in posts)]).encode("utf-8", "replace")
        if not found.answers and not self.unanswered:
            return Refusal(uri, content, "unanswered", {"file": file, "title": title})
        parts = [(f"Q: {title}" if title else "Q:", question.get("Body", ""))]
        parts += [("A:", post.get("Body", "")) for post in found.answers]
        licence = " AND ".join(sorted({licence_of_post(post) for post in posts}))
        facts = _facts(found, question) | {"file": file, "site": site}
        return Record(uri, content, pack_parts(parts), HTML_PARTS, self.kind, licence, metadata=facts)

    def _site(self, file: Found) -> str:
        if self.site is not None:
            return self.site
        for said in (file.name, posixpath.basename(posixpath.dirname(str(file.path)))):
            match = _SITE.search(said)
            if match is not None:
                return match.group(1).lower()
        raise SourceError(
            f"{file.path}: nothing says which site it is of; name it in sources.{self.name}.site, such as "
            "math.stackexchange.com"
        )


def licence_of_post(post: Post) -> str:
    """The licence of one post as SPDX: as stated, else by the day it was written."""
    stated = _STATED.get(post.get("ContentLicense", ""))
    if stated is not None:
        return stated
    day = post.get("CreationDate", "")[:10]
    return next((licence for until, licence in _LICENCES if day and day < until), "CC-BY-SA-4.0")


def tags_of(post: Post) -> list[str]:
    """A question's tags: "<a><b>" in older dumps, "|a|b|" in newer ones."""
    return [tag for tag in re.split(r"[<>|]+", post.get("Tags", "")) if tag]


def _facts(thread: Thread, question: Post) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "question_id": thread.number,
        "title": question.get("Title", "").strip(),
        "tags": tags_of(question),
        "score": number(question.get("Score")),
        "views": number(question.get("ViewCount")),
        "created": _moment(question.get("CreationDate")),
        "closed": _moment(question.get("ClosedDate")),
        "accepted_answer": number(question.get("AcceptedAnswerId")),
        "answers": [
            {"id": number(post.get("Id")), "score": number(post.get("Score")), "license": licence_of_post(post)}
            for post in thread.answers
        ],
        # Attribution asks for authors: a number leads to one (https://SITE/users/NUMBER), a name stands for itself.
        "authors": [_author(post) for post in (question, *thread.answers)],
    }
    return {name: value for name, value in facts.items() if value is not None}


def _author(post: Post) -> int | str | None:
    return number(post.get("OwnerUserId")) or post.get("OwnerDisplayName") or None


def _moment(text: str | None) -> str | None:
    try:
        return datetime.fromisoformat(text).isoformat() if text else None
    except ValueError:
        return text


class _BadArchive(Exception):
    """An archive that cannot be read; `reason` is kebab-case."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _is_archive(file: Found) -> bool:
    return file.name.lower().endswith(".7z")


def _require_py7zr(name: str) -> None:
    if importlib.util.find_spec("py7zr") is None:
        raise ModuleNotFoundError(
            f"sources.{name}: a .7z archive needs the package py7zr (extra 'stackexchange'), or unpack Posts.xml",
            name="py7zr",
        )


@contextmanager
def _posts(file: Found, size: int) -> Generator[tuple[BinaryIO, int, Any]]:
    """The posts of a file or archive: a stream, its bytes (about), and a function that says how it ended."""
    if not _is_archive(file):
        with open_unpacked(file.path) as (reader, content):
            yield cast(BinaryIO, reader), size, lambda: content.damage
        return
    import py7zr
    import py7zr.exceptions

    with tempfile.TemporaryDirectory(prefix="pomona-7z-") as folder, full_disk_named(Path(folder)):
        try:
            with storage.open_read(file.path) as packed, py7zr.SevenZipFile(packed, "r") as archive:
                names = [name for name in archive.getnames() if posixpath.basename(name).lower() == "posts.xml"]
                if len(names) != 1:
                    raise _BadArchive("no-posts", f"expected one Posts.xml in the archive, found {len(names)}")
                archive.extract(folder, targets=names)
        except py7zr.exceptions.PasswordRequired as error:
            raise _BadArchive("encrypted-archive", "the archive asks for a password") from error
        except (py7zr.exceptions.ArchiveError, lzma.LZMAError, EOFError, ValueError, KeyError, IndexError) as error:
            raise _BadArchive("damaged-file", f"{type(error).__name__}: {error}"[:300]) from error
        posts = Path(folder) / names[0]
        with posts.open("rb") as stream:
            yield stream, posts.stat().st_size, _whole


def _whole() -> Damage | None:
    return None
