"""Files that speak for a whole site, beside robots.txt: asked for when its first page is, written down, used again."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Any

from pipelines.crawl.config import CrawlConfig
from pipelines.crawl.fetch import Exchange, Fetcher
from pipelines.crawl.frontier import SITEMAPS, Target, found, sift
from pipelines.crawl.journal import Journal, SiteFile
from pipelines.crawl.robots_cache import NAME as ROBOTS
from pipelines.crawl.robots_cache import fetch_site_file, read_robots
from pipelines.crawl.scope import Scope
from pipelines.crawl.series import Series
from pipelines.crawl.sitemap import MAX_BYTES, MAX_NESTING, Sitemap, parse
from pipelines.crawl.tdmrep import MAX_BODY, NAME, PATH, TdmFile
from pipelines.crawl.url import host_of, normalise, origin_of
from pipelines.robots import RobotsFile

READ = "sitemaps"
"""Name of the row that says how far an origin's sitemaps are read: `reason` is their rank, status 200 that all are."""

_RANKS = 1024


class SiteFiles:
    """tdmrep.json and the sitemaps of each origin; robots.txt is asked about both.

    Args:
        config: says what is wanted, and its limits.
        fetcher: asks the servers, in the hosts' turns.
        journal, series: where the answers are kept.
        agent: product token for robots.txt.
        scope: which addresses of a sitemap are taken.
        known: whether an address was queued before.
    """

    def __init__(
        self,
        config: CrawlConfig,
        fetcher: Fetcher,
        journal: Journal,
        series: Series,
        agent: str,
        scope: Scope,
        known: Callable[[str], bool],
    ) -> None:
        self._config = config
        self._fetcher = fetcher
        self._journal = journal
        self._series = series
        self._agent = agent
        self._scope = scope
        self._known = known
        self._tdm: dict[str, TdmFile] = {}
        self._read: set[str] = set()

    async def tdm(self, target: Target, robots: RobotsFile) -> TdmFile:
        """What the site reserves."""
        origin = origin_of(target.url)
        known = self._tdm.get(origin)
        if known is None:
            file = self._journal.site_file(origin, NAME)
            if file is None and self._config.tdmrep:
                file = await self._fetch(origin, NAME, origin + PATH, MAX_BODY, robots)
            read = file is not None and file.status is not None and 200 <= file.status < 300
            known = self._tdm[origin] = TdmFile.parse(file.body) if file is not None and read else TdmFile()
        return known

    async def sitemaps(self, target: Target, robots: RobotsFile) -> None:
        """Read the sitemaps of a target's origin, once; what they list comes after what the target's level leads to."""
        origin = origin_of(target.url)
        if self._config.sitemaps == "off" or origin in self._read:
            return
        self._read.add(origin)
        begun = self._journal.site_file(origin, READ)
        if begun is not None and begun.status is not None:
            return
        if begun is None:
            begun = SiteFile(origin, READ, time.time(), None, str(SITEMAPS + target.position * _RANKS))
            self._journal.put_site_file(begun)
        await self._walk(target, robots, int(begun.reason))
        self._journal.put_site_file(SiteFile(origin, READ, begun.asked, 200, begun.reason))

    async def _walk(self, target: Target, robots: RobotsFile, rank: int) -> None:
        """Read an origin's sitemaps, index files before what they name."""
        origin = origin_of(target.url)
        named = [url for one in robots.rules.sitemaps if (url := normalise(one)) is not None]
        if self._config.sitemaps == "well-known":
            named.append(f"{origin}/sitemap.xml")
        waiting = deque((url, 1) for url in dict.fromkeys(named))
        met = set(named)
        taken = 0
        for ordinal in range(self._config.max_sitemaps):
            if not waiting:
                return
            url, nesting = waiting.popleft()
            file = self._journal.site_file(origin, url)
            if file is None:
                room = self._config.max_sitemap_urls - taken
                file = await self._sitemap(target, url, robots, rank + ordinal, room)
            said: dict[str, Any] = json.loads(file.body)
            taken += said["taken"]
            for child in said["sitemaps"] if nesting < MAX_NESTING else ():
                if child not in met:
                    met.add(child)
                    waiting.append((child, nesting + 1))

    async def _sitemap(self, target: Target, url: str, robots: RobotsFile, rank: int, room: int) -> SiteFile:
        """Fetch one sitemap and write down what it lists."""
        origin, asked = origin_of(target.url), time.time()
        exchanges: Sequence[Exchange] = ()
        if host_of(url) != host_of(origin):
            answer = SiteFile(origin, url, asked, None, "other-host")
        elif not robots.allowed(self._agent, url):
            answer = SiteFile(origin, url, asked, None, "robots-refused")
        else:
            host = host_of(origin)
            answer, exchanges = await fetch_site_file(
                self._fetcher, origin, url, url, asked, MAX_BYTES, lambda goal: host_of(goal) == host
            )
        read = answer.status is not None and 200 <= answer.status < 300
        sitemap = parse(answer.body) if read else Sitemap()
        links, left = sift(sitemap.urls, self._scope, self._known)
        if len(links) > room:
            left["beyond-sitemap-limit"] = len(links) - room
            links = links[: max(room, 0)]
        if links or left:
            lastmod = {link: sitemap.urls[link] for link in links if sitemap.urls[link]}
            self._journal.put_found(rank, found(links, target.depth + 1, url, left, lastmod=lastmod))
        said = {
            "urls": len(sitemap.urls), "taken": len(links), "sitemaps": sitemap.sitemaps[: self._config.max_sitemaps],
            "error": sitemap.error,
        }  # fmt: skip
        file = SiteFile(origin, url, asked, answer.status, answer.reason, json.dumps(said).encode())
        self._put(file, exchanges)
        return file

    async def _fetch(self, origin: str, name: str, address: str, limit: int, robots: RobotsFile) -> SiteFile:
        if not robots.allowed(self._agent, address):
            file = SiteFile(origin, name, time.time(), None, "robots-refused")
            self._put(file, ())
            return file
        host = host_of(origin)
        file, exchanges = await fetch_site_file(
            self._fetcher, origin, name, address, time.time(), limit, lambda goal: host_of(goal) == host
        )
        self._put(file, exchanges)
        return file

    def _put(self, file: SiteFile, exchanges: Sequence[Exchange]) -> None:
        """Keep an answer with the exchanges that led to it, as one."""
        for exchange in exchanges:
            self._series.sites.write(exchange)
        self._journal.put_site_file(file)
        self._journal.row()


