"""A crawl whose hosts are shared among the workers of an engine; a host belongs to one worker for the whole crawl.

The crawl goes level by level, and each level in two rounds: the workers ask for robots.txt, the crawl's own process
then decides what the budgets allow, and the workers fetch that. What pages lead to, also on hosts of other workers,
comes back with the outcomes and is handed to its owners in the next level. So the order of the crawl, what a page
budget cuts off and the ledger are those of one process, whatever the number of workers.

Each worker has a journal and a series of WARC files of its own, in the crawl's folder, which all machines must see. A
round is a plan of the engine with a task for each worker that has something to do. A task that is cut off is run again
and goes on where its journal says; one that is finished is not run again (`engines.task.Notes`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from pipelines import storage
from pipelines.crawl.crew import Told, leave
from pipelines.crawl.folder import FRONTIER, journal_of
from pipelines.crawl.frontier import SITEMAPS, Target
from pipelines.crawl.journal import Journal
from pipelines.crawl.series import Series
from pipelines.crawl.url import host_of
from pipelines.crawl.walk import Setting, Walk
from pipelines.engines.plan import Engine, Output, Plan, Shard, Tables
from pipelines.ledger import AccountingError

ROBOTS, PAGES = 0, 1
"""The two rounds of a level."""

RESULT = pa.schema(
    [
        pa.field("rank", pa.int64(), nullable=False),
        *(pa.field(name, pa.string()) for name in ("url", "id", "verdict", "reason", "evidence", "how")),
        pa.field("chosen", pa.bool_()),
        pa.field("bytes", pa.int64()),
        pa.field("file", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("canonical", pa.string()),
        pa.field("found", pa.string()),
    ]
)
"""What a worker hands back: the outcome of a target, what it leads to, or both; a sitemap has no outcome."""

_OUTCOME = (
    "url", "rank", "id", "verdict", "reason", "evidence", "how", "chosen", "bytes", "file", "offset", "canonical",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """What one worker does in one round."""

    round: int
    setting: Setting
    targets: tuple[Target, ...]


def owner(host: str, workers: int) -> int:
    """The worker that a host belongs to."""
    return xxhash.xxh3_64_intdigest(host.encode()) % workers


class SharedCrew:
    """The workers of an engine.

    Args:
        setting: what to crawl.
        journal: the crawl's own.
        engine: runs the rounds.
        workers: how many share the hosts; the same for the whole crawl, whatever the engine has.
    """

    def __init__(self, setting: Setting, journal: Journal, engine: Engine, workers: int) -> None:
        self._setting = setting
        self._journal = journal
        self._engine = engine
        self._workers = workers
        self._walk = Walk(setting, journal)  # for what is accounted for without asking anyone
        self._opened: list[Journal] = []
        self.outcomes = self._walk.outcomes

    def robots(self, targets: Sequence[Target]) -> None:
        """See `Crew`."""
        self._round(ROBOTS, targets)

    def pages(self, targets: Sequence[Target], told: Told) -> None:
        """See `Crew`; what a worker does is told when its round is over."""
        self._round(PAGES, targets)
        for target in targets:
            told(target)

    def leave(self, targets: Sequence[Target], reason: str, evidence: dict[str, object]) -> None:
        """See `Crew`."""
        leave(self._walk, self._journal, targets, reason, evidence)

    def _round(self, kind: int, targets: Sequence[Target]) -> None:
        number = 2 * self._journal.count("level") + kind
        mine: dict[int, list[Target]] = {}
        for target in targets:
            mine.setdefault(owner(host_of(target.url), self._workers), []).append(target)
        if kind == ROBOTS:
            self._journal.put_fact("robots", self._journal.count("level"))
        if not mine:
            return
        shards = [
            Shard(index, f"w{worker:03d}", self._job(number, worker, given), len(given))
            for index, (worker, given) in enumerate(sorted(mine.items()))
        ]
        name = f"crawl round {number}"
        plan = Plan(name, shards, read, emit, outputs={"rows": Output(RESULT, ("rank",))}, conserve=("rows",))
        folder = self._setting.out / FRONTIER / "rounds" / f"{number:06d}"
        before = self.outcomes.addresses
        for entry in self._engine.run(plan, folder).files["rows"]:
            self._take(storage.read_table(folder / entry.path))
        if kind == PAGES and self.outcomes.addresses - before != len(targets):
            raise AccountingError(
                f"{name}: {len(targets)} addresses were handed out and {self.outcomes.addresses - before} came back. "
                "This is a fault of the crawl: please report it."
            )
        self._journal.commit()
        storage.remove(folder)

    def _job(self, number: int, worker: int, targets: list[Target]) -> Job:
        setting, config = self._setting, self._setting.config
        left = None if config.max_bytes is None else max(0, config.max_bytes - self.outcomes.bytes)
        seconds = None if config.max_seconds is None else max(0.0, config.max_seconds - self._journal.seconds)
        previous = setting.previous.only(target.url for target in targets) if setting.previous is not None else None
        given = replace(setting, worker=worker, previous=previous, bytes_left=left, seconds_left=seconds)
        return Job(number, given, tuple(targets))

    def _take(self, rows: pa.Table) -> None:
        """Write down what a worker hands back."""
        for row in rows.to_pylist():
            if row["url"] is not None:
                self.outcomes.put(tuple(row[name] for name in _OUTCOME))
            if row["found"] is not None:
                self._journal.put_found(row["rank"], json.loads(row["found"]))

    def _journals(self) -> list[tuple[int, Path]]:
        paths = ((worker, journal_of(self._setting.out, worker)) for worker in range(self._workers))
        return [(worker, path) for worker, path in paths if path.exists()]

    def warc_files(self) -> list[str]:
        """See `Crew`."""
        setting, names = self._setting, list[str]()
        for worker, path in self._journals():
            journal = Journal(path)
            self._opened.append(journal)
            Series(setting.out, setting.config, setting.generation, worker, journal).close()
            journal.commit()
            names += [mark.name for mark in journal.marks()]
        return names

    def journals(self) -> Sequence[Journal]:
        """See `Crew`."""
        return self._opened

    def close(self) -> None:
        """See `Crew`."""
        self._walk.series.release()
        for journal in self._opened:
            journal.close()


def read(shard: Shard) -> Iterator[pa.Table]:
    """Do what a job asks for, on a worker; a job that was done is answered from its journal."""
    job: Job = shard.payload
    setting = job.setting
    path = journal_of(setting.out, setting.worker)
    with storage.lock(path.parent, f"crawl worker {setting.worker}"):
        journal = Journal(path)
        try:
            if journal.count("round") != job.round:
                journal.run("DELETE FROM outcomes")
                journal.run("DELETE FROM found")
                journal.put_fact("round", job.round)
                journal.commit()
            done = {url for (url,) in journal.query("SELECT url FROM outcomes")}
            targets = [target for target in job.targets if target.url not in done]
            if targets:
                asyncio.run(_do(job, journal, targets))
            yield _result(journal)
        finally:
            journal.close()


async def _do(job: Job, journal: Journal, targets: Sequence[Target]) -> None:
    walk = Walk(job.setting, journal)
    try:
        async with walk:
            await (walk.robots(targets) if job.round % 2 == ROBOTS else walk.pages(targets))
        journal.commit()
    finally:
        walk.series.release()


def _result(journal: Journal) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [] for name in RESULT.names}
    query = (
        f"SELECT {', '.join('o.' + name for name in _OUTCOME)}, f.value FROM outcomes o "
        "LEFT JOIN found f ON f.rank = o.rank ORDER BY o.rank"
    )
    for row in journal.query(query):
        for name, value in zip((*_OUTCOME, "found"), row, strict=True):
            columns[name].append(bool(value) if name == "chosen" else value)
    for rank, value in journal.query("SELECT rank, value FROM found WHERE rank >= ? ORDER BY rank", (SITEMAPS,)):
        for name in RESULT.names:
            columns[name].append({"rank": rank, "found": value}.get(name))
    return pa.table([pa.array(columns[field.name], field.type) for field in RESULT], schema=RESULT)


def emit(rows: pa.Table) -> Tables:
    """Hand the rows on as they are."""
    return {"rows": rows}
