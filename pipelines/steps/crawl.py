"""A crawl becomes input: recorded once as WARC and ledger, then read like any archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.engines.plan import Engine, GroupBy, Plan, Shard, Tables
from pipelines.ledger import LEDGER_SCHEMA
from pipelines.sources.crawl import CrawlSource, RecordedCrawl
from pipelines.steps.step import LEDGER_OUTPUT, Finished, RunFailed, by_id, perform, run_plan
from pipelines.storage import sha256

CrawlTold = Callable[[str, int, int, str], None]
"""Told of a crawl: source, pages done, pages in all as far as known, a note."""


def folder_of(source: str, given: Path | None, own: Path) -> Path:
    """Return the folder of a source's crawl: below `given` when one is, else below the run's `own`.

    `given` may also be the crawl's folder itself.
    """
    if given is None:
        return own / source
    return given if (given / "crawl.json").is_file() else given / source


def record(source: CrawlSource, given: Path | None, own: Path, told: CrawlTold | None = None) -> RecordedCrawl:
    """Return a source's recorded crawl, crawling now only when no folder was given and none is finished.

    Raises RunFailed when a folder was given that holds no finished crawl.
    """
    folder = folder_of(source.name, given, own)
    recorded = source.recorded(folder)
    if given is None:
        from pipelines.crawl.crawler import CrawlProgress, crawl

        def progress(now: CrawlProgress) -> None:
            if told is not None:
                rate = now.done / now.seconds if now.seconds else 0.0
                total = min(now.done + now.waiting, source.max_pages)
                told(source.name, now.done, total, f"{rate:.0f} pages/s, {now.bytes / 1e6:.1f} MB")

        crawl(source.config(), folder, progress)
    try:
        recorded.manifest()
    except (FileNotFoundError, ValueError) as error:
        raise RunFailed(f"crawl of {source.name}: {error}") from error
    return recorded


@dataclass(frozen=True)
class Relabel:
    """Puts a crawl's ledger into a run's, under the step's name."""

    step: str

    def __call__(self, table: pa.Table) -> Tables:
        """Return the ledger rows."""
        at = table.schema.get_field_index("step")
        named = pa.repeat(pa.scalar(self.step), table.num_rows)
        return {"ledger": table.set_column(at, LEDGER_SCHEMA.field("step"), named).cast(LEDGER_SCHEMA)}


def read_ledger(shard: Shard) -> Iterator[pa.Table]:
    """Read a crawl's ledger."""
    yield pq.read_table(shard.payload).cast(LEDGER_SCHEMA)


def run(engine: Engine, root: Path, name: str, recorded: RecordedCrawl, partitions: int) -> Finished:
    """Run the step: the ledger of a recorded crawl, partitioned like every other."""
    step = f"00-crawl-{name}"
    plan = Plan(
        name=step,
        shards=[Shard(0, recorded.ledger.name, str(recorded.ledger), recorded.ledger.stat().st_size)],
        read=read_ledger,
        group=GroupBy(LEDGER_SCHEMA, partitions, by_id, LEDGER_OUTPUT.sort),
        emit=Relabel(step),
        outputs={"ledger": LEDGER_OUTPUT},
    )
    parameters: dict[str, Any] = {"partitions": partitions}
    return perform(
        root,
        step,
        code=("pipelines.steps.crawl",),
        parameters=parameters,
        inputs=[sha256(recorded.ledger)],
        body=lambda folder: run_plan(engine, plan, folder),
    )