def sites_manifest(journals: Iterable[Journal], agent: str) -> dict[str, dict[str, Any]]:
    """What the manifest says of sites' own files: `robots` and `tdmrep` by origin, `sitemaps` by address."""
    robots: dict[str, Any] = {}
    tdmrep: dict[str, Any] = {}
    sitemaps: dict[str, Any] = {}
    for journal in journals:
        for file in journal.site_files():
            answer = file.reason or str(file.status)
            if file.name == ROBOTS:
                read = read_robots(file)
                delay = read.rules.crawl_delay(agent)
                robots[file.origin] = {"digest": read.digest, "status": read.status, "crawl_delay": delay}
            elif file.name == NAME:
                known = TdmFile.parse(file.body) if file.body else TdmFile()
                said = {"rules": len(known.rules), "error": known.error, "digest": sha256(file.body).hexdigest()}
                tdmrep[file.origin] = {"status": answer, **(said if file.body else {})}
            elif file.name != READ:
                said = json.loads(file.body)
                said["sitemaps"] = len(said["sitemaps"])
                sitemaps[file.name] = {"status": answer, **said}
    sorted_ = (dict(sorted(found.items())) for found in (robots, tdmrep, sitemaps))
    return dict(zip(("robots", "tdmrep", "sitemaps"), sorted_, strict=True))
