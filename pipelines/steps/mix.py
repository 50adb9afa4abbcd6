"""Documents + tokens → mixtures: weighted Parquet and tokenised shards for each stage."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines import mixture, tokenizer
from pipelines.document import id_bits
from pipelines.engines.plan import Engine, Output, Plan, Tables
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, verdicts
from pipelines.recipe import Recipe, StageMix
from pipelines.steps.step import (
    LEDGER_OUTPUT,
    Body,
    Finished,
    ReadParts,
    RunFailed,
    partition_shards,
    perform,
    run_plan,
)
from pipelines.storage import FileEntry, atomic, sha256, write_json, write_parquet

HELDOUT = "heldout"
SHARD_TOKENS = 64 << 20
"""Tokens in one tokenised shard."""

MIXTURE_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("language", pa.string()),
        pa.field("license", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("text", pa.large_string()),
        pa.field("tokens", pa.int32()),
        pa.field("weight", pa.float64()),
    ]
)
"""`tokens` counts with the end mark; `weight` is how often the stage takes the document."""

ORDER_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.int32()),
        pa.field("start", pa.int64()),
        pa.field("length", pa.int32()),
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
    ]
)


@dataclass(frozen=True)
class Choices:
    """Everything decided about a mixture: a row per document, a column per stage."""

    supply: mixture.Supply
    ids: pa.Array
    stages: Mapping[str, mixture.Chosen]


def choose(tokenized: Finished, recipe: Recipe) -> Choices:
    """Decide which documents each stage takes. Raises RunFailed when a stage is infeasible."""
    listing = tokenized.table("tokens", ["id", "source", "count"])
    encoded = listing["source"].combine_chunks().dictionary_encode()
    supply = mixture.Supply(
        id_bits(listing["id"]),
        encoded.indices.to_numpy().astype(np.int32),
        listing["count"].to_numpy().astype(np.int64),
        tuple(encoded.dictionary.to_pylist()),
    )
    apart = mixture.heldout(supply, recipe.heldout.fraction, recipe.seed)
    stages: dict[str, mixture.Chosen] = {}
    problems: list[str] = []
    for name, mix in recipe.stages.items():
        try:
            stages[name] = mixture.choose(supply, ~apart, name, mix, recipe.seed)
        except mixture.Infeasible as error:
            problems.append(str(error))
    if problems:
        raise RunFailed("\n".join(problems))
    if recipe.heldout.fraction:
        stages[HELDOUT] = _natural(supply, apart, recipe.seed)
    return Choices(supply, listing["id"].combine_chunks(), stages)


def _natural(supply: mixture.Supply, apart: NDArray[np.bool_], seed: int) -> mixture.Chosen:
    """Take the held-out documents once each, in the shares that they have."""
    if not apart.any():
        raise RunFailed(
            f"heldout.fraction chose none of {len(apart)} documents: "
            "raise it, or set it to 0 to train without evaluation"
        )
    tokens = {
        name: int(supply.tokens[rows][apart[rows]].sum()) for name in supply.names for rows in [supply.rows_of(name)]
    }
    total = sum(tokens.values())
    weights = {name: count / total for name, count in tokens.items()}
    mix = StageMix.model_construct(weights=weights, tokens=total, epochs=1.0)
    return mixture.choose(supply, apart, HELDOUT, mix, seed)


@lru_cache(maxsize=2)
def _choices(path: str) -> pa.Table:
    return pq.read_table(path)


@dataclass(frozen=True)
class Take:
    """Joins documents with what the stages take of them."""

    step: str
    choices: str

    def __call__(self, table: pa.Table) -> Tables:
        """Return one table a stage and the ledger."""
        listing = _choices(self.choices)
        rows = pc.index_in(table["id"], value_set=listing["id"])
        chosen = listing.take(rows.combine_chunks() if isinstance(rows, pa.ChunkedArray) else rows)
        stages = [name for name in listing.column_names if name not in ("id", "tokens")]
        tables: dict[str, pa.Table] = {}
        used = pa.repeat(pa.scalar(False), table.num_rows)
        for stage in stages:
            taken = pc.greater(chosen[stage], 0)
            used = pc.or_(used, taken)
            weights = chosen[stage].filter(taken).cast(pa.float64())
            documents = table.filter(taken).select(MIXTURE_SCHEMA.names[:-2])
            tables[stage] = (
                documents.append_column("tokens", chosen["tokens"].filter(taken))
                .append_column("weight", weights)
                .cast(MIXTURE_SCHEMA)
            )
        taken = [pc.binary_join_element_wise(f'"{stage}":', chosen[stage].cast(pa.string()), "") for stage in stages]
        evidence = pc.binary_join_element_wise('{"stages":{', pc.binary_join_element_wise(*taken, ","), "}}", "")
        tables["ledger"] = verdicts(
            table,
            self.step,
            verdict=pc.if_else(used, KEPT, DROPPED),
            reason=pc.if_else(used, "", "not-selected"),
            evidence=evidence,
        ).cast(LEDGER_SCHEMA)
        return tables


def run(
    engine: Engine, root: Path, recipe: Recipe, documents: Finished, trained: Finished, tokenized: Finished
) -> Finished:
    """Run the step: `<stage>/part-*.parquet` and `tokens-<stage>/` for every stage."""
    step = "08-mix"

    def body(folder: Path) -> Body:
        choices = choose(tokenized, recipe)
        counts = {name: pa.array(one.repeats) for name, one in choices.stages.items()}
        listing = pa.table({"id": choices.ids, "tokens": pa.array(choices.supply.tokens.astype(np.int32)), **counts})
        write_parquet(folder / "choices" / "part-00000.parquet", listing)
        plan = Plan(
            name=step,
            shards=partition_shards([documents.parts("documents")]),
            read=ReadParts(("id", "uri", "source", "kind", "language", "license", "text")),
            emit=Take(step, str(folder / "choices" / "part-00000.parquet")),
            outputs={name: Output(MIXTURE_SCHEMA) for name in choices.stages} | {"ledger": LEDGER_OUTPUT},
        )
        done = run_plan(engine, plan, folder)
        library = tokenizer.load(trained.parts("tokenizer")[0])
        eos = library.token_to_id("<eos>")
        assert eos is not None  # the tokenizer step puts it in
        dtype = "uint16" if library.get_vocab_size() <= 65_535 else "uint32"
        facts: dict[str, Any] = {"stages": {}, "vocab_size": library.get_vocab_size(), "eos_id": eos, "dtype": dtype}
        for name, one in choices.stages.items():
            done.outputs[f"tokens-{name}"] = write_tokens(folder, name, choices, tokenized, recipe.seed, eos, dtype)
            facts["stages"][name] = {
                "tokens": one.tokens,
                "target_weights": one.target_weights,
                "realised_weights": one.realised_weights,
                "epochs": one.epochs,
                "epoch_caps": one.epoch_caps,
            }
        done.facts = facts
        return done

    return perform(
        root,
        step,
        code=("pipelines.mixture", "pipelines.steps.mix"),
        parameters={
            "seed": recipe.seed,
            "heldout": recipe.heldout.model_dump(),
            "stages": {name: mix.model_dump(mode="json") for name, mix in recipe.stages.items()},
        },
        inputs=[documents.digest, trained.digest, tokenized.digest],
        body=body,
    )


def write_tokens(
    folder: Path, stage: str, choices: Choices, tokenized: Finished, seed: int, eos: int, dtype: str
) -> list[FileEntry]:
    """Write a stage's documents in training order, repeats written out, each ended by `eos`."""
    supply, one = choices.supply, choices.stages[stage]
    rows = mixture.order(supply, one.repeats, stage, seed)
    stored = np.dtype(dtype).newbyteorder("<")
    end = np.asarray(eos, stored).tobytes()
    parts = [pq.read_table(path, columns=["tokens"])["tokens"].combine_chunks() for path in tokenized.parts("tokens")]
    sizes = np.cumsum([0] + [len(part) for part in parts])
    values = [part.values.to_numpy() for part in parts]
    offsets = [part.offsets.to_numpy() for part in parts]
    lengths = supply.tokens[rows]
    ends = np.cumsum(lengths)
    shard = (ends - lengths) // SHARD_TOKENS
    bases = np.zeros(int(shard[-1]) + 1 if len(shard) else 1, np.int64)
    files: list[FileEntry] = []
    for number in range(len(bases)):
        inside = np.flatnonzero(shard == number)
        bases[number] = (ends - lengths)[inside[0]] if len(inside) else 0
        path = folder / f"tokens-{stage}" / f"part-{number:05d}.bin"
        with atomic(path) as temporary, temporary.open("wb") as sink:
            for row in rows[inside]:
                part = int(np.searchsorted(sizes, row, side="right")) - 1
                at = int(row - sizes[part])
                sink.write(values[part][offsets[part][at] : offsets[part][at + 1]].astype(stored).tobytes())
                sink.write(end)
        count = int(lengths[inside].sum())
        files.append(
            FileEntry(path=f"tokens-{stage}/{path.name}", rows=count, bytes=path.stat().st_size, sha256=sha256(path))
        )
    names = pa.array(supply.names)
    order = pa.table(
        [
            pa.array(shard.astype(np.int32)),
            pa.array(ends - lengths - bases[shard] if len(shard) else ends),
            pa.array(lengths.astype(np.int32)),
            choices.ids.take(pa.array(rows)).cast(pa.string()),
            names.take(pa.array(supply.source[rows])).cast(pa.string()),
        ],
        schema=ORDER_SCHEMA,
    )
    files.append(write_parquet(folder / f"tokens-{stage}" / "documents.parquet", order))
    return files


