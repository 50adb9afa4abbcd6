"""What was taken down and must not come back: the list that sources are held against.

`RUN/takedowns.json` grows with every `pomona takedown RUN`; a recipe's `takedowns: FILE` names such a file (or a text
file of lines `url …`, `domain …`, `licence …`, `id …`). Ids are hashes: the list holds no text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.document import canonical_json
from pipelines.ledger import DROPPED, KEPT
from pipelines.recipe_errors import RecipeError
from pipelines.storage import exists, read_bytes

LIST = "takedowns.json"
REASON = "taken-down"
WORDS = {"url": "urls", "domain": "domains", "licence": "licences", "license": "licences", "id": "ids"}


class Entry(BaseModel):
    """One take-down: what was named, and the ids that this meant (with the copies that were taken along)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    """Version of the mixture that is without them."""
    at: str = ""
    reason: str = ""
    urls: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


class Listing(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    takedowns: tuple[Entry, ...] = ()

    @property
    def version(self) -> int:
        """Version of the mixture after the last of them; 1 is the one that was built."""
        return max((one.version for one in self.takedowns), default=1)


@dataclass(frozen=True)
class Guard:
    """Everything that is refused, each once and in order: equal lists have equal digests."""

    urls: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Guard:
        """Join take-downs."""
        held = list(entries)

        def joined(name: str) -> tuple[str, ...]:
            return tuple(sorted({value for one in held for value in getattr(one, name)}))

        return cls(joined("urls"), joined("domains"), joined("licences"), joined("ids"))

    def __bool__(self) -> bool:
        return bool(self.urls or self.domains or self.licences or self.ids)

    @property
    def said(self) -> list[str]:
        """What is refused, a line each."""
        return [
            *(f"url {one}" for one in self.urls),
            *(f"domain {one}" for one in self.domains),
            *(f"licence {one}" for one in self.licences),
            *(f"id {one}" for one in self.ids),
        ]

    @property
    def digest(self) -> str:
        """SHA-256 of what is refused."""
        return hashlib.sha256(canonical_json(self.said).encode()).hexdigest()

    def refused(self, table: pa.Table) -> pa.Array:
        """Say by what each row of a table with id, uri and perhaps license is refused; null where it is not."""
        count = table.num_rows
        found: Any = pa.nulls(count, pa.string())
        for word, mask, values in self._asked(table):
            told = pc.binary_join_element_wise(pa.scalar(word), values, " ")
            found = pc.if_else(pc.and_(pc.is_null(found), pc.fill_null(mask, False)), told, found)
        return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found

    def _asked(self, table: pa.Table) -> Iterable[tuple[str, Any, Any]]:
        if self.ids:
            yield "id", pc.is_in(table["id"], value_set=pa.array(self.ids, pa.string())), table["id"].cast(pa.string())
        if self.urls:
            uris = table["uri"].cast(pa.string())
            yield "url", pc.is_in(uris, value_set=pa.array(spellings(self.urls), pa.string())), uris
        if self.domains:
            hosts = hosts_of(table["uri"])
            yield "domain", in_domains(hosts, self.domains), hosts
        if self.licences and "license" in table.column_names:
            names = table["license"].cast(pa.string())
            wanted = pa.array([one.lower() for one in self.licences], pa.string())
            yield "licence", pc.is_in(pc.utf8_lower(names), value_set=wanted), names

    def refuse(self, rows: pa.Table) -> pa.Table:
        """Drop what is refused of extracted rows: their text is gone, the verdict says why."""
        if not self or not rows.num_rows:
            return rows
        by = self.refused(rows)
        gone = pc.and_(pc.equal(rows["verdict"], KEPT), pc.is_valid(by))
        if not pc.any(gone).as_py():
            return rows
        escaped = pc.replace_substring(pc.replace_substring(by, "\\", "\\\\"), '"', '\\"')
        evidence = pc.binary_join_element_wise('{"by":"', escaped, '"}', "")
        return withdrawn(rows, gone, evidence)


NOTHING = Guard()
"""Refuses nothing."""


def withdrawn(rows: pa.Table, gone: Any, evidence: Any) -> pa.Table:
    """Take the text of rows of `EXTRACTED_SCHEMA` away where `gone`; what names and dates them stays."""
    changes: dict[str, Any] = {"verdict": DROPPED, "reason": REASON, "evidence": evidence}
    changes |= dict.fromkeys(("text", "metadata"))
    for name, value in changes.items():
        kind = rows.schema.field(name).type
        new = pa.scalar(value, kind) if value is None or isinstance(value, str) else value.cast(kind)
        rows = rows.set_column(
            rows.schema.get_field_index(name), rows.schema.field(name), pc.if_else(gone, new, rows[name])
        )
    return rows


def hosts_of(uris: Any) -> Any:
    """Return the host of each address in small letters, null where it has none."""
    column = uris.combine_chunks() if isinstance(uris, pa.ChunkedArray) else uris
    found = pc.extract_regex(column.cast(pa.string()), r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>[^/?#:@]+)")
    return pc.utf8_rtrim(pc.utf8_lower(pc.struct_field(found, "host")), characters=".")


def in_domains(hosts: Any, domains: Iterable[str]) -> Any:
    """Say which hosts are one of the domains or below one: news.example.org is, badexample.org is not."""
    wanted = {plain_domain(one) for one in domains}
    found = pc.is_in(hosts, value_set=pa.array(sorted(wanted), pa.string()))
    distinct = pc.unique(hosts.filter(pc.is_valid(hosts)))
    below = [name for name in distinct.to_pylist() if not wanted.isdisjoint(_above(name))]
    return pc.or_(found, pc.is_in(hosts, value_set=pa.array(below, pa.string())))


def _above(host: str) -> list[str]:
    parts = host.split(".")
    return [".".join(parts[at:]) for at in range(1, len(parts))]


def plain_domain(text: str) -> str:
    """Return a domain as hosts are written: small letters, without a leading `*.` or `.`, in punycode."""
    plain = text.strip().lower().removeprefix("*.").strip(".")
    try:
        return plain.encode("idna").decode() if not plain.isascii() else plain
    except UnicodeError:
        return plain


def spellings(urls: Iterable[str]) -> list[str]:
    """Return addresses with the other ways of writing them that `pomona why` takes as well."""
    from pipelines.lookup import variants

    return sorted({spelt for url in urls for spelt in (url, *variants(url))})


def read(path: Path) -> Listing:
    """Read a list: JSON as `pomona takedown` writes it, or text. Raises RecipeError with file, line and field."""
    try:
        content = read_bytes(path).decode("utf-8")
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise RecipeError([f"{path}: cannot be read as a list of take-downs ({error})"]) from error
    if content.lstrip().startswith("{"):
        try:
            return Listing.model_validate_json(content)
        except ValidationError as error:
            told = error.errors()[0]
            place = ".".join(map(str, told["loc"]))
            raise RecipeError([f"{path}: {place}: {told['msg']}; expected what `pomona takedown` writes"]) from error
    named: dict[str, list[str]] = {}
    problems: list[str] = []
    for number, line in enumerate(content.splitlines(), 1):
        word, _, value = line.strip().partition(" ")
        if not word or word.startswith("#"):
            continue
        if word not in WORDS or not value.strip():
            problems.append(f"{path}:{number}: found {line.strip()!r}, expected url, domain, licence or id and a value")
            continue
        named.setdefault(WORDS[word], []).append(value.strip())
    if problems:
        raise RecipeError(problems)
    if not named:
        return Listing()
    return Listing(takedowns=(Entry.model_validate({"version": 1, **named}),))


def listing_of(run: Path) -> Listing:
    """Read the list of a run, empty where nothing was taken down."""
    return read(run / LIST) if exists(run / LIST) else Listing()


def guard_of(run: Path, named: Path | None = None) -> Guard:
    """Return what builds into a run's folder refuse: what was taken down there, and what the recipe's file names."""
    entries = listing_of(run).takedowns
    return Guard.of(entries if named is None else (*entries, *read(named).takedowns))
