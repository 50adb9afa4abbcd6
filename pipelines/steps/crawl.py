"""A crawl becomes input: recorded once as WARC and ledger, then read like any archive."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.crawl.folder import MANIFEST
from pipelines.engines.plan import Engine, GroupBy, Plan, Shard, Tables
from pipelines.ledger import LEDGER_SCHEMA
from pipelines.sources.crawl import CrawlSource, RecordedCrawl
from pipelines.sources.record import Outcome, Unit
from pipelines.steps.step import LEDGER_OUTPUT, Finished, RunFailed, Steps, by_id
from pipelines.storage import at, exists, is_remote, publish, read_json, read_table, scratch, sha256, size

CrawlTold = Callable[[str, int, int, str], None]
"""Told of a crawl: source, pages done, pages in all as far as known, a note."""


def folder_of(source: str, given: Path | None, own: Path) -> Path:
    """Return the folder of a source's crawl: below `given` when one is, else below the run's `own`.

    `given` may also be the crawl's folder itself.
    """
    if given is None:
        return own / source
    return given if exists(given / MANIFEST) else given / source


def record(
    source: CrawlSource,
    given: Path | None,
    own: Path,
    told: CrawlTold | None = None,
    *,
    update: bool = False,
    engine: Engine | None = None,
) -> RecordedCrawl:
    """Return a source's recorded crawl, crawling now only when no folder was given and none is finished.

    With `update`, a finished crawl of our own is brought up to date: what is unchanged is not fetched again.

    Where the source asks for several `workers`, they are run by the engine, or without one by this machine.

    Raises RunFailed when a folder was given that holds no finished crawl.
    """
    folder = folder_of(source.name, given, own)
    recorded = source.recorded(folder)
    if given is None:
        from pipelines.crawl.crawler import CrawlProgress, crawl

        def progress(now: CrawlProgress) -> None:
            if told is not None:
                total = min(now.done + now.waiting, source.max_pages)
                told(source.name, now.done, total, str(now))

        with _place(folder) as place:
            crawl(source.config(), place, progress, previous=place if update else None, engine=engine)
    try:
        recorded.manifest()
    except (FileNotFoundError, ValueError) as error:
        raise RunFailed(f"crawl of {source.name}: {error}") from error
    return recorded


@contextmanager
def _place(folder: Path) -> Generator[Path]:
    """Yield where to crawl to: the folder itself, or one on this machine whose files then go to the store.

    A crawl appends to its files, which a store cannot. Its manifest goes last, so that readers see a whole crawl.
    """
    if not is_remote(folder):
        yield folder
        return
    place = scratch(folder, "crawl")
    if exists(folder / MANIFEST) and _behind(place, folder):
        _fetch(folder, place)
    yield place
    files = [path for path in sorted(place.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    for path in sorted(files, key=lambda one: one.name == MANIFEST):
        target = folder / path.relative_to(place).as_posix()
        if path.name == MANIFEST or size(target) != path.stat().st_size:
            publish(path, target)


def _behind(place: Path, folder: Path) -> bool:
    """Whether this machine's files of a crawl are none, or from before a take-down: they must not come back by it."""
    if not exists(place / MANIFEST):
        return True
    own, stored = (read_json(one / MANIFEST).get("takedowns", []) for one in (place, folder))
    return own != stored


def _fetch(folder: Path, place: Path) -> None:
    """Bring a finished crawl from a store, its manifest last."""
    shutil.rmtree(place, ignore_errors=True)
    manifest = read_json(folder / MANIFEST)
    for name in (*(file["path"] for file in manifest["files"]), manifest["ledger"]["path"], MANIFEST):
        publish(folder / name, place / name)


def planned(source: CrawlSource, given: Path | None, own: Path) -> RecordedCrawl | None:
    """Return a source's recorded crawl, None where it has yet to be made; nothing is written.

    Raises RunFailed and CrawlError as `record` does.
    """
    recorded = source.recorded(folder_of(source.name, given, own))
    try:
        recorded.manifest()
    except (FileNotFoundError, ValueError) as error:
        if given is not None or isinstance(error, ValueError):
            raise RunFailed(f"crawl of {source.name}: {error}") from error
        return None
    if given is None:
        from pipelines.crawl.summary import finished

        finished(source.config(), recorded.folder)
    return recorded


class NotCrawled:
    """Stands in a dry run for a crawl that is yet to be made: what it will bring is not known."""

    def units(self) -> list[Unit]:
        """Name one unit that no step was ever made from."""
        return [Unit("not crawled yet", "not crawled yet", 0, "")]

    def read(self, unit: Unit) -> Iterator[Outcome]:
        """Refuse: a dry run reads nothing."""
        raise RunFailed(f"{unit.name}: a crawl that is not recorded has no pages to read")


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
    yield read_table(at(shard.payload)).cast(LEDGER_SCHEMA)


def run(steps: Steps, name: str, recorded: RecordedCrawl, partitions: int) -> Finished:
    """Run the step: the ledger of a recorded crawl, partitioned like every other."""
    step = f"00-crawl-{name}"
    plan = Plan(
        name=step,
        shards=[Shard(0, recorded.ledger.name, str(recorded.ledger), size(recorded.ledger) or 0)],
        read=read_ledger,
        group=GroupBy(LEDGER_SCHEMA, partitions, by_id, ("id",), LEDGER_OUTPUT.sort),
        emit=Relabel(step),
        outputs={"ledger": LEDGER_OUTPUT},
        conserve=("ledger",),
    )
    parameters: dict[str, Any] = {"partitions": partitions}
    return steps.perform(
        step,
        code=("pipelines.steps.crawl",),
        parameters=parameters,
        inputs=[sha256(recorded.ledger)],
        body=lambda folder, _: steps.run_plan(plan, folder),
    )
