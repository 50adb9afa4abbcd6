"""The threads of a Stack Exchange dump: questions with their answers, brought together from one file of posts.

Posts.xml holds a site's posts in the order of their numbers, an answer anywhere after its question. They are brought
together through files on this machine: a pass over the posts writes each to one of many heaps by its question's number,
then a heap at a time is read back and sorted. So memory holds one heap, whatever the size of the site.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import lxml.etree

from pipelines.sources.lines import lines_between
from pipelines.storage.errors import full_disk_named

HEAP_BYTES = 32 << 20
MOST_HEAPS = 512
"""Files that are open at a time; heaps of a larger site are larger."""
QUESTION, ANSWER = "1", "2"

_ROW = re.compile(rb"^\s*<row\b")
_FRAME = re.compile(rb"(?:\xef\xbb\xbf)?\s*+(?:<\?xml[^>]*>)?\s*+(?:</?posts\s*+>)?\s*+")
# Numbers of more digits are none: Python would refuse to read them.
_ID = re.compile(rb'\bId="(\d{1,18})"')
_PARENT = re.compile(rb'\bParentId="(\d{1,18})"')
_TYPE = re.compile(rb'\bPostTypeId="(\d{1,18})"')
_NUMBER = re.compile(r"-?[0-9]{1,18}")

Post = dict[str, str]


@dataclass
class Thread:
    """A question and its answers, the best first; the question is None where the file has only answers to it."""

    number: int
    question: Post | None = None
    answers: list[Post] = field(default_factory=list[Post])

    def sort(self) -> None:
        """Answers by score, then the accepted one, then by number: an order that readers see on the site."""
        accepted = (self.question or {}).get("AcceptedAnswerId")
        self.answers.sort(key=lambda post: (-_int(post.get("Score")), post.get("Id") != accepted, _int(post.get("Id"))))


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that is no post, or one that no thread has: why, where, and the bytes."""

    reason: str
    offset: int
    content: bytes
    detail: str


def threads(stream: BinaryIO, size: int, share: tuple[int, int], most: int) -> Iterator[Thread | BadRow]:
    """The threads of a file of posts.

    Args:
        stream: Posts.xml, at its beginning.
        size: its bytes, about; decides on the number of heaps.
        share: (k, n): only those threads whose question's number leaves k when divided by n.
        most: bytes of the longest post that is read.

    Yields:
        First every row that is not read, in the order of the file, then the threads by heap and number.
    """
    part, parts = share
    heaps = min(MOST_HEAPS, max(1, -(-size // parts // HEAP_BYTES)))
    with tempfile.TemporaryDirectory(prefix="pomona-threads-") as folder:
        files = [Path(folder) / f"{number}" for number in range(heaps)]
        with full_disk_named(Path(folder)):
            yield from _spread(stream, files, part, parts, most)
        for file in files:
            yield from _gathered(file)


def _spread(stream: BinaryIO, files: list[Path], part: int, parts: int, most: int) -> Iterator[BadRow]:
    heaps = [file.open("wb") for file in files]
    try:
        for offset, line, length in lines_between(stream, 0, None, most):
            if line is None:
                if part == offset % parts:
                    yield BadRow("too-large", offset, b"", f"the post has {length} bytes, the limit is {most}")
                continue
            if _ROW.match(line) is None:
                if _FRAME.fullmatch(line) is None and part == offset % parts:
                    detail = "expected one <row .../> a line, as the dumps have them"
                    yield BadRow("invalid-post", offset, line, detail)
                continue
            number, kind, parent = (_found(pattern, line) for pattern in (_ID, _TYPE, _PARENT))
            thread = parent if kind == 2 else number
            if number is None or kind is None or thread is None:
                if part == offset % parts:
                    detail = "a row without Id, without PostTypeId, or an answer without ParentId"
                    yield BadRow("invalid-post", offset, line, detail)
                continue
            if thread % parts != part:
                continue
            if kind not in (1, 2):
                yield BadRow("not-a-question", offset, line, f"PostTypeId is {kind}, expected 1 or 2")
                continue
            try:
                post = parse_row(line)
            except lxml.etree.XMLSyntaxError as error:
                yield BadRow("invalid-xml", offset, line, str(error)[:300])
                continue
            if post.get("PostTypeId") != str(kind):  # what looked like it stands in another attribute
                yield BadRow("invalid-post", offset, line, "PostTypeId is not an attribute of the row")
                continue
            heaps[thread // parts % len(heaps)].write(json.dumps([thread, post]).encode() + b"\n")
    finally:
        for heap in heaps:
            heap.close()


def _gathered(file: Path) -> Iterator[Thread]:
    """The threads of one heap, by number."""
    found: dict[int, Thread] = {}
    with file.open("rb") as heap:
        for line in heap:
            number, post = cast(tuple[int, Post], json.loads(line))
            thread = found.setdefault(number, Thread(number))
            if post["PostTypeId"] == QUESTION:
                thread.question = post
            else:
                thread.answers.append(post)
    file.unlink()
    for number in sorted(found):
        found[number].sort()
        yield found[number]


def parse_row(line: bytes) -> Post:
    """A post's attributes. No entity is resolved, libxml2's limits hold. Raises lxml.etree.XMLSyntaxError."""
    parser = lxml.etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, recover=False)
    element: Any = lxml.etree.fromstring(line.strip(), parser)
    return {str(name): str(value) for name, value in element.attrib.items()}


def _found(pattern: re.Pattern[bytes], line: bytes) -> int | None:
    match = pattern.search(line)
    return int(match.group(1)) if match else None


def number(text: str | None) -> int | None:
    """A number of a dump; None for anything else."""
    return int(text) if text and _NUMBER.fullmatch(text.strip()) else None


def _int(text: str | None) -> int:
    return number(text) or 0
