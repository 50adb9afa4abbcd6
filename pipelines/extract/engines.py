"""The HTML engines, and the chain that a page goes through: the one asked for, then others where it breaks."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pipelines.extract.extraction import Extraction, ExtractionError
from pipelines.extract.guard import Guard, Job, Limits

ENGINES = ("auto", "trafilatura", "resiliparse")
"""Names of the HTML engines; "auto" is our own."""
BLOCK = "datatrove"
BROKEN = ("extraction-failed", "too-slow", "out-of-memory", "too-deep")
"""Reasons that say something of an engine, not of the page: the next engine may do better."""


_LIMITS = Limits()


@dataclass(frozen=True)
class Chain:
    """Which engines read a page, and what it may cost each.

    `auto` reads in this process: its time is that of a few passes over the page, and its memory a few times the page's
    bytes. The others read in a child process that is ended where a page takes more than its limits.
    """

    engines: tuple[str, ...] = ("auto", "trafilatura")
    limits: Limits = _LIMITS
    markdown_tables: bool = True
    block: str = ""
    """An extractor of datatrove that comes before the engines: a recipe's `BlockUse` as JSON."""

    def __post_init__(self) -> None:
        for name in self.engines:
            if name not in ENGINES:
                raise ValueError(f"engine is {name!r}, expected one of {', '.join(ENGINES)}")

    def extract(self, html: bytes, url: str | None, charset: str | None) -> Extraction:
        """The main text by the first engine that reads the page.

        Raises:
            ExtractionError: the page has no main text, or no engine could read it; then the reason is the first one's,
                and the message tells of all.
        """
        failed: list[tuple[str, ExtractionError]] = []
        for name in (*((BLOCK,) if self.block else ()), *self.engines):
            try:
                found = self._by(name, html, url, charset)
            except ExtractionError as error:
                failed.append((name, error))
                if error.reason not in BROKEN:
                    break
            else:
                return replace(found, broken=tuple(f"{one}: {error.reason}" for one, error in failed))
        if len(failed) == 1:
            raise failed[0][1]
        raise ExtractionError(failed[0][1].reason, "; ".join(f"{name}: {error}" for name, error in failed))

    def guarded(self, job: Job, *arguments: Any) -> Extraction:
        """What `job(*arguments)` returns, read in the child process under these limits: for readers of other markup.

        Raises:
            ExtractionError: as `Guard.run`.
        """
        return _guard(self.limits).run(job, *arguments)

    def _by(self, name: str, html: bytes, url: str | None, charset: str | None) -> Extraction:
        if name == BLOCK:
            from pipelines.extract.datatrove import extract as by_block

            return self.guarded(by_block, self.block, html, url, charset)
        if name != "auto":
            return self.guarded(by_engine, name, html, url, charset)
        from pipelines.extract.auto import extract

        try:
            return extract(html, url, charset, markdown_tables=self.markdown_tables)
        except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise ExtractionError("extraction-failed", f"auto: {type(error).__name__}: {error}"[:500]) from error


def by_engine(name: str, html: bytes, url: str | None, charset: str | None) -> Extraction:
    """The main text of a page by one engine, in this process."""
    return _known(name)(html, url, charset)


def _known(name: str) -> Callable[[bytes, str | None, str | None], Extraction]:
    # Imported on first use: each takes up to a second, which commands without extraction should not pay.
    if name == "auto":
        from pipelines.extract.auto import extract
    elif name == "trafilatura":
        from pipelines.extract.trafilatura import extract
    elif name == "resiliparse":
        from pipelines.extract.resiliparse import extract
    else:
        raise ValueError(f"engine is {name!r}, expected one of {', '.join(ENGINES)}")
    return extract


@cache
def _guard(limits: Limits) -> Guard:
    """One child of this process for all pages of these limits."""
    guard = Guard(limits)
    atexit.register(guard.close)
    return guard
