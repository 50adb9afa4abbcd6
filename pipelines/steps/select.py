"""Documents → entries: which entry of each stage's mixture a document belongs to, where a recipe has any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.document import id_bits
from pipelines.ledger import Account
from pipelines.mixture.selection import Selection
from pipelines.recipe_mix import StageMix
from pipelines.steps.step import Body, Finished, RunFailed, Steps
from pipelines.storage import FileEntry, read_batches, read_table, write_parquet

STEP = "06-select"
COLUMNS = ["id", "uri", "source", "kind", "language", "license"]


def needed(stages: Mapping[str, StageMix]) -> bool:
    """Whether any stage selects by more than the names of sources."""
    return any(mix.entries for mix in stages.values())


def run(
    steps: Steps, stages: Mapping[str, StageMix], documents: Finished, measured: Sequence[Finished]
) -> Finished | None:
    """Run the step: a table of ids with a column of labels for each stage; None where no stage has entries.

    `measured` are the steps whose signals entries go by. The step's account is empty: it decides on no record.
    """
    asked = {name: mix.entries for name, mix in stages.items() if mix.entries}
    if not asked:
        return None
    signals = sorted({entry.signal for entries in asked.values() for entry in entries if entry.signal is not None})

    def body(folder: Path, _: str) -> Body:
        selections = {name: Selection(entries) for name, entries in asked.items()}
        ids: list[pa.ChunkedArray] = []
        sources: list[pa.ChunkedArray] = []
        sizes: list[pa.ChunkedArray] = []
        parts = documents.parts("documents")
        values = _Signals(measured, signals) if signals else None
        for number, path in enumerate(parts):
            about = read_table(path, COLUMNS)
            if values is not None:
                about = values.joined(about, number, len(parts))
            for selection in selections.values():
                selection.add(about)
            ids.append(about["id"])
            sources.append(about["source"])
            lengths = [pc.binary_length(table["text"]) for table in read_batches(path, 4096, ["text"])]
            sizes.append(pa.chunked_array([one for each in lengths for one in each.chunks], pa.int64()))
        bits = id_bits(pa.chunked_array([one for each in ids for one in each.chunks], pa.string()))
        found = {name: selection.done(bits) for name, selection in selections.items()}
        borders = np.cumsum([0, *(len(one) for one in ids)])
        files: list[FileEntry] = []
        for number, own in enumerate(ids):
            part = slice(borders[number], borders[number + 1])
            columns = {f"stage.{name}": pa.array(labels[part]) for name, (labels, _) in found.items()}
            path = folder / "labels" / f"part-{number:05d}.parquet"
            files.append(write_parquet(path, pa.table({"id": own, **columns})))
        source = pa.chunked_array([one for each in sources for one in each.chunks], pa.string())
        size = pa.chunked_array([one for each in sizes for one in each.chunks], pa.int64())
        facts: dict[str, Any] = {}
        for name, (labels, counts) in found.items():
            table = pa.table({"entry": pa.array(labels), "source": source, "bytes": size})
            told = table.group_by(["entry", "source"]).aggregate([("bytes", "sum"), ([], "count_all")])
            facts[name] = [_told(entry.name, at, counts[at], told) for at, entry in enumerate(asked[name])]
        return Body(Account(), {"labels": files}, {"documents": len(bits), "entries": facts})

    return steps.perform(
        STEP,
        code=("pipelines.mixture", "pipelines.recipe_mix", "pipelines.steps.select"),
        parameters={
            name: [entry.model_dump(mode="json", exclude={"share", "epochs"}) for entry in entries]
            for name, entries in asked.items()
        },
        inputs=[documents.digest, *(one.digest for one in measured if signals)],
        body=body,
    )


def _told(name: str, at: int, fitting: int, told: pa.Table) -> dict[str, Any]:
    """Say how many documents an entry is for, how many of them no entry before it has, and of which sources."""
    own = told.filter(pc.equal(told["entry"], at))
    by_source = dict(zip(own["source"].to_pylist(), own["bytes_sum"].to_pylist(), strict=True))
    documents = int(pc.sum(own["count_all"]).as_py() or 0)
    return {"name": name, "fits": fitting, "documents": documents, "bytes": dict(sorted(by_source.items()))}


class _Signals:
    """Signals of several steps, joined to documents by id."""

    def __init__(self, measured: Sequence[Finished], signals: Sequence[str]) -> None:
        self._measured, self._signals = measured, list(signals)

    def joined(self, about: pa.Table, number: int, parts: int) -> pa.Table:
        """Append the signals of a part of documents, null where a document was not measured."""
        tables: list[pa.Table] = []
        for done in self._measured:
            paths = done.parts("signals")
            # Equal numbers of parts are equal partitions of the ids.
            near = [paths[number]] if len(paths) == parts else paths
            tables += [read_table(path, ["id", *self._signals]) for path in near]
        known = pa.concat_tables(tables)
        rows = pc.index_in(about["id"], value_set=known["id"])
        if rows.null_count == len(rows) and len(rows):
            raise RunFailed(f"step {STEP}: no document of part {number} has signals; build the run again")
        for name in self._signals:
            about = about.append_column(name, known[name].take(rows))
        return about


def notes(done: Finished | None, stage: str) -> dict[str, str]:
    """Return for each entry that has no documents of its own why that is so."""
    if done is None or done.planned:
        return {}
    found: dict[str, str] = {}
    for told in done.facts["entries"].get(stage, ()):
        if not told["fits"]:
            found[told["name"]] = "no document fits it"
        elif not told["documents"]:
            found[told["name"]] = f"the {told['fits']:,} documents that fit it belong to entries before it"
    return found


def weights_by_source(mix: StageMix, stage: str, done: Finished | None) -> dict[str, float]:
    """Return what share of a stage comes from each source, by bytes where entries divide a source."""
    if done is None or stage not in done.facts.get("entries", {}):
        return {} if mix.entries else mix.shares()
    shares = mix.shares()
    found: dict[str, float] = {}
    for told in done.facts["entries"][stage]:
        total = sum(told["bytes"].values())
        for source, size in told["bytes"].items() if total else ():
            found[source] = found.get(source, 0.0) + shares.get(told["name"], 0.0) * size / total
    return found
