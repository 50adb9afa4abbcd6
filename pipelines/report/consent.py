"""Consent and licences: what publishers said, what was refused for it, and under which terms the kept text stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.report.distinct import Distinct
from pipelines.report.folder import read_batches

RESERVATIONS = ("x_robots_tag", "meta_robots", "reservation", "training")
PREFIXES = ("robots-", "x-robots", "meta-robots", "licen", "reservation", "tdm", "taken-down", "noai", "consent")
"""Beginnings of the reasons that are about consent, as sources and rules name them."""


@dataclass
class Consent:
    """Counts over the documents kept to the end.

    licenses: (source, license or "") -> documents. robots: (source, robots rule) -> documents allowed by it.
    known: documents decided by a robots.txt; robots_files: which, by digest. reservations: (field, value) -> documents
    with it. newest: day of the newest document, "" where none is dated.
    """

    documents: int = 0
    known: int = 0
    newest: str = ""
    licenses: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    robots: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    robots_files: Distinct = field(default_factory=Distinct)
    reservations: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    def look(self, files: Sequence[Path]) -> None:
        """Add documents, by groups of equal rights."""
        told = ("robots_rule", "robots_digest", *RESERVATIONS)
        for path in files:
            for batch in read_batches(path, ("source", "license", "rights", "fetched_at")):
                newest = pc.max(batch["fetched_at"]).as_py()
                if newest is not None:
                    self.newest = max(self.newest, newest.date().isoformat())
                known = {field.name for field in batch.schema.field("rights").type}  # older runs have fewer
                empty = pa.repeat("", batch.num_rows)
                rights = {
                    name: pc.struct_field(batch["rights"], name).fill_null("") if name in known else empty
                    for name in told
                }
                columns = {"source": batch["source"], "license": batch["license"].fill_null(""), **rights}
                for row in pa.table(columns).group_by(list(columns)).aggregate([([], "count_all")]).to_pylist():
                    _add(self, row, row["count_all"])

    def state(self) -> dict[str, Any]:
        """Return what `merge` takes, as JSON-able values."""
        counters = (self.licenses, self.robots, self.reservations)
        return {
            "documents": self.documents,
            "known": self.known,
            "newest": self.newest,
            "robots_files": self.robots_files.state(),
            "counts": [[[*key, count] for key, count in sorted(counts.items())] for counts in counters],
        }

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add the documents of other parts."""
        self.documents += state["documents"]
        self.known += state["known"]
        self.newest = max(self.newest, state["newest"])
        self.robots_files.merge(state["robots_files"])
        for counts, told in zip((self.licenses, self.robots, self.reservations), state["counts"], strict=True):
            for first, second, count in told:
                counts[(first, second)] += count


def concerns(reason: str) -> bool:
    """Whether a ledger reason is about consent or licence."""
    return reason.startswith(PREFIXES)


def _add(found: Consent, row: Mapping[str, str], records: int) -> None:
    found.documents += records
    found.licenses[(row["source"], row["license"])] += records
    if row["robots_digest"]:
        found.known += records
        found.robots_files.add(row["robots_digest"])
        found.robots[(row["source"], row["robots_rule"] or "no rule applies")] += records
    for name in RESERVATIONS:
        if row[name]:
            found.reservations[(name, row[name])] += records
