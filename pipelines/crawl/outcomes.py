"""What became of each address of a crawl, and of each page that an earlier crawl had stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipelines import ledger
from pipelines.crawl.frontier import Target
from pipelines.crawl.previous import Previous, StoredPage
from pipelines.crawl.url import host_of
from pipelines.document import canonical_json, document_id

STEP = "crawl"
SUPERSEDED = "superseded"

NEW, CHANGED, UNCHANGED, NOT_REFRESHED, WITHDRAWN = "new", "changed", "unchanged", "not-refreshed", "withdrawn"
"""What an update counts. Stored now: the first time, or in place of another. Standing as they were stored: found to be
the same, or not asked for with success. And stored pages that are no longer current."""


@dataclass(slots=True)
class _Sums:
    """Sums of one host."""

    bytes: int = 0
    verdicts: Counter[str] = field(default_factory=Counter[str])


class Outcomes:
    """The rows and sums of a crawl while it runs.

    Args:
        source: the source's name in ids and rows.
        previous: what an earlier crawl stored, in an update.
    """

    def __init__(self, source: str, previous: Previous | None) -> None:
        self._source = source
        self._previous = previous
        self._rows: dict[str, dict[str, Any]] = {}
        self._hosts: dict[str, _Sums] = {}
        self._standing: set[str] = set()
        self._update: Counter[str] = Counter()

    @property
    def kept(self) -> int:
        """Pages kept so far."""
        return sum(host.verdicts[ledger.KEPT] for host in self._hosts.values())

    @property
    def bytes(self) -> int:
        """Bytes of bodies received so far."""
        return sum(host.bytes for host in self._hosts.values())

    def received(self, target: Target, count: int) -> None:
        """Count the bytes of an answer's body."""
        self._host(target).bytes += count

    def refuse(self, target: Target, content: bytes, verdict: str, reason: str, evidence: Mapping[str, Any]) -> None:
        """Account for an address that gives no page. A page that was stored of it is withdrawn: the row has its id."""
        page = self._previous.pages.get(target.url) if self._previous else None
        if self._previous is not None and page is not None:
            content = self._previous.exchange(page).body
            evidence = {**evidence, "withdrawn": page.place}
        self._row(target, content, verdict, reason, evidence)

    def keep(self, target: Target, content: bytes, evidence: Mapping[str, Any]) -> None:
        """Account for a page that is stored now; one that was stored of its address is superseded."""
        page = self._previous.pages.get(target.url) if self._previous else None
        if self._previous is not None:
            self._update[NEW if page is None else CHANGED] += 1
        if self._previous is not None and page is not None:
            before = document_id(self._source, target.url, self._previous.exchange(page).body)
            evidence = {**evidence, "supersedes": before}
        self._row(target, content, ledger.KEPT, "", evidence)

    def stand(self, target: Target, page: StoredPage, content: bytes, how: str, evidence: Mapping[str, Any]) -> None:
        """Account for a page that stands as it was stored; `how` is UNCHANGED or NOT_REFRESHED."""
        self._standing.add(target.url)
        self._update[how] += 1
        self._row(target, content, ledger.KEPT, "", {**evidence, "stored": page.place})

    def _row(self, target: Target, content: bytes, verdict: str, reason: str, evidence: Mapping[str, Any]) -> None:
        self._rows[target.url] = {
            "id": document_id(self._source, target.url, content),
            "uri": target.url,
            "source": self._source,
            "step": STEP,
            "verdict": verdict,
            "reason": reason,
            "evidence": canonical_json(dict(evidence)),
        }
        self._host(target).verdicts[verdict] += 1

    def _host(self, target: Target) -> _Sums:
        return self._hosts.setdefault(host_of(target.url), _Sums())

    def table(self) -> tuple[pa.Table, ledger.Account]:
        """The ledger, and its sums.

        Raises:
            AccountingError: the sums do not close.
        """
        table = ledger.sort(ledger.rows(list(self._rows.values())))
        account = ledger.Account.of(sum(host.verdicts.total() for host in self._hosts.values()), table)
        account.check(STEP)
        return table, account

    def hosts(self) -> dict[str, dict[str, int]]:
        """Bytes and verdicts of each host."""
        return {
            name: {"bytes": sums.bytes, **dict(sorted(sums.verdicts.items()))}
            for name, sums in sorted(self._hosts.items())
        }

    def earlier_files(self) -> list[dict[str, Any]]:
        """The earlier crawl's files for the manifest; what does not stand any more is withdrawn from them."""
        if self._previous is None:
            return []
        withdrawn: dict[str, dict[str, Any]] = {}
        for url in self._previous.pages:
            if url not in self._standing:
                row = self._rows[url]
                kept = row["verdict"] == ledger.KEPT
                withdrawn[url] = {"reason": SUPERSEDED if kept else row["reason"]}
        self._update[WITHDRAWN] = len(withdrawn)
        return self._previous.files(withdrawn)

    def update(self) -> dict[str, int]:
        """What the update found, by the names above; empty where this is none. Asked last."""
        return {} if self._previous is None else dict(sorted(self._update.items()))
