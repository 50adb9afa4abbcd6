"""What became of each address of a crawl, and of each page that an earlier crawl had stored."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipelines import ledger
from pipelines.crawl.canonical import left_to
from pipelines.crawl.frontier import Target
from pipelines.crawl.journal import Journal
from pipelines.crawl.previous import NOT_CANONICAL, Previous, StoredPage
from pipelines.crawl.url import host_of
from pipelines.crawl.warc_writer import NOWHERE, Placed
from pipelines.document import canonical_json, document_id

STEP = "crawl"
SUPERSEDED = "superseded"

NEW, CHANGED, UNCHANGED, NOT_REFRESHED, WITHDRAWN = "new", "changed", "unchanged", "not-refreshed", "withdrawn"
"""What an update counts. Stored now: the first time, or in place of another. Standing as they were stored: found to be
the same, or not asked for with success. And stored pages that are no longer current."""

_STANDING = (UNCHANGED, NOT_REFRESHED)


@dataclass(slots=True)
class _Sums:
    """Sums of one host."""

    bytes: int = 0
    verdicts: Counter[str] = field(default_factory=Counter[str])


class Outcomes:
    """The rows and sums of a crawl while it runs.

    Args:
        journal: where they are kept.
        source: the source's name in ids and rows.
        previous: what an earlier crawl stored, in an update.

    Attributes:
        kept, addresses: pages kept and addresses accounted for so far.
        bytes: bytes of bodies received so far.
    """

    def __init__(self, journal: Journal, source: str, previous: Previous | None) -> None:
        self._journal = journal
        self._source = source
        self._previous = previous
        self._hosts: dict[str, _Sums] = {}
        self.kept = self.bytes = self.addresses = 0
        for url, verdict, count in journal.query("SELECT url, verdict, bytes FROM outcomes"):
            self._sum(url, verdict, count)

    def refuse(
        self,
        target: Target,
        content: bytes,
        verdict: str,
        reason: str,
        evidence: Mapping[str, Any],
        *,
        received: int = 0,
        chosen: bool = True,
    ) -> None:
        """Account for an address that gives no page. A page that was stored of it is withdrawn: the row has its id.

        `received` are the bytes of the answer's body; `chosen` says whether the address was asked for.
        """
        page = self._previous.pages.get(target.url) if self._previous else None
        if self._previous is not None and page is not None:
            content = self._previous.exchange(page).body
            evidence = {**evidence, "withdrawn": page.place}
        self._row(target, content, verdict, reason, evidence, received=received, chosen=chosen)

    def keep(
        self, target: Target, content: bytes, evidence: Mapping[str, Any], placed: Placed, canonical: str | None
    ) -> None:
        """Account for a page that is stored now; one that was stored of its address is superseded.

        `placed` is where it was written, `canonical` the address that it names as its canonical one.
        """
        page = self._previous.pages.get(target.url) if self._previous else None
        how = NEW if page is None else CHANGED
        if self._previous is not None and page is not None:
            before = document_id(self._source, target.url, self._previous.exchange(page).body)
            evidence = {**evidence, "supersedes": before}
        self._row(
            target,
            content,
            ledger.KEPT,
            "",
            evidence,
            how=how,
            received=len(content),
            placed=placed,
            canonical=canonical,
        )

    def stand(
        self,
        target: Target,
        page: StoredPage,
        content: bytes,
        how: str,
        evidence: Mapping[str, Any],
        *,
        canonical: str | None,
        received: int = 0,
        chosen: bool = True,
    ) -> None:
        """Account for a page that stands as it was stored; `how` is UNCHANGED or NOT_REFRESHED."""
        evidence = {**evidence, "stored": page.place}
        placed = Placed(page.file, page.offset)
        self._row(
            target,
            content,
            ledger.KEPT,
            "",
            evidence,
            how=how,
            received=received,
            chosen=chosen,
            placed=placed,
            canonical=canonical,
        )

    def _row(
        self,
        target: Target,
        content: bytes,
        verdict: str,
        reason: str,
        evidence: Mapping[str, Any],
        *,
        how: str = "",
        received: int = 0,
        chosen: bool = True,
        placed: Placed = NOWHERE,
        canonical: str | None = None,
    ) -> None:
        said = {**evidence, **({"lastmod": target.lastmod} if target.lastmod else {})}
        row = (
            target.url,
            target.position,
            document_id(self._source, target.url, content),
            verdict,
            reason,
            canonical_json(said),
            how,
            chosen,
            received,
            placed.file,
            placed.offset,
            canonical or "",
        )
        self.put(row)

    def put(self, row: tuple[Any, ...]) -> None:
        """Take a row as the journal keeps it, also one that another worker made."""
        self._journal.put_outcome(row)
        self._sum(row[0], row[3], row[8])

    def _sum(self, url: str, verdict: str, received: int) -> None:
        sums = self._hosts.setdefault(host_of(url), _Sums())
        sums.verdicts[verdict] += 1
        sums.bytes += received
        self.kept += verdict == ledger.KEPT
        self.bytes += received
        self.addresses += 1

    @property
    def met(self) -> int:
        """Hosts met so far."""
        return len(self._hosts)

    def settle(self) -> None:
        """Leave pages to those that they name as canonical, where those were kept. Once, at the end."""
        query = "SELECT url, canonical FROM outcomes WHERE verdict=? AND canonical<>''"
        named: dict[str, str] = dict(self._journal.query(query, (ledger.KEPT,)))
        goals = {goal for goal in named.values() if goal not in named}
        kept = {goal for goal in goals if self._verdict(goal) == ledger.KEPT}
        for url, goal in left_to(named, kept).items():
            ((evidence,),) = self._journal.query("SELECT evidence FROM outcomes WHERE url=?", (url,))
            said = canonical_json({**json.loads(evidence), "canonical": goal})
            change = "UPDATE outcomes SET verdict=?, reason=?, evidence=? WHERE url=?"
            self._journal.run(change, (ledger.DROPPED, NOT_CANONICAL, said, url))
            verdicts = self._hosts[host_of(url)].verdicts
            verdicts[ledger.KEPT] -= 1
            verdicts[ledger.DROPPED] += 1

    def _verdict(self, url: str) -> str | None:
        for (verdict,) in self._journal.query("SELECT verdict FROM outcomes WHERE url=?", (url,)):
            return str(verdict)
        return None

    def table(self) -> tuple[pa.Table, ledger.Account]:
        """The ledger, and its sums.

        Raises:
            AccountingError: the sums do not close.
        """
        columns: dict[str, list[Any]] = {name: [] for name in ("id", "uri", "verdict", "reason", "evidence")}
        for row in self._journal.query("SELECT id, url, verdict, reason, evidence FROM outcomes ORDER BY id, url"):
            for name, value in zip(columns, row, strict=True):
                columns[name].append(value)
        count = len(columns["id"])
        given: dict[str, Any] = {**columns, "source": [self._source] * count, "step": [STEP] * count}
        table = pa.table(
            [pa.array(given.get(one.name, [None] * count), one.type) for one in ledger.LEDGER_SCHEMA],
            schema=ledger.LEDGER_SCHEMA,
        )
        account = ledger.Account.of(sum(host.verdicts.total() for host in self._hosts.values()), table)
        account.check(STEP)
        return table, account

    def hosts(self) -> dict[str, dict[str, int]]:
        """Bytes and verdicts of each host."""
        return {
            name: {"bytes": sums.bytes, **{verdict: count for verdict, count in sorted(sums.verdicts.items()) if count}}
            for name, sums in sorted(self._hosts.items())
        }

    def withdrawn(self) -> dict[str, list[dict[str, Any]]]:
        """The records of this crawl's own files that are no documents, by file."""
        found: dict[str, list[dict[str, Any]]] = {}
        query = "SELECT file, offset, url, reason FROM outcomes WHERE verdict<>? AND how IN (?, ?)"
        for file, offset, url, reason in self._journal.query(query, (ledger.KEPT, NEW, CHANGED)):
            found.setdefault(file, []).append({"offset": offset, "uri": url, "reason": reason})
        return found

    def earlier_files(self) -> list[dict[str, Any]]:
        """The earlier crawl's files for the manifest; what does not stand any more is withdrawn from them."""
        if self._previous is None:
            return []
        return self._previous.files({url: {"reason": reason} for url, reason in self._no_longer().items()})

    def _no_longer(self) -> dict[str, str]:
        """Why stored pages are no documents of this generation, by address."""
        rows = self._journal.query("SELECT url, verdict, reason, how FROM outcomes")
        pages = self._previous.pages if self._previous is not None else {}
        found: dict[str, str] = {}
        for url, verdict, reason, how in rows:
            if url in pages and not (how in _STANDING and verdict == ledger.KEPT):
                found[url] = SUPERSEDED if how == CHANGED else reason
        return found

    def update(self) -> dict[str, int]:
        """What the update found, by the names above; empty where this is none. Asked last."""
        if self._previous is None:
            return {}
        query = "SELECT how, count(*) FROM outcomes WHERE verdict=? GROUP BY how"
        counts: dict[str, int] = dict(self._journal.query(query, (ledger.KEPT,)))
        counts[WITHDRAWN] = sum(self._previous.pages[url].current for url in self._no_longer())
        return dict(sorted(counts.items()))
