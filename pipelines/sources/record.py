"""What a source hands to the extraction step: records, refusals and failures, a unit of input at a time.

A source is read in two moves. `units()` runs once, in the planning process: it lists the pieces of input (a WARC file,
an installed distribution) in a fixed order, each with a digest of its bytes, so that a finished unit is recognised and
never read again. `read(unit)` runs on a worker and yields one outcome per record found there. Every outcome carries the
bytes its id is made of, so that kept, dropped and failed records are all named in the ledger in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of a source's input that one worker reads from beginning to end.

    Attributes:
        name: unique within its source, stable between machines (no absolute path).
        digest: hex digest that covers every input byte that `read` looks at (parameters enter the step's own digest).
        bytes: size of the input, for progress and for balancing workers.
        payload: what `read` needs to find the input again (a path, a JSON object); picklable text.
    """

    name: str
    digest: str
    bytes: int
    payload: str


@dataclass(frozen=True, slots=True)
class Rights:
    """What the site said about the use of a record; fields of the `rights` struct of a document, None = not stated."""

    robots_rule: str | None = None
    robots_digest: str | None = None
    x_robots_tag: str | None = None
    meta_robots: str | None = None
    reservation: str | None = None
    training: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """The struct's fields by name, in the schema's order."""
        return {
            "robots_rule": self.robots_rule,
            "robots_digest": self.robots_digest,
            "x_robots_tag": self.x_robots_tag,
            "meta_robots": self.meta_robots,
            "reservation": self.reservation,
            "training": self.training,
        }


@dataclass(frozen=True, slots=True)
class Record:
    """One record that can be extracted.

    Attributes:
        uri: address of the record, unique in its source where the source allows it.
        content: the bytes whose digest goes into the document's id (the payload as it was received).
        body: what the extractor reads: decoded bytes, or text where the source already knows the encoding.
        content_type: media type of `body`, with its charset parameter where one was sent ("text/html; charset=utf-8",
            "text/x-python", "text/plain").
        kind: the document's kind (web, code, math, book, dialogue, synthetic).
        license: SPDX identifier or expression, None where none is stated.
        fetched_at: when it was fetched (UTC, time zone aware), None where that has no meaning.
        rights: what the site said about its use.
        metadata: JSON-able facts about the record (title, package, version ...).
    """

    uri: str
    content: bytes
    body: bytes | str
    content_type: str
    kind: str
    license: str | None = None
    fetched_at: datetime | None = None
    rights: Rights = Rights()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Failure:
    """One record that could not be read; its verdict is "failed". `reason` is kebab-case, `evidence` JSON-able."""

    uri: str
    content: bytes
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Refusal:
    """One record that was read and is not wanted; its verdict is "dropped". Fields as in `Failure`."""

    uri: str
    content: bytes
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])


Outcome = Record | Failure | Refusal


@runtime_checkable
class Source(Protocol):
    """A place that records come from: a frozen configuration with two methods."""

    def units(self) -> list[Unit]:
        """The input, piece by piece, in a fixed order.

        Raises:
            FileNotFoundError: an input named by the configuration is missing (the message says which and what to do).
        """
        ...

    def read(self, unit: Unit) -> Iterator[Outcome]:
        """The records of one unit in a fixed order; a bad record is a `Failure`, never an exception."""
        ...
