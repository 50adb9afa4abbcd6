"""Documents → signals: every number the rules may ask for, measured once.

Rules on lines come first, and everything is measured on what they leave; what they dropped is counted in signals of its
own (`lines.*`). Rules on documents play no part here: another threshold measures nothing again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from filters import Rule
from pipelines import rules
from pipelines.document import DOCUMENT_SCHEMA
from pipelines.engines.plan import Output, Plan, Shard, Tables
from pipelines.ledger import verdicts
from pipelines.recipe import Filters
from pipelines.steps.beside import Beside
from pipelines.steps.step import LEDGER_OUTPUT, Body, Finished, StepErrors, Steps, partition_shards
from pipelines.storage import at, read_batches, read_table, sha256

STEP = "02-measure"


def signals(text: pa.Array | pa.ChunkedArray, filters_of: Filters) -> pa.Table:
    """Measure texts: the columns of the families, then language, its score and the script; a row a text.

    Where the family `mixed` is asked for, the second language is told by its name too, as `language.second`.
    """
    import filters
    from filters import language, mixed
    from filters.expression import SECOND_LANGUAGE

    alone = [name for name in filters_of.families if name != mixed.FAMILY.name]
    measured = filters.measure(text, alone, filters_of.files)
    columns = dict(zip(measured.column_names, measured.columns, strict=True))
    # The family's own measure knows neither names nor another model than lid.176.
    shares = None if len(alone) == len(filters_of.families) else mixed.mixture(text, filters_of.language_model)
    if shares is not None:
        columns |= {f"mixed.{name}": shares[name].cast(pa.float64()) for name in mixed.FAMILY.signals}
    found = language.identify(text, filters_of.language_model)
    columns |= {f"language.{name}": found[name] for name in ("language", "script")}
    columns["language.score"] = found["score"].cast(pa.float64())
    if shares is not None:
        columns[SECOND_LANGUAGE] = shares["second"]
    return pa.table(columns)


def struck(documents: pa.Table, lines: tuple[Rule, ...], language_model: Path | None = None) -> pa.Table:
    """Apply line rules to documents (text, source and kind): what `filters.strike_lines` returns.

    A rule for certain languages goes by the language of the text as it came, which is told as `lines.language`.
    """
    import filters
    from filters import language

    about = documents.select(["source", "kind"])
    named = any(rule.languages or rule.except_languages for rule in lines)
    if named:
        told = language.identify(documents["text"], language_model)["language"]
        about = about.append_column("language", told.cast(pa.string()))
    found = filters.strike_lines(documents["text"], lines, about)
    return found.append_column("lines.language", about["language"]) if named else found


@dataclass(frozen=True)
class Measure:
    """Measures a table of documents; what an earlier run measured of the same text is taken as it is."""

    filters: Filters
    lines: tuple[Rule, ...]
    schema: pa.Schema

    def __call__(self, table: pa.Table) -> Tables:
        """Return signals keyed by id, and a kept row each."""
        new = pc.is_valid(table["text"])
        some = table.filter(new) if table["text"].null_count else table  # a filter would copy every text
        measured = measures(some, self.filters, self.lines)
        measured = measured.add_column(0, "id", some["id"].cast(pa.string())).cast(self.schema)
        if some is not table:
            known = table.filter(pc.invert(new)).select(self.schema.names).cast(self.schema)
            measured = pa.concat_tables([known, measured])
        return {"signals": measured, "ledger": verdicts(table, STEP)}


def measures(documents: pa.Table, filters: Filters, lines: tuple[Rule, ...]) -> pa.Table:
    """Measure documents: the columns of `signals` for what line rules leave of them, then what these dropped.

    Last come the lists of addresses that a document's own is on.
    """
    if not lines:
        found = signals(documents["text"], filters)
    else:
        left = struck(documents, lines, filters.language_model)
        found = signals(left["text"], filters)
        for name in left.column_names[1:]:
            found = found.append_column(left.schema.field(name), left[name])
    for name, path in sorted(filters.domains.items()):
        from filters.safety import domains

        on_list = pa.array(domains.listed(documents["uri"], path).astype("float64"))
        found = found.append_column(f"domains.{name}", on_list)
    return found


@dataclass(frozen=True)
class ReadDocuments:
    """Reads the documents of one part, and beside them the signals that an earlier run has for the same ids.

    A row has either its text, to be measured, or its signals; where no earlier run counts, the columns of the signals
    are left out. `known` are the sources whose ids still stand for the same text.
    """

    schema: pa.Schema
    known: tuple[str, ...]

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables of id, uri, source, kind, text and the signals."""
        earlier, *documents = shard.payload
        columns = ["id", "uri", "source", "kind", "text"]
        if earlier is None:
            yield from (table for path in documents for table in read_batches(at(path), 4096, columns))
            return
        listing = Beside(read_table(at(earlier)))
        for path in documents:
            for table in read_batches(at(path), 4096, columns):
                rows = listing.rows(table["id"])
                trusted = pc.is_in(table["source"], value_set=pa.array(self.known, pa.string()))
                rows = pc.if_else(trusted, rows, pa.scalar(None, pa.int64()))
                text = pc.if_else(pc.is_valid(rows), pa.scalar(None, pa.large_string()), table["text"])
                joined = table.set_column(table.schema.get_field_index("text"), "text", text)
                for field in self.schema:
                    if field.name != "id":
                        joined = joined.append_column(field, listing.table[field.name].take(rows))
                yield joined


