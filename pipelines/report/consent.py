"""Consent and licences: what publishers said, what was refused for it, and under which terms the kept text stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.report.folder import RunFolder, read_batches

RESERVATIONS = ("x_robots_tag", "meta_robots", "reservation", "training")
PREFIXES = ("robots-", "x-robots", "meta-robots", "licen", "reservation", "tdm", "taken-down", "noai", "consent")
"""Beginnings of the reasons that are about consent, as sources and rules name them."""


@dataclass
class Consent:
    """Counts over the documents kept to the end.

    licenses: (source, license or "") -> documents. robots: (source, robots rule) -> documents allowed by it.
    robots_files: digest of a robots.txt -> documents decided by it. reservations: (field, value) -> documents with it.
    """

    documents: int = 0
    licenses: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    robots: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    robots_files: Counter[str] = field(default_factory=Counter[str])
    reservations: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])


def concerns(reason: str) -> bool:
    """Whether a ledger reason is about consent or licence."""
    return reason.startswith(PREFIXES)


def read(run: RunFolder) -> Consent:
    """Stream the rights of the run's final documents and count them by group."""
    found = Consent()
    told = ("robots_rule", "robots_digest", *RESERVATIONS)
    for path in run.documents_until():
        for batch in read_batches(path, ("source", "license", "rights")):
            known = {field.name for field in batch.schema.field("rights").type}  # older runs have fewer
            empty = pa.repeat("", batch.num_rows)
            rights = {
                name: pc.struct_field(batch["rights"], name).fill_null("") if name in known else empty for name in told
            }
            columns = {"source": batch["source"], "license": batch["license"].fill_null(""), **rights}
            for row in pa.table(columns).group_by(list(columns)).aggregate([([], "count_all")]).to_pylist():
                _add(found, row, row["count_all"])
    return found


def _add(found: Consent, row: Mapping[str, str], records: int) -> None:
    found.documents += records
    found.licenses[(row["source"], row["license"])] += records
    if row["robots_digest"]:
        found.robots_files[row["robots_digest"]] += records
        found.robots[(row["source"], row["robots_rule"] or "no rule applies")] += records
    for name in RESERVATIONS:
        if row[name]:
            found.reservations[(name, row[name])] += records
