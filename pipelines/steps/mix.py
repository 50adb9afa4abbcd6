"""Documents + tokens → mixtures: weighted Parquet and tokenised shards for each stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines import mixture
from pipelines.document import id_bits
from pipelines.engines.plan import Output, Plan, Shard, Tables
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, verdicts
from pipelines.recipe import Recipe, StageMix
from pipelines.steps.step import (
    LEDGER_OUTPUT,
    Body,
    Finished,
    RunFailed,
    Steps,
    partition_shards,
)
from pipelines.steps.token_shards import Laid, TokenShard, lay_out, write_tokens
from pipelines.storage import at, read_batches, read_table, remove, remove_file, sha256, write_json, write_parquet
from pipelines.storage import publish as publish_file

HELDOUT = "heldout"
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


@dataclass(frozen=True)
class Choices:
    """Everything decided about a mixture: a row per document, a column per stage."""

    supply: mixture.Supply
    ids: pa.Array
    borders: NDArray[np.int64]
    """Row at which each part of the documents begins, and the number of rows."""
    stages: Mapping[str, mixture.Chosen]


def choose(tokenized: Finished, recipe: Recipe) -> Choices:
    """Decide which documents each stage takes. Raises RunFailed when a stage is infeasible."""
    parts = [read_table(path, ["id", "source", "count"]) for path in tokenized.parts("tokens")]
    borders = np.cumsum([0, *(part.num_rows for part in parts)])
    listing = pa.concat_tables(parts)
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
    return Choices(supply, listing["id"].combine_chunks(), borders, stages)


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


@dataclass(frozen=True)
class ReadChosen:
    """Reads the documents of one part with what is decided about them; columns `stage.<name>`, and `tokens`."""

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables of documents."""
        listing = read_table(at(shard.payload[1]))
        columns = ["id", "uri", "source", "kind", "language", "license", "text"]
        for table in read_batches(at(shard.payload[0]), 4096, columns):
            found = pc.index_in(table["id"], value_set=listing["id"]).combine_chunks()
            if found.null_count:  # its encoding failed, and the ledger of that step says why
                table, found = table.filter(pc.is_valid(found)), found.drop_null()
            for name in listing.column_names[1:]:
                table = table.append_column(name, listing[name].take(found))
            yield table


@dataclass(frozen=True)
class Take:
    """Joins documents with what the stages take of them."""

    step: str
    stages: tuple[str, ...]

    def __call__(self, table: pa.Table) -> Tables:
        """Return one table a stage and the ledger."""
        tables: dict[str, pa.Table] = {}
        used = pa.repeat(pa.scalar(False), table.num_rows)
        repeats = {stage: table[f"stage.{stage}"] for stage in self.stages}
        for stage in self.stages:
            taken = pc.greater(repeats[stage], 0)
            used = pc.or_(used, taken)
            weights = repeats[stage].filter(taken).cast(pa.float64())
            documents = table.filter(taken).select(MIXTURE_SCHEMA.names[:-1])
            tables[stage] = documents.append_column("weight", weights).cast(MIXTURE_SCHEMA)
        taken = [pc.binary_join_element_wise(f'"{name}":', one.cast(pa.string()), "") for name, one in repeats.items()]
        evidence = pc.binary_join_element_wise('{"stages":{', pc.binary_join_element_wise(*taken, ","), "}}", "")
        tables["ledger"] = verdicts(
            table,
            self.step,
            verdict=pc.if_else(used, KEPT, DROPPED),
            reason=pc.if_else(used, "", "not-selected"),
            evidence=evidence,
        ).cast(LEDGER_SCHEMA)
        return tables