def run(steps: Steps, filters: Filters, extracted: list[Finished]) -> Finished:
    """Run the step over the documents of all sources.

    Signals are a function of a text, and an id stands for one text as long as its source is extracted in the same
    way: so signals of an earlier run are taken over, row by row, whatever else its input was.
    """
    from filters import family
    from filters.language import model_path

    lineages = {done.source: done.lineage for done in extracted}
    lines = rules.of_lines(rules.resolved(filters.rules))

    def body(folder: Path, lineage: str) -> Body:
        nothing = DOCUMENT_SCHEMA.empty_table()
        schema = pa.schema([pa.field("id", pa.string()), *measures(nothing, filters, lines).schema])
        parts = [done.parts("documents") for done in extracted]
        earlier, known = _earlier(steps, lineage, lineages, len(parts[0]))
        shards = partition_shards(parts)
        plan = Plan(
            name=STEP,
            shards=[replace(one, payload=(before, *one.payload)) for one, before in zip(shards, earlier, strict=True)],
            read=ReadDocuments(schema, known),
            emit=Measure(filters, lines, schema),
            outputs={"signals": Output(schema), "ledger": LEDGER_OUTPUT},
            emit_fault=StepErrors(STEP),
            conserve=("ledger",),
        )
        done = steps.run_plan(plan, folder)
        done.facts = {"sources": lineages, "known": list(known)}
        return done

    parameters: dict[str, Any] = {
        "families": list(filters.families),
        "references": {
            name: [sha256(file) for file in family(name).files(path)] for name, path in sorted(filters.files.items())
        },
        "language_model": sha256(filters.language_model or model_path()),
        "lines": [rule.model_dump(mode="json") for rule in lines],
        "domains": {name: sha256(path) for name, path in sorted(filters.domains.items())},
    }
    if versions := _versions(filters):
        parameters["versions"] = versions
    return steps.perform(
        STEP,
        code=("kernels", "filters", "pipelines.steps.beside", "pipelines.steps.measure"),
        parameters=parameters,
        inputs=[done.digest for done in extracted],
        body=body,
    )


def _versions(filters_of: Filters) -> dict[str, str]:
    """Versions of packages that only some references need, which enter the digest where they do."""
    import filters

    needed: set[str] = set()
    for name, path in filters_of.files.items():
        if (libraries := filters.family(name).reference_libraries) is not None:
            needed |= set(libraries(path))
    return {name: version(name) for name in sorted(needed)}


def _earlier(
    steps: Steps, lineage: str, lineages: dict[str, str], parts: int
) -> tuple[list[str | None], tuple[str, ...]]:
    """Choose the earlier run that knows most sources: its signals by part, and the sources that count."""
    best: tuple[list[str | None], tuple[str, ...]] = [None] * parts, ()
    for done in steps.earlier(STEP, lineage):
        same = tuple(name for name, made in done.facts["sources"].items() if lineages.get(name) == made)
        if len(same) > len(best[1]) and len(done.outputs["signals"]) == parts:
            best = [str(path) for path in done.parts("signals")], same
    return best
