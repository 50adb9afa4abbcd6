"""A run's documents, tokens and ledger in another number of partitions: it is mixed with runs that have so many."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.document import DOCUMENT_SCHEMA
from pipelines.engines.plan import GroupBy, Output, Plan
from pipelines.ledger import LEDGER_SCHEMA, Account
from pipelines.steps.step import LEDGER_OUTPUT, As, Body, Finished, ReadParts, Steps, by_id, partition_shards
from pipelines.steps.tokenize import TOKENS_SCHEMA
from pipelines.storage import FileEntry

STEP = "06-partition"
_KINDS = (
    ("documents", Output(DOCUMENT_SCHEMA)),
    ("tokens", Output(TOKENS_SCHEMA)),
    ("ledger", LEDGER_OUTPUT),
)
_SCHEMAS = {"documents": DOCUMENT_SCHEMA, "tokens": TOKENS_SCHEMA, "ledger": LEDGER_SCHEMA}


def run(steps: Steps, clean: Finished, tokenized: Finished, finished: Sequence[Finished], partitions: int) -> Finished:
    """Run the step; `finished` are the steps whose ledgers count. Its account is empty: it decides nothing."""

    def body(folder: Path, _: str) -> Body:
        files: dict[str, list[FileEntry]] = {}
        for name, output in _KINDS:
            held = {"documents": [clean], "tokens": [tokenized], "ledger": finished}[name]
            plan = Plan(
                name=f"{STEP} {name}",
                shards=partition_shards([one.parts(name) for one in held if name in one.outputs]),
                read=ReadParts(rows=1024 if name == "tokens" else 4096),
                emit=As(name),
                outputs={name: output},
                group=GroupBy(_SCHEMAS[name], partitions, by_id, ("id",), output.sort),
                conserve=(name,),
            )
            files |= steps.run(plan, folder).files
        return Body(Account(), files, {"ledgers": [one.digest for one in finished if "ledger" in one.outputs]})

    return steps.perform(
        STEP,
        code=("pipelines.steps.partition",),
        parameters={"partitions": partitions},
        inputs=[clean.digest, tokenized.digest, *(one.digest for one in finished if "ledger" in one.outputs)],
        body=body,
    )


def told_once(finished: Sequence[Finished]) -> list[Finished]:
    """Leave out the steps whose ledgers such a step among them has already."""
    had = {digest for one in finished if one.name == STEP for digest in one.facts["ledgers"]}
    return [one for one in finished if one.digest not in had]
