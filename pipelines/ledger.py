"""What became of each record: one row a record and verdict, and sums that must close."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

KEPT, DROPPED, FAILED = "kept", "dropped", "failed"
VERDICTS = (KEPT, DROPPED, FAILED)

LEDGER_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("step", pa.string(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("signal", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("evidence", pa.string()),
    ]
)


class AccountingError(Exception):
    """A step whose sums do not close: in is not kept + dropped + failed."""


@dataclass
class Account:
    """The sums of one step: records in, kept, dropped by reason and failed by reason."""

    received: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])
    failed: Counter[str] = field(default_factory=Counter[str])

    @classmethod
    def of(cls, received: int, ledger: pa.Table) -> Account:
        """Sum a ledger; `received` is counted apart, from the step's own input."""
        return cls.of_counts(received, counts_of(ledger))

    @classmethod
    def of_counts(cls, received: int, counts: Mapping[tuple[str, str], int]) -> Account:
        """Sum counts of (verdict, reason). Raises AccountingError for a verdict that there is not."""
        account = cls(received)
        for (verdict, reason), count in counts.items():
            account._add(verdict, reason, count)
        return account

    def _add(self, verdict: str, reason: str, count: int) -> None:
        if verdict == KEPT:
            self.kept += count
        elif verdict == DROPPED:
            self.dropped[reason] += count
        elif verdict == FAILED:
            self.failed[reason] += count
        else:
            raise AccountingError(f"verdict is {verdict!r}, expected one of {', '.join(VERDICTS)}")

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Account:
        """Read the sums back from a step's manifest."""
        return cls(manifest["in"], manifest["kept"], Counter(manifest["dropped"]), Counter(manifest["failed"]))

    def __add__(self, other: Account) -> Account:
        return Account(
            self.received + other.received,
            self.kept + other.kept,
            self.dropped + other.dropped,
            self.failed + other.failed,
        )

    def check(self, where: str) -> None:
        """Raise AccountingError unless in = kept + dropped + failed."""
        out = self.kept + self.dropped.total() + self.failed.total()
        if out != self.received:
            raise AccountingError(
                f"{where}: {self.received} records came in, but {self.kept} kept + {self.dropped.total()} dropped "
                f"+ {self.failed.total()} failed = {out}; {abs(out - self.received)} "
                f"{'appeared' if out > self.received else 'were lost'}. This is a fault of the step: please report it."
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the sums as JSON-able values, reasons sorted."""
        return {
            "in": self.received,
            "kept": self.kept,
            "dropped": dict(sorted(self.dropped.items())),
            "failed": dict(sorted(self.failed.items())),
        }


def counts_of(ledger: pa.Table) -> Counter[tuple[str, str]]:
    """Count a ledger's rows by verdict and reason."""
    groups = ledger.group_by(["verdict", "reason"]).aggregate([([], "count_all")]).to_pylist()
    return Counter({(group["verdict"], group["reason"]): group["count_all"] for group in groups})


def rows(entries: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Build ledger rows; columns left out are null."""
    return pa.Table.from_pylist([dict(entry) for entry in entries], schema=LEDGER_SCHEMA)


def verdicts(
    documents: pa.Table,
    step: str,
    *,
    verdict: pa.Array | str = KEPT,
    reason: pa.Array | str = "",
    signal: pa.Array | None = None,
    value: pa.Array | None = None,
    threshold: pa.Array | None = None,
    evidence: pa.Array | None = None,
) -> pa.Table:
    """Ledger rows for a whole table with `id`, `uri` and `source`, a row each, in its order."""
    count = documents.num_rows

    def column(given: pa.Array | str | None, kind: pa.DataType) -> pa.Array:
        if given is None:
            return pa.nulls(count, kind)
        if isinstance(given, str):
            return pa.repeat(pa.scalar(given, kind), count)
        return given.cast(kind)

    return pa.table(
        [
            documents["id"],
            documents["uri"],
            documents["source"],
            column(step, pa.string()),
            column(verdict, pa.string()),
            column(reason, pa.string()),
            column(signal, pa.string()),
            column(value, pa.float64()),
            column(threshold, pa.float64()),
            column(evidence, pa.string()),
        ],
        schema=LEDGER_SCHEMA,
    )


def json_string(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Quote a column as JSON strings; control characters, which no URI should hold, become U+FFFD."""
    escaped = pc.replace_substring(pc.replace_substring(column, "\\", "\\\\"), '"', '\\"')
    escaped = pc.replace_substring_regex(escaped, r"[\x00-\x1f]", "\ufffd")
    return pc.binary_join_element_wise('"', escaped, '"', "")


def sort(table: pa.Table, keys: Iterable[str] = ("id",)) -> pa.Table:
    """Sort rows by columns, ascending; the order of a table must never show who made it."""
    return table.take(pc.sort_indices(table, sort_keys=[(key, "ascending") for key in keys]))
