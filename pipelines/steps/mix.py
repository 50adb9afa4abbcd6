"""Documents + tokens → mixtures: weighted Parquet and tokenised shards for each stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from pipelines.mixture.repetition import told, worth
from pipelines.mixture_presets import PRESETS
from pipelines.recipe import Recipe
from pipelines.recipe_mix import Entry, StageMix
from pipelines.steps import select
from pipelines.steps.beside import Beside
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
        pa.field("entry", pa.string()),
    ]
)
"""`tokens` counts with the end mark; `weight` is how often the stage takes the document, `entry` what it counts for.

A weight that is not whole takes only the first tokens the last time: `tokens · weight` of them in all.
"""


@dataclass(frozen=True)
class Choices:
    """Everything decided about a mixture: a row per document, a column per stage."""

    supply: mixture.Supply
    ids: pa.Array
    borders: NDArray[np.int64]
    """Row at which each part of the documents begins, and the number of rows."""
    stages: Mapping[str, mixture.Chosen]


class Unmixable(RunFailed):
    """Stages ask for more than there is; `problems` has the numbers and the nearest mixtures of each."""

    def __init__(self, problems: Sequence[mixture.Infeasible]) -> None:
        """Keep the problems; the message is all of theirs."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def choose(tokenized: Finished, recipe: Recipe, selected: Finished | None = None) -> Choices:
    """Decide which documents each stage takes. Raises Unmixable when a stage is infeasible.

    `selected` says which entry a document belongs to, where a stage has entries.
    """
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
    problems: list[mixture.Infeasible] = []
    labels = _labels(listing["id"], borders, selected)
    for name, mix in recipe.stages.items():
        try:
            why = select.notes(selected, name)
            within = sequence_length(recipe, name) or mixture.SEQUENCE
            stages[name] = mixture.choose(supply, ~apart, name, mix, recipe.seed, labels.get(name), why, within)
        except mixture.Infeasible as error:
            problems.append(error)
    if problems:
        raise Unmixable(problems)
    if recipe.heldout.fraction:
        stages[HELDOUT] = _natural(supply, apart, recipe.seed)
    return Choices(supply, listing["id"].combine_chunks(), borders, stages)