def run(steps: Steps, recipe: Recipe, documents: Finished, trained: Finished, tokenized: Finished) -> Finished:
    """Run the step: `<stage>/part-*.parquet` and `tokens-<stage>/` for every stage."""
    step = "08-mix"

    def body(folder: Path, _: str) -> Body:
        choices = choose(tokenized, recipe)
        listing = pa.table(
            {
                "id": choices.ids,
                "tokens": pa.array(choices.supply.tokens.astype(np.int32)),
                **{f"stage.{name}": pa.array(one.repeats) for name, one in choices.stages.items()},
            }
        )
        chosen = [folder / "choices" / f"part-{part:05d}.parquet" for part in range(len(choices.borders) - 1)]
        for path, (start, stop) in zip(chosen, pairwise(choices.borders), strict=True):
            write_parquet(path, listing.slice(start, stop - start))
        plan = Plan(
            name=step,
            shards=partition_shards([documents.parts("documents"), chosen]),
            read=ReadChosen(),
            emit=Take(step, tuple(choices.stages)),
            outputs={name: Output(MIXTURE_SCHEMA) for name in choices.stages} | {"ledger": LEDGER_OUTPUT},
            conserve=("ledger",),
        )
        done = steps.run_plan(plan, folder)
        eos, vocabulary = int(trained.facts["eos_id"]), int(trained.facts["vocab_size"])
        dtype = "uint16" if vocabulary <= 65_535 else "uint32"
        facts: dict[str, Any] = {"stages": {}, "vocab_size": vocabulary, "eos_id": eos, "dtype": dtype}
        scrap = ["choices"]
        for name, one in choices.stages.items():
            laid = order_stage(choices, name, recipe.seed)
            shards = TokenShard(".bin", dtype, eos)
            done.outputs[f"tokens-{name}"] = write_tokens(steps, folder, laid, tokenized, shards)
            scrap.append(f"places-{name}")
            facts["stages"][name] = {
                "tokens": one.tokens,
                "target_weights": one.target_weights,
                "realised_weights": one.realised_weights,
                "epochs": one.epochs,
                "epoch_caps": one.epoch_caps,
            }
        done.facts, done.scrap = facts, tuple(scrap)
        return done

    return steps.perform(
        step,
        code=("pipelines.mixture", "pipelines.steps.mix", "pipelines.steps.token_shards"),
        parameters={
            "seed": recipe.seed,
            "heldout": recipe.heldout.model_dump(),
            "stages": {name: mix.model_dump(mode="json") for name, mix in recipe.stages.items()},
        },
        inputs=[documents.digest, trained.digest, tokenized.digest],
        body=body,
    )


def order_stage(choices: Choices, stage: str, seed: int) -> Laid:
    """Lay a stage's documents out in training order, repeats written out."""
    supply, one = choices.supply, choices.stages[stage]
    rows = mixture.order(supply, one.repeats, stage, seed)
    names = pa.array(supply.names).take(pa.array(supply.source[rows]))
    return lay_out(stage, rows, supply.tokens[rows], choices.ids.take(pa.array(rows)), names, choices.borders)


def publish(
    run_folder: Path,
    recipe: Recipe,
    mixed: Finished,
    trained: Finished,
    certificate: Mapping[str, Any] | None = None,
) -> list[str]:
    """Lay the mixture out in the run folder with a manifest for each stage; return the stages' names.

    `certificate` says how the documents were checked against benchmarks, and stands in every manifest.

    Files are hard links to the step's where the file system has them, else copies.
    """
    tokenizer_path = run_folder / "tokenizer" / "tokenizer.json"
    publish_file(trained.parts("tokenizer")[0], tokenizer_path)
    reference = {"path": "../../tokenizer/tokenizer.json", "sha256": sha256(tokenizer_path)}
    for stage, facts in mixed.facts["stages"].items():
        folder = run_folder / "mixture" / stage
        _fresh(folder)
        shards: list[dict[str, Any]] = []
        for entry in mixed.outputs[stage]:
            source, target = mixed.folder / entry.path, folder / Path(entry.path).name
            publish_file(source, target)
            table = read_table(source, ["tokens", "weight"])
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
            "decontamination": dict(certificate or {"checked": False, "why": "no step of the run checked it"}),
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
        publish_file(mixed.folder / entry.path, target)
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
    remove_file(folder / "manifest.json")
    remove(folder)
