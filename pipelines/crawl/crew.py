"""Who fetches a level: this process, or workers that share the hosts among them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from pipelines.crawl.frontier import Target
from pipelines.crawl.journal import Journal
from pipelines.crawl.outcomes import Outcomes
from pipelines.crawl.walk import Setting, Walk

Told = Callable[[Target], None]


class Crew(Protocol):
    """Fetches the targets of a level, in two moves; what came of each is in the crawl's journal afterwards."""

    outcomes: Outcomes

    def robots(self, targets: Sequence[Target]) -> None:
        """Ask for the robots.txt of every origin, and account for the targets that may not be fetched.

        Notes that this was done for the level.
        """
        ...

    def pages(self, targets: Sequence[Target], told: Told) -> None:
        """Fetch targets that robots.txt allows; `told` of each."""
        ...

    def leave(self, targets: Sequence[Target], reason: str, evidence: dict[str, object]) -> None:
        """Account for targets that are not fetched; what is stored of them stands."""
        ...

    def warc_files(self) -> list[str]:
        """Finish the WARC files; their paths in the crawl's folder."""
        ...

    def journals(self) -> Sequence[Journal]:
        """The journals that know the sites' own files; open until `close`."""
        ...

    def close(self) -> None:
        """Let go of connections and files; what was not committed is done again by a later process."""
        ...


class OwnCrew:
    """This process alone.

    Args:
        setting: what to crawl.
        journal: where it is written down.
        known: whether an address was queued before.
    """

    def __init__(self, setting: Setting, journal: Journal, known: Callable[[str], bool]) -> None:
        self._journal = journal
        self._runner = asyncio.Runner()
        self._walk = Walk(setting, journal, known)
        self._runner.run(self._walk.__aenter__())
        self.outcomes = self._walk.outcomes

    def robots(self, targets: Sequence[Target]) -> None:
        """See `Crew`."""
        self._runner.run(self._walk.robots(targets))
        self._journal.put_fact("robots", self._journal.count("level"))
        self._journal.commit()

    def pages(self, targets: Sequence[Target], told: Told) -> None:
        """See `Crew`."""
        self._runner.run(self._walk.pages(targets, told))
        self._journal.commit()

    def leave(self, targets: Sequence[Target], reason: str, evidence: dict[str, object]) -> None:
        """See `Crew`."""
        leave(self._walk, self._journal, targets, reason, evidence)

    def warc_files(self) -> list[str]:
        """See `Crew`."""
        self._walk.series.close()
        self._journal.commit()
        return [mark.name for mark in self._journal.marks()]

    def journals(self) -> Sequence[Journal]:
        """See `Crew`."""
        return [self._journal]

    def close(self) -> None:
        """See `Crew`."""
        self._walk.series.release()
        self._runner.run(self._walk.__aexit__(None, None, None))
        self._runner.close()


def leave(walk: Walk, journal: Journal, targets: Sequence[Target], reason: str, evidence: dict[str, object]) -> None:
    """Account for targets that are not fetched."""
    for target in targets:
        walk.no_answer(target, "dropped", reason, evidence, chosen=False)
        journal.row()
