"""Run a sample of a plan's tasks a second time and compare: a function that is not deterministic is caught."""

from __future__ import annotations

import hashlib
import math
import tempfile
from pathlib import Path

import pyarrow as pa

from pipelines.document import concat
from pipelines.engines.plan import Plan, PlanError, PlanResult, Shard
from pipelines.engines.task import mapped, write_batches
from pipelines.storage import at


def sample(plan: Plan, share: float) -> list[Shard]:
    """Choose the shards to run again: a share of them, at least one, always the same for the same plan."""
    ranked = sorted(plan.shards, key=lambda one: hashlib.sha256(f"{plan.name}/{one.name}".encode()).digest())
    return ranked[: math.ceil(share * len(ranked))]


def check_again(plan: Plan, result: PlanResult, folder: Path, share: float) -> None:
    """Run a sample of shards again, here, and compare with what the first run left or, before a shuffle, mapped twice.

    Raises PlanError that names the plan, the shard and the output.
    """
    for shard in sample(plan, share):
        if plan.group is not None:
            first, second = _digest(plan, shard), _digest(plan, shard)
            if first != second:
                raise _differs(plan, shard, "its mapped rows")
            continue
        with tempfile.TemporaryDirectory(prefix="pomona-verify-") as temporary:
            again = write_batches(plan, shard.index, mapped(plan, shard), at(temporary))
        for name, entries in again.files.items():
            before = next(one for one in result.files[name] if one.path == entries[0].path)
            if before.sha256 != entries[0].sha256:
                raise _differs(plan, shard, f"output {name!r} ({folder / before.path})")


def _digest(plan: Plan, shard: Shard) -> bytes:
    assert plan.group is not None
    table = concat(mapped(plan, shard), plan.group.schema).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return hashlib.sha256(sink.getvalue()).digest()


def _differs(plan: Plan, shard: Shard, what: str) -> PlanError:
    return PlanError(
        f"step {plan.name}: run a second time, shard {shard.name} gives another {what}: the step is not "
        "deterministic. This is a fault of the step: please report it with the shard."
    )
