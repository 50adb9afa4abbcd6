"""A crawl from its seeds to a folder that is recorded input (see `folder`): WARC files, a ledger, and crawl.json.

A crawl that was killed goes on where it was when it is started again on the same folder: no page is lost, and none is
written twice (see `journal`). A finished crawl is never repeated: asked again with the same configuration it is
returned as it is.

An update starts from a finished crawl and stores what is new. It goes through the site as a crawl does, robots.txt
first; an address that was stored is asked for on condition that it has changed. If it has not (304, or the same bytes
with the same rights), a `revisit` record says so, the stored page stands, and its links are followed. What is stored
stands also where the site gave no usable answer this time (an error of its server, no connection, no budget left). It
is withdrawn where the answer is that it is no longer there (404 and 410: "gone"), moved, refused by robots.txt, or
otherwise not to be kept; and a changed page takes its place. Stored pages that no link leads to are asked for last.

A page that names another kept page of its host as canonical is stored, but withdrawn at the end in favour of that one,
reason "not-canonical": nothing is lost where the other page turns out to be missing.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from pipelines import storage
from pipelines.crawl.config import CrawlConfig
from pipelines.crawl.crew import Crew, OwnCrew
from pipelines.crawl.errors import CrawlError
from pipelines.crawl.folder import FORMAT, FRONTIER, MANIFEST, clear, described, journal_of, ledger_name, link
from pipelines.crawl.frontier import LEFT, Frontier, Target
from pipelines.crawl.journal import Journal
from pipelines.crawl.previous import Previous
from pipelines.crawl.series import version
from pipelines.crawl.site_files import sites_manifest
from pipelines.crawl.summary import CrawlProgress, CrawlSummary, finished
from pipelines.crawl.url import host_of
from pipelines.crawl.walk import Setting
from pipelines.engines.plan import Engine
from pipelines.robots import product_token
from pipelines.sites.site import Site

__all__ = ["CrawlConfig", "CrawlError", "CrawlProgress", "CrawlSummary", "crawl"]

Told = Callable[[CrawlProgress], None]


def crawl(
    config: CrawlConfig,
    out: Path,
    progress: Told | None = None,
    previous: Path | None = None,
    engine: Engine | None = None,
) -> CrawlSummary:
    """Crawl into a folder, or return what it holds if this very crawl is finished there.

    Args:
        config: what to crawl; an update may have another configuration than the crawl before it.
        out: folder of the crawl; made if it is missing.
        progress: called after each request.
        previous: folder of a finished crawl to update. It may be `out`: then the crawl there is asked for anew, or made
            where none is finished. If it is another folder, it stays as it is, and its files are linked into `out`.
        engine: runs the workers where the configuration asks for more than one; None: processes on this machine.

    Raises:
        CrawlError: the folder holds a finished or unfinished crawl of another configuration; or `previous` holds none.
        RunLocked: another crawl is writing into the folder.
    """
    in_place = previous is not None and previous.resolve() == out.resolve()
    if not in_place and (out / MANIFEST).exists():
        return finished(config, out)
    if in_place and not (out / MANIFEST).exists():
        previous = None
    with storage.lock(out, "crawl"):
        try:
            earlier = Previous(previous) if previous is not None else None
        except (FileNotFoundError, ValueError) as error:
            raise CrawlError(str(error)) from error
        journal = _opened(config, out, earlier, in_place)
        try:
            with _site(config) as site, _engine(config, engine) as workers:
                at = config
                if site is not None:
                    at = config.model_copy(
                        update={
                            "seeds": (*config.seeds, site.url),
                            "connect_to": {**config.connect_to, host_of(site.url): site.address},
                        }
                    )
                return _Crawl(config, at, out, journal, progress, earlier, workers).run()
        finally:
            journal.close()


def _opened(config: CrawlConfig, out: Path, earlier: Previous | None, in_place: bool) -> Journal:
    """The journal of a crawl to be gone on with, or of a new one, its folder cleared of what neither names.

    Raises CrawlError where a crawl with other settings is unfinished.
    """
    generation = 0 if earlier is None else earlier.generation + 1
    about = {"generation": str(generation), "config": config.digest(), "workers": str(config.workers)}
    path = journal_of(out)
    if path.exists():
        journal = Journal(path)
        begun = {name: journal.fact(name) for name in about}
        if begun == about:
            marks = journal.marks()
            for worker in range(config.workers):
                if journal_of(out, worker).exists():
                    part = Journal(journal_of(out, worker))
                    marks += part.marks()
                    part.close()
            clear(out, earlier.manifest if earlier is not None else None, marks)
            return journal
        journal.close()
        if begun["generation"] == about["generation"]:
            raise CrawlError(
                f"{out} holds an unfinished crawl with other settings: the same settings go on with it; "
                f"to begin anew, delete {out / FRONTIER}, or choose another folder"
            )
    # None, or one that was finished before its journal could be removed, or killed before it had begun.
    shutil.rmtree(out / FRONTIER, ignore_errors=True)
    clear(out, earlier.manifest if earlier is not None and in_place else None, ())
    if earlier is not None and not in_place:
        link(earlier.manifest["files"], earlier.folder, out)
    journal = Journal(path)
    for name, value in about.items():
        journal.put_fact(name, value)
    journal.put_fact("started", datetime.now(UTC).isoformat(timespec="seconds"))
    journal.commit()
    return journal


def _site(config: CrawlConfig) -> AbstractContextManager[Site | None]:
    if config.site is None:
        return nullcontext()
    from pipelines.sites import pydoc

    return pydoc.serve()


@contextmanager
def _engine(config: CrawlConfig, engine: Engine | None) -> Generator[Engine | None]:
    """The engine that runs the workers; None where there are none."""
    if config.workers == 1 or engine is not None:
        yield engine if config.workers > 1 else None
        return
    from pipelines.engines.local import LocalEngine

    own = LocalEngine(config.workers, isolate=True)
    try:
        yield own
    finally:
        own.close()


class _Crawl:
    """One crawl while it runs. `config` is what was asked, `at` the same with a sample site's address filled in."""

    def __init__(
        self,
        config: CrawlConfig,
        at: CrawlConfig,
        out: Path,
        journal: Journal,
        progress: Told | None,
        previous: Previous | None,
        engine: Engine | None,
    ) -> None:
        self._config = config
        self._at = at
        self._out = out
        self._journal = journal
        self._progress = progress
        self._agent = product_token(config.user_agent)
        self._previous = previous
        self._generation = journal.count("generation")
        self._frontier = Frontier(journal, at.scope(), config.max_depth)
        self._clock = time.monotonic()
        seconds = None if config.max_seconds is None else max(0.0, config.max_seconds - journal.seconds)
        setting = Setting(at, out, self._generation, None, previous, config.max_bytes, seconds)
        self._crew: Crew
        if engine is None:
            self._crew = OwnCrew(setting, journal, self._frontier.remembers)
        else:
            from pipelines.crawl.shared import SharedCrew

            self._crew = SharedCrew(setting, journal, engine, config.workers)
        self._requested = self._done = self._waiting = 0

    def run(self) -> CrawlSummary:
        """Crawl level by level, then write the ledger and the manifest."""
        try:
            if self._journal.count("level") == 0:
                for seed in self._at.seeds:
                    self._frontier.add(Target(seed, 0))
            while self._frontier.more() or self._add_not_linked():
                self._fetch_level()
                self._frontier.advance()
            return self._finish()
        finally:
            self._crew.close()

    def _fetch_level(self) -> None:
        """Fetch what is left of the level."""
        if self._journal.fact("robots") != str(self._journal.count("level")):
            self._crew.robots([one.target for one in self._frontier.level() if one.chosen is None])
        allowed, chosen = self._within_budget()
        self._done = self._journal.count("requests") + allowed - len(chosen)
        self._waiting = len(chosen)
        self._crew.pages(chosen, self._report)

    def _within_budget(self) -> tuple[int, list[Target]]:
        """How many of the level's targets robots.txt allows, and those of them that are within the page budgets.

        The others are accounted for. Those fetched before this process began count as they did then.
        """
        total = self._config.max_pages - self._journal.count("requests")
        limit = self._config.max_host_pages
        of_host: dict[str, int] = {}
        chosen: list[Target] = []
        beyond: dict[str, list[Target]] = {"max_pages": [], "max_host_pages": []}
        met = 0
        for one in list(self._frontier.level()):
            if one.chosen is False:
                continue
            host = host_of(one.target.url)
            asked = of_host.setdefault(host, self._journal.host(host).pages)
            if one.chosen is None and limit is not None and asked >= limit:
                beyond["max_host_pages"].append(one.target)
                continue
            if one.chosen is None and met >= total:
                beyond["max_pages"].append(one.target)
                continue
            met += 1
            of_host[host] += 1
            if one.chosen is None:
                chosen.append(one.target)
        for name, targets in beyond.items():
            self._crew.leave(targets, "out-of-budget", {name: getattr(self._config, name)})
        self._journal.commit()
        return met, chosen

    def _add_not_linked(self) -> bool:
        """Queue stored pages that nothing has led to: asked for once everything else is done."""
        if self._previous is None or self._journal.fact("not_linked") is not None:
            return False
        self._journal.put_fact("not_linked", 1)
        added = False
        for page in self._previous.pages.values():
            if self._frontier.knows(page.url):
                continue
            target = Target(page.url, page.depth)
            deep = self._config.max_depth is not None and page.depth > self._config.max_depth
            if deep or not self._frontier.in_scope(page.url):
                reason = "too-deep" if self._frontier.in_scope(page.url) else "out-of-scope"
                self._crew.outcomes.refuse(target, b"", "dropped", reason, {"depth": page.depth}, chosen=False)
            else:
                added = self._frontier.add(target) or added
        self._journal.commit()
        return added

    def _report(self, target: Target) -> None:
        self._requested += 1
        self._done += 1
        self._waiting -= 1
        if self._progress is not None:
            outcomes = self._crew.outcomes
            seconds = time.monotonic() - self._clock
            rate = self._requested / seconds if seconds else 0.0
            now = CrawlProgress(
                self._done,
                self._waiting,
                outcomes.kept,
                outcomes.bytes,
                self._journal.seconds,
                target.depth,
                outcomes.met,
                rate,
            )
            self._progress(now)

    def _finish(self) -> CrawlSummary:
        outcomes = self._crew.outcomes
        outcomes.settle()
        names = self._crew.warc_files()
        table, account = outcomes.table()
        path = ledger_name(self._generation)
        rows = storage.write_parquet(self._out / path, table)
        seconds = round(self._journal.seconds, 3)
        earlier = outcomes.earlier_files()
        left = {
            name.removeprefix(LEFT): int(count)
            for name, count in self._journal.query("SELECT name, value FROM facts WHERE name LIKE ?", (LEFT + "%",))
        }
        out_of_scope, too_deep = left.pop("out-of-scope", 0), left.pop("too-deep", 0)
        update = outcomes.update()
        manifest = {
            "format": FORMAT,
            "generation": self._generation,
            "config": self._config.model_dump(mode="json", exclude={"connect_to", "workers"}),
            "config_digest": self._config.digest(),
            "software": f"pomona/{version()}",
            "started": self._journal.fact("started"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": seconds,
            "bytes": outcomes.bytes,
            **account.as_dict(),
            "links_out_of_scope": out_of_scope,
            "links_too_deep": too_deep,
            "links_left": dict(sorted(left.items())),
            "update": update,
            "hosts": outcomes.hosts(),
            **sites_manifest(self._crew.journals(), self._agent),
            "files": [*earlier, *described(self._out, names, outcomes.withdrawn())],
            "ledger": {"path": path, "rows": rows.rows, "sha256": rows.sha256},
        }
        storage.write_json(self._out / MANIFEST, manifest)
        # From here on the crawl is finished; a journal that is left over is known by its generation.
        shutil.rmtree(self._out / FRONTIER, ignore_errors=True)
        return CrawlSummary(
            self._out,
            account.received,
            account.kept,
            dict(account.dropped),
            dict(account.failed),
            outcomes.bytes,
            seconds,
            reused=False,
            update=update,
        )