def publish(run_folder: Path, recipe: Recipe, mixed: Finished, trained: Finished) -> list[str]:
    """Lay the mixture out in the run folder with a manifest for each stage; return the stages' names.

    Files are hard links to the step's where the file system has them, else copies.
    """
    tokenizer_path = run_folder / "tokenizer" / "tokenizer.json"
    _link(trained.parts("tokenizer")[0], tokenizer_path)
    reference = {"path": "../../tokenizer/tokenizer.json", "sha256": sha256(tokenizer_path)}
    for stage, facts in mixed.facts["stages"].items():
        folder = run_folder / "mixture" / stage
        _fresh(folder)
        shards: list[dict[str, Any]] = []
        for entry in mixed.outputs[stage]:
            source, target = mixed.folder / entry.path, folder / Path(entry.path).name
            _link(source, target)
            table = pq.read_table(source, columns=["tokens", "weight"])
            tokens = int(pc.sum(pc.multiply(table["tokens"].cast(pa.float64()), table["weight"])).as_py() or 0)
            shards.append(
                {
                    "path": target.name,
                    "sha256": entry.sha256,
                    "rows": entry.rows,
                    "tokens": tokens,
                    "bytes": entry.bytes,
                }
            )
        manifest = {
            "stage": stage,
            "purpose": "evaluation" if stage == HELDOUT else "training",
            "recipe": {"name": recipe.name, "digest": recipe.digest},
            "shards": shards,
            **facts,
            "total_tokens": sum(facts["tokens"].values()),
            "order_seed": recipe.seed,
            "tokenizer": reference,
        }
        write_json(folder / "manifest.json", manifest)
        _publish_tokens(run_folder / "tokens" / stage, stage, mixed, facts, reference)
    return list(mixed.facts["stages"])


def _publish_tokens(
    folder: Path, stage: str, mixed: Finished, facts: Mapping[str, Any], reference: Mapping[str, str]
) -> None:
    _fresh(folder)
    shards: list[dict[str, Any]] = []
    for entry in mixed.outputs[f"tokens-{stage}"]:
        target = folder / Path(entry.path).name
        _link(mixed.folder / entry.path, target)
        if target.suffix == ".bin":
            shards.append({"path": target.name, "sha256": entry.sha256, "tokens": entry.rows})
    write_json(
        folder / "manifest.json",
        {
            "stage": stage,
            "dtype": mixed.facts["dtype"],
            "vocab_size": mixed.facts["vocab_size"],
            "eos_id": mixed.facts["eos_id"],
            "tokens": sum(facts["tokens"].values()),
            "sources": facts["tokens"],
            "shards": shards,
            "documents": "documents.parquet",
            "tokenizer": reference,
        },
    )


def _fresh(folder: Path) -> None:
    """Empty a folder of an earlier build, its manifest first, so that no reader sees half of two mixtures."""
    (folder / "manifest.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