def _labels(
    ids: pa.ChunkedArray, borders: NDArray[np.int64], selected: Finished | None
) -> dict[str, NDArray[np.int16]]:
    """Return each stage's labels in the order of the ids, which are those of the step that selected or fewer."""
    if selected is None:
        return {}
    found: dict[str, list[NDArray[np.int16]]] = {}
    for (start, stop), path in zip(pairwise(borders.tolist()), selected.parts("labels"), strict=True):
        table = read_table(path)
        rows = pc.index_in(ids.slice(start, stop - start), value_set=table["id"])
        for column in table.column_names[1:]:
            found.setdefault(column.removeprefix("stage."), []).append(table[column].take(rows).to_numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


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
        listing = Beside(read_table(at(shard.payload[1])))
        columns = ["id", "uri", "source", "kind", "language", "license", "text"]
        for table in read_batches(at(shard.payload[0]), 4096, columns):
            found = listing.rows(table["id"])
            if found.null_count:  # its encoding failed, and the ledger of that step says why
                table, found = table.filter(pc.is_valid(found)), found.drop_null()
            told = listing.table.take(found)
            for name in told.column_names[1:]:
                table = table.append_column(name, told[name])
            yield table


@dataclass(frozen=True)
class Take:
    """Joins documents with what the stages take of them; `entries` are the names that a stage's labels stand for."""

    step: str
    entries: Mapping[str, tuple[str, ...]]

    def __call__(self, table: pa.Table) -> Tables:
        """Return one table a stage and the ledger."""
        tables: dict[str, pa.Table] = {}
        used = pa.repeat(pa.scalar(False), table.num_rows)
        repeats = {stage: table[f"stage.{stage}"] for stage in self.entries}
        for stage, names in self.entries.items():
            taken = pc.greater(repeats[stage], 0)
            used = pc.or_(used, taken)
            weights = repeats[stage].filter(taken)
            entry = pa.array(names, pa.string()).take(table[f"entry.{stage}"].filter(taken).combine_chunks())
            documents = table.filter(taken).select(MIXTURE_SCHEMA.names[:-2])
            tables[stage] = (
                documents.append_column("weight", weights).append_column("entry", entry).cast(MIXTURE_SCHEMA)
            )
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


def run(
    steps: Steps,
    recipe: Recipe,
    documents: Finished,
    trained: Finished,
    tokenized: Finished,
    selected: Finished | None = None,
) -> Finished:
    """Run the step: `<stage>/part-*.parquet` and `tokens-<stage>/` for every stage."""
    step = "08-mix"

    def body(folder: Path, _: str) -> Body:
        choices = choose(tokenized, recipe, selected)
        listing = pa.table(
            {
                "id": choices.ids,
                "tokens": pa.array(choices.supply.tokens.astype(np.int32)),
                **{f"stage.{name}": pa.array(one.weights(choices.supply)) for name, one in choices.stages.items()},
                **{f"entry.{name}": pa.array(one.labels) for name, one in choices.stages.items()},
            }
        )
        chosen = [folder / "choices" / f"part-{part:05d}.parquet" for part in range(len(choices.borders) - 1)]
        for path, (start, stop) in zip(chosen, pairwise(choices.borders), strict=True):
            write_parquet(path, listing.slice(start, stop - start))
        plan = Plan(
            name=step,
            shards=partition_shards([documents.parts("documents"), chosen]),
            read=ReadChosen(),
            emit=Take(step, {name: tuple(one.tokens) for name, one in choices.stages.items()}),
            outputs={name: Output(MIXTURE_SCHEMA) for name in choices.stages} | {"ledger": LEDGER_OUTPUT},
            conserve=("ledger",),
        )
        done = steps.run_plan(plan, folder)
        eos, vocabulary = int(trained.facts["eos_id"]), int(trained.facts["vocab_size"])
        dtype = "uint16" if vocabulary <= 65_535 else "uint32"
        facts: dict[str, Any] = {"stages": {}, "vocab_size": vocabulary, "eos_id": eos, "dtype": dtype}
        facts["shard_tokens"] = {name: _tokens_of_parts(choices, one) for name, one in choices.stages.items()}
        scrap = ["choices"]
        repeated = together(choices)
        for name, one in choices.stages.items():
            laid = order_stage(choices, name, recipe.seed)
            shards = TokenShard(".bin", dtype, eos)
            done.outputs[f"tokens-{name}"] = write_tokens(steps, folder, laid, tokenized, shards)
            scrap.append(f"places-{name}")
            facts["stages"][name] = described(one, recipe.stages.get(name)) | repeated.get(name, {})
        done.facts, done.scrap = facts, tuple(scrap)
        return done

    return steps.perform(
        step,
        code=(
            "pipelines.mixture",
            "pipelines.recipe_mix",
            "pipelines.steps.beside",
            "pipelines.steps.mix",
            "pipelines.steps.token_shards",
        ),
        parameters={
            "seed": recipe.seed,
            "heldout": recipe.heldout.model_dump(),
            "stages": {name: mix.model_dump(mode="json") for name, mix in recipe.stages.items()},
            "sequences": {name: sequence_length(recipe, name) for name in recipe.stages},
        },
        inputs=[
            *(documents.digest, trained.digest, tokenized.digest),
            *([] if selected is None else [selected.digest]),
        ],
        body=body,
    )


def _tokens_of_parts(choices: Choices, one: mixture.Chosen) -> list[int]:
    """Count the tokens, with repeats and parts of documents, that a stage takes of each part of the documents."""
    taken = one.repeats.astype(np.int64) * choices.supply.tokens + mixture.cut_tokens(one.cuts, len(one.repeats))
    before = np.concatenate([[0], np.cumsum(taken)])
    return [int(count) for count in np.diff(before[choices.borders])]


def described(one: mixture.Chosen, mix: StageMix | None) -> dict[str, Any]:
    """Return what a stage's manifest says of its mixture; `mix` is what was asked for, None for what is held out."""
    facts: dict[str, Any] = {
        "tokens": one.tokens,
        "target_weights": one.target_weights,
        "realised_weights": one.realised_weights,
        "epochs": one.epochs,
        "epoch_caps": one.epoch_caps,
        "sources": one.sources,
        "supply": one.supply,
        "short": one.short,
        "exact_to": one.within,
        "cut_documents": len(one.cuts),
        "effective_tokens": one.effective_tokens,
        "repetition_cost": one.repetition_cost,
        "entries": [] if mix is None else [_selector(entry) for entry in mix.entries],
    }
    if mix is not None:
        facts["budget"] = mix.tokens
        if mix.preset is not None:
            preset = PRESETS[mix.preset]
            facts["preset"] = {"name": mix.preset, "source": preset.source, "unpublished": list(preset.unpublished)}
    if len(one.phases) > 1:
        facts["phases"] = [
            {"tokens": phase.tokens, "weights": phase.weights, "realised_weights": phase.realised}
            for phase in one.phases
        ]
    return facts


def together(choices: Choices) -> dict[str, dict[str, Any]]:
    """Return for each training stage what it and those before it take of each source, where there are several.

    A document that several stages take is repeated: what its tokens are worth goes by how often all of them show it.
    """
    names = [name for name in choices.stages if name != HELDOUT]
    supply = choices.supply
    times = np.zeros(len(supply.bits))
    found: dict[str, dict[str, Any]] = {}
    for name in names if len(names) > 1 else ():
        times = times + choices.stages[name].weights(supply)
        seen = times > 0
        taken, unique, value = (
            np.bincount(supply.source[seen], each[seen], len(supply.names))
            for each in (times * supply.tokens, supply.tokens, worth(times, supply.tokens))
        )
        found[name] = {
            "together": {
                source: told(round(taken[at]), round(unique[at]), round(value[at]))
                for at, source in enumerate(supply.names)
                if taken[at]
            }
        }
    return found


def _selector(entry: Entry) -> dict[str, Any]:
    """Return what an entry selects by; what it leaves open is left out."""
    told = entry.model_dump(mode="json", exclude={"share", "epochs"})
    return {name: value for name, value in told.items() if value not in (None, [])}


def order_stage(choices: Choices, stage: str, seed: int) -> Laid:
    """Lay a stage's documents out in training order, repeats written out."""
    supply, one = choices.supply, choices.stages[stage]
    pieces = mixture.phased_order(supply, one, stage, seed)
    rows = pieces[:, 0]
    names = pa.array(supply.names).take(pa.array(supply.source[rows]))
    return lay_out(stage, pieces, choices.ids.take(pa.array(rows)), names, choices.borders)


def publish(
    run_folder: Path,
    recipe: Recipe,
    mixed: Finished,
    trained: Finished,
    certificate: Mapping[str, Any] | None = None,
    digest: str | None = None,
) -> list[str]:
    """Lay the mixture out in the run folder with a manifest for each stage; return the stages' names.

    `certificate` says how the documents were checked against benchmarks, and stands in every
    manifest; `digest` is the recipe's where that is not read whole.

    Files are hard links to the step's where the file system has them, else copies.
    """
    tokenizer_path = run_folder / "tokenizer" / "tokenizer.json"
    publish_file(trained.parts("tokenizer")[0], tokenizer_path)
    reference = {"path": "../../tokenizer/tokenizer.json", "sha256": sha256(tokenizer_path)}
    for stage, facts in mixed.facts["stages"].items():
        folder = run_folder / "mixture" / stage
        _fresh(folder)
        shards: list[dict[str, Any]] = []
        for entry, tokens in zip(mixed.outputs[stage], mixed.facts["shard_tokens"][stage], strict=True):
            source, target = mixed.folder / entry.path, folder / Path(entry.path).name
            publish_file(source, target)
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
            "recipe": {"name": recipe.name, "digest": digest or recipe.digest},
            "shards": shards,
            **facts,
            "total_tokens": sum(facts["tokens"].values()),
            "order_seed": recipe.seed,
            "sequence_length": sequence_length(recipe, stage),
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
            "sources": facts["sources"],
            **({"phases": facts["phases"]} if "phases" in facts else {}),
            "shards": shards,
            "documents": "documents.parquet",
            "tokenizer": reference,
        },
    )


def sequence_length(recipe: Recipe, stage: str) -> int | None:
    """Return the length of a packed sequence of a stage: its own field, else the training section's, else None."""
    mix = recipe.stages.get(stage)
    if mix is not None and mix.sequence_length is not None:
        return mix.sequence_length
    if recipe.train is None:
        return None
    from trainer.recipe import TrainConfig

    trained = TrainConfig.model_validate(recipe.train)
    if stage == HELDOUT:
        return trained.heldout_sequence_length
    return trained.stages[stage].sequence_length if stage in trained.stages else None


def _fresh(folder: Path) -> None:
    """Empty a folder of an earlier build, its manifest first, so that no reader sees half of two mixtures."""
    remove_file(folder / "manifest.json")
    remove(folder)
