"""Which records a take-down means, and which others hold the same text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.lookup import nearest
from pipelines.recipe_errors import RecipeError
from pipelines.report.evidence import fields
from pipelines.report.folder import RunFolder, idea_of, read_batches
from pipelines.takedown.guard import Guard, hosts_of, plain_domain

CLUSTER = pa.schema(
    [("parent", pa.string()), ("cluster", pa.string()), ("similarity", pa.float64()), ("method", pa.string())]
)
ROUNDS = 8
"""Passes over the ledger after which clusters that still grow are left as they are; each step has its own clusters."""


@dataclass(frozen=True)
class Asked:
    """What is to be taken down."""

    urls: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Matched:
    """A record that is meant; `by` says through what ("domain example.org")."""

    id: str
    uri: str
    source: str
    by: str


@dataclass(frozen=True)
class Copy:
    """A record with nearly the text of one that is meant: dropped in its favour, or kept in place of it."""

    id: str
    uri: str
    source: str
    cluster: str
    kept: bool
    """Whether it is the record that stayed: its text is in the mixture under this id."""
    similarity: float | None
    method: str


@dataclass
class Selected:
    """The records, and the copies of them that were not named."""

    guard: Guard
    records: dict[str, Matched] = field(default_factory=dict[str, Matched])
    copies: dict[str, Copy] = field(default_factory=dict[str, Copy])


def select(folder: RunFolder, asked: Asked) -> Selected:
    """Find the records; one stream over the ledger, and one more for each generation of copies.

    Raises RecipeError where nothing is named, or something named is nowhere in the run.
    """
    if not (asked.urls or asked.domains or asked.licences or asked.ids):
        raise RecipeError(["nothing is named: give --url, --domain, --licence or --id"])
    ids = _whole_ids(folder, asked.ids)
    domains = tuple(plain_domain(one) for one in asked.domains)
    guard = Guard(tuple(sorted(asked.urls)), tuple(sorted(domains)), tuple(sorted(asked.licences)), tuple(sorted(ids)))
    found = Selected(guard)
    for table in _records(folder):
        _add(found, table, guard)
    if asked.licences:
        files = [path for step in folder.steps if step.idea == "extract" for path in step.outputs.get("documents", ())]
        for path in files:
            for batch in read_batches(path, ("id", "uri", "source", "license")):
                _add(found, pa.Table.from_batches([batch]), guard)
    _check_found(folder, found, asked)
    _add_copies(folder, found)
    return found


def _records(folder: RunFolder) -> Iterator[pa.Table]:
    """Stream the records of a ledger; pages that a crawl kept are named again by what was read from them."""
    for path in folder.ledger:
        for batch in read_batches(path, ("id", "uri", "source", "step", "verdict")):
            table = pa.Table.from_batches([batch])
            steps = pc.unique(table["step"]).to_pylist()
            crawls = pa.array([name for name in steps if idea_of(name)[0] == "crawl"], pa.string())
            fetched = pc.and_(pc.is_in(table["step"], value_set=crawls), pc.equal(table["verdict"], "kept"))
            yield table.filter(pc.invert(fetched))


def _add(found: Selected, table: pa.Table, guard: Guard) -> None:
    by = guard.refused(table)
    hit = pc.is_valid(by)
    rows = table.select(["id", "uri", "source"]).append_column("by", by).filter(hit)
    for row in rows.group_by(["id", "uri", "source", "by"], use_threads=False).aggregate([]).to_pylist():
        found.records.setdefault(row["id"], Matched(row["id"], row["uri"], row["source"], row["by"]))


def _whole_ids(folder: RunFolder, ids: Iterable[str]) -> list[str]:
    """Complete beginnings of ids; each must mean one record."""
    whole: list[str] = []
    problems: list[str] = []
    for text in ids:
        if re.fullmatch(r"[0-9a-f]{32}", text):
            whole.append(text)
            continue
        if not re.fullmatch(r"[0-9a-f]{8,31}", text):
            problems.append(f"--id {text}: expected 32 hex digits, or at least the first 8 of them")
            continue
        known: set[str] = set()
        for path in folder.ledger:
            for batch in read_batches(path, ("id",)):
                known |= set(pc.unique(batch["id"].filter(pc.starts_with(batch["id"], text))).to_pylist())
        if len(known) == 1:
            whole += known
        else:
            several = f"begins {len(known)} ids ({', '.join(sorted(known)[:3])} …): give more digits"
            problems.append(f"--id {text}: {several if known else 'begins no id of the run'}")
    if problems:
        raise RecipeError(problems)
    return whole


def _check_found(folder: RunFolder, found: Selected, asked: Asked) -> None:
    """Refuse a request in which something means no record: a mistyped address must not look like a take-down done."""
    told = Counter(matched.by.partition(" ")[0] for matched in found.records.values())
    problems: list[str] = []
    uris = [matched.uri for matched in found.records.values()]
    hosts = {host for host in hosts_of(pa.array(uris, pa.string())).to_pylist() if host}
    for url in asked.urls:
        if not Guard(urls=(url,)).refused(_one_column(uris)).drop_null():
            problems.append(
                f"--url {url}: no record of {folder.path} has this address{_near(nearest(folder.ledger, url))}"
            )
    for domain in asked.domains:
        plain = plain_domain(domain)
        if not any(host == plain or host.endswith(f".{plain}") for host in hosts):
            near = _near(get_close_matches(plain, _hosts(folder)))
            problems.append(f"--domain {domain}: no record of {folder.path} lies there{near}")
    for id_ in found.guard.ids:
        if id_ not in found.records:
            problems.append(f"--id {id_}: no record of {folder.path} has this id")
    if asked.licences and not told["licence"]:
        known = sorted(_licences(folder))
        problems.append(
            f"--licence {', '.join(asked.licences)}: no document of {folder.path} has it; "
            f"its documents have {', '.join(known) or 'none'}"
        )
    if problems:
        raise RecipeError(problems)


def _one_column(uris: Sequence[str]) -> pa.Table:
    return pa.table({"id": pa.array([""] * len(uris), pa.string()), "uri": pa.array(uris, pa.string())})


def _near(names: Sequence[str]) -> str:
    return f"; nearest: {', '.join(names)}" if names else ""


def _hosts(folder: RunFolder) -> list[str]:
    found: set[str] = set()
    for path in folder.ledger:
        for batch in read_batches(path, ("uri",)):
            found |= {host for host in pc.unique(hosts_of(batch["uri"])).to_pylist() if host}
    return sorted(found)


def _licences(folder: RunFolder) -> set[str]:
    found: set[str] = set()
    for path in folder.documents_until("measure"):
        for batch in read_batches(path, ("license",)):
            found |= {name for name in pc.unique(batch["license"]).to_pylist() if name}
    return found


def _add_copies(folder: RunFolder, found: Selected) -> None:
    """Add the members of the clusters of what is meant, and the members of theirs, until there are no more."""
    meant = set(found.records)
    clusters: set[str] = set(meant)
    for _ in range(ROUNDS):
        before = (len(clusters), len(found.copies))
        stayed: set[str] = set()
        for rows in _clustered(folder.ledger):
            known = pa.array(sorted({*meant, *found.copies}), pa.string())
            mine = pc.or_(
                pc.is_in(rows["id"], value_set=known),
                pc.or_(
                    pc.is_in(rows["cluster"], value_set=pa.array(sorted(clusters), pa.string())),
                    pc.is_in(rows["parent"], value_set=known),
                ),
            )
            for row in rows.filter(mine).to_pylist():
                names = {row["cluster"], row["parent"]} - {None, ""}
                clusters |= names
                stayed |= names
                if row["id"] not in meant:
                    copy = (row["id"], row["uri"], row["source"], row["cluster"] or row["parent"], False)
                    found.copies.setdefault(row["id"], Copy(*copy, row["similarity"], row["method"] or ""))
        _add_kept(folder, found, stayed - meant - set(found.copies))
        if (len(clusters), len(found.copies)) == before:
            return


def _clustered(ledger: Sequence[Path]) -> Iterator[pa.Table]:
    """Stream the dropped rows that name a parent, with their cluster."""
    for path in ledger:
        for batch in read_batches(path, ("id", "uri", "source", "verdict", "evidence")):
            names_one = pc.fill_null(pc.match_substring(batch["evidence"], '"parent"'), False)
            rows = pa.Table.from_batches([batch.filter(names_one)])
            if rows.num_rows:
                told = fields(rows["evidence"].combine_chunks(), CLUSTER)
                for name in CLUSTER.names:
                    rows = rows.append_column(name, told[name])
                yield rows.filter(pc.is_valid(rows["parent"]))


def _add_kept(folder: RunFolder, found: Selected, ids: set[str]) -> None:
    """Add the records that stayed in a cluster: the text is in the mixture under their ids."""
    if not ids:
        return
    wanted = pa.array(sorted(ids), pa.string())
    for path in folder.ledger:
        for batch in read_batches(path, ("id", "uri", "source")):
            for row in batch.filter(pc.is_in(batch["id"], value_set=wanted)).to_pylist():
                copy: dict[str, Any] = {"cluster": row["id"], "kept": True, "similarity": None, "method": ""}
                found.copies.setdefault(row["id"], Copy(row["id"], row["uri"], row["source"], **copy))
