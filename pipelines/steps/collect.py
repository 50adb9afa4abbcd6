"""Ledgers of all steps → one ledger: a part for each partition of ids, sorted by uri, so that `why` reads little."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.engines.plan import Output, Plan
from pipelines.ledger import LEDGER_SCHEMA, Account
from pipelines.steps.step import As, Body, Finished, ReadParts, Steps, partition_shards

STEP = "09-ledger"


def run(steps: Steps, finished: Sequence[Finished]) -> Finished:
    """Run the step over every finished step that has a ledger. Its own account is empty: it decides on no record."""
    told = [done for done in finished if "ledger" in done.outputs or done.planned]

    def body(folder: Path, _: str) -> Body:
        plan = Plan(
            STEP,
            partition_shards([done.parts("ledger") for done in told]),
            ReadParts(rows=65_536),
            As("ledger"),
            {"ledger": Output(LEDGER_SCHEMA, ("uri", "id", "step", "verdict", "reason", "evidence"))},
            conserve=("ledger",),
        )
        return Body(Account(), steps.run(plan, folder).files)

    return steps.perform(
        STEP,
        code=("pipelines.steps.collect",),
        parameters={},
        inputs=[done.digest for done in told],
        body=body,
    )
