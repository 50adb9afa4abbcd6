"""How far a crawl is, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pipelines import storage
from pipelines.crawl.config import CrawlConfig
from pipelines.crawl.errors import CrawlError
from pipelines.crawl.folder import MANIFEST


@dataclass(frozen=True, slots=True)
class CrawlProgress:
    """Where a crawl stands.

    Attributes:
        done, waiting: page requests finished, and waiting in this level.
        kept: pages kept.
        bytes: bytes of bodies received.
        seconds: how long the crawl has run, with the times before it was killed.
        depth: links from a seed that it has reached.
        hosts: hosts that it has met.
        rate: page requests a second, since this process began.
    """

    done: int
    waiting: int
    kept: int
    bytes: int
    seconds: float
    depth: int
    hosts: int = 0
    rate: float = 0.0

    def __str__(self) -> str:
        return f"{self.hosts} hosts, {self.rate:.1f} pages/s, {self.bytes / 1e6:.1f} MB"


@dataclass(frozen=True, slots=True)
class CrawlSummary:
    """What came of a crawl. addresses = kept + sum(dropped) + sum(failed).

    `bytes` are those of the bodies received. `update` counts, in an update, pages that are "new", "changed",
    "unchanged" and "not-refreshed" (these four are the kept ones), and "withdrawn"; else it is empty.
    """

    folder: Path
    addresses: int
    kept: int
    dropped: dict[str, int]
    failed: dict[str, int]
    bytes: int
    seconds: float
    reused: bool
    update: dict[str, int] = field(default_factory=dict[str, int])


def finished(config: CrawlConfig, out: Path) -> CrawlSummary:
    """What a finished crawl's folder holds.

    Raises:
        CrawlError: it was made with another configuration.
    """
    manifest = storage.read_json(out / MANIFEST)
    if manifest.get("config_digest") != config.digest():
        raise CrawlError(
            f"{out} holds a finished crawl with other settings (see {out / MANIFEST}); "
            "choose another folder, or delete it"
        )
    return CrawlSummary(
        out,
        manifest["in"],
        manifest["kept"],
        manifest["dropped"],
        manifest["failed"],
        manifest["bytes"],
        manifest["seconds"],
        reused=True,
        update=manifest.get("update", {}),
    )
