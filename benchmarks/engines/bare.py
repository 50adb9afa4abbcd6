"""The bare kernels: one process, a loop over Parquet batches, and no engine.

The work is that of the steps measure and decide and of the deduplication's fingerprints: signals and language are
measured, rules decide, what stays is redacted and fingerprinted, and the same three tables (signals, documents,
fingerprints) are written as Parquet with the same settings. What an engine adds is left out: tasks, processes, notes,
sorting, digests, atomic writes and manifests, reading between steps, ledger and evidence.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BATCH, GROUP = 4096, 16_384
"""Rows of a batch and of a row group, as the steps have them."""


class Writer:
    """Writes tables to one Parquet file in whole row groups."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._held, self._rows = path, list[pa.Table](), 0
        self._file: pq.ParquetWriter | None = None

    def add(self, table: pa.Table) -> None:
        """Take rows."""
        self._held.append(table)
        self._rows += table.num_rows
        if self._rows >= GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is held, and end the file."""
        self._flush()
        assert self._file is not None
        self._file.close()

    def _flush(self) -> None:
        table = pa.concat_tables(self._held)
        file = self._file or pq.ParquetWriter(self._path, table.schema, compression="zstd", compression_level=3)
        file.write_table(table, row_group_size=GROUP)
        self._file = file
        self._held, self._rows = [table.slice(0, 0)], 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("parts", type=Path, nargs="+")
    asked = parser.parse_args()
    from dedup import DedupConfig
    from filters import decide, pii
    from pipelines import recipe, rules
    from pipelines.steps.dedup_candidates import Fingerprint
    from pipelines.steps.measure import signals

    loaded = recipe.load(asked.recipe)
    redact = loaded.filters.redact
    applied = rules.resolved(loaded.filters.rules)
    fingerprint = Fingerprint(DedupConfig.preset(loaded.dedup.preset))
    started = time.perf_counter()
    documents = kept = 0
    for path in asked.parts:
        writers = {name: Writer(asked.out / name / path.name) for name in ("signals", "documents", "fingerprints")}
        for batch in pq.ParquetFile(path).iter_batches(BATCH):
            table = pa.Table.from_batches([batch])
            measured = signals(table["text"], loaded.filters)
            writers["signals"].add(measured.add_column(0, "id", table["id"]))
            joined = _joined(table, measured)
            some = table.filter(decide(joined, applied)["keep"])
            at = some.schema.get_field_index("text")
            some = some.set_column(at, "text", pii.redact(some["text"].combine_chunks(), redact))
            writers["documents"].add(some)
            writers["fingerprints"].add(fingerprint(some)["fingerprints"])
            documents, kept = documents + table.num_rows, kept + some.num_rows
        for writer in writers.values():
            writer.close()
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "documents": documents, "kept": kept}))
    return 0


def _joined(table: pa.Table, measured: pa.Table) -> Any:
    joined = table.set_column(
        table.schema.get_field_index("language"), "language", measured["language.language"].cast(pa.string())
    )
    for name in measured.column_names:
        joined = joined.append_column(measured.schema.field(name), measured[name])
    return joined


if __name__ == "__main__":
    sys.exit(main())
