"""Documents and tokens of several runs → one of each: where a record is in two runs, the first run's stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.document import DOCUMENT_SCHEMA
from pipelines.engines.plan import Output, Plan, Shard, Tables
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, verdicts
from pipelines.steps.step import LEDGER_OUTPUT, Body, Finished, Steps, partition_shards
from pipelines.steps.tokenize import TOKENS_SCHEMA
from pipelines.storage import at, read_batches, read_table

STEP = "06-merge"
AGAIN = "in-another-run"


@dataclass(frozen=True)
class ReadTogether:
    """Reads one partition of every run, the first run first; column `again` marks ids that an earlier run has."""

    rows: int = 4096

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables."""
        known = pa.chunked_array([], pa.string())
        for path in map(at, shard.payload):
            own = read_table(path, ["id"])["id"].cast(pa.string())
            for table in read_batches(path, self.rows):
                again = pc.is_in(table["id"].cast(pa.string()), value_set=known.combine_chunks())
                yield table.append_column("again", again)
            known = pa.chunked_array([*known.chunks, *own.chunks], pa.string())


@dataclass(frozen=True)
class Once:
    """Keeps a document where no earlier run has it; a verdict for each."""

    def __call__(self, table: pa.Table) -> Tables:
        """Return documents and ledger rows."""
        again = table["again"]
        ledger = verdicts(table, STEP, verdict=pc.if_else(again, DROPPED, KEPT), reason=pc.if_else(again, AGAIN, ""))
        documents = table.filter(pc.invert(again)).select(DOCUMENT_SCHEMA.names).cast(DOCUMENT_SCHEMA)
        return {"documents": documents, "ledger": ledger.cast(LEDGER_SCHEMA)}


@dataclass(frozen=True)
class TokensOnce:
    """Keeps the tokens of a document where no earlier run has them."""

    def __call__(self, table: pa.Table) -> Tables:
        """Return tokens."""
        return {"tokens": table.filter(pc.invert(table["again"])).select(TOKENS_SCHEMA.names).cast(TOKENS_SCHEMA)}


def run(steps: Steps, documents: Sequence[Finished], tokenized: Sequence[Finished]) -> Finished:
    """Run the step; all runs have the same partitions and were tokenized alike."""

    def body(folder: Path, _: str) -> Body:
        plan = Plan(
            name=STEP,
            shards=partition_shards([one.parts("documents") for one in documents]),
            read=ReadTogether(),
            emit=Once(),
            outputs={"documents": Output(DOCUMENT_SCHEMA), "ledger": LEDGER_OUTPUT},
            conserve=("ledger",),
        )
        done = steps.run_plan(plan, folder)
        tokens = Plan(
            name=f"{STEP} tokens",
            shards=partition_shards([one.parts("tokens") for one in tokenized]),
            read=ReadTogether(1024),
            emit=TokensOnce(),
            outputs={"tokens": Output(TOKENS_SCHEMA)},
        )
        done.outputs["tokens"] = steps.run(tokens, folder).files["tokens"]
        return done

    return steps.perform(
        STEP,
        code=("pipelines.steps.merge",),
        parameters={},
        inputs=[one.digest for one in (*documents, *tokenized)],
        body=body,
    )
