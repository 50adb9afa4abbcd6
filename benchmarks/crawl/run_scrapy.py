"""Scrapy's side: the same seeds, scope, delays and robots.txt, following links, keeping nothing.

Its settings are those of its documentation for broad crawls. The spider recognises a link that it has met before the
link is made a request. Without that nearly all of Scrapy's time goes into requests that its duplicates filter drops:
these pages have a hundred links each, nearly all of them to pages that are known.

Runs in Scrapy's environment: no import of this package.
"""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import scrapy
from scrapy import signals
from scrapy.crawler import CrawlerProcess
from scrapy.linkextractors import LinkExtractor
from scrapy.resolver import CachingThreadedResolver
from twisted.internet import defer

AGENT = "PomonaBench/0.1"


class Loopback(CachingThreadedResolver):
    """Every name is this machine."""

    def getHostByName(self, name: str, timeout: Any = ()) -> Any:  # noqa: N802 - Twisted's name
        return defer.succeed("127.0.0.1")


class Follow(scrapy.Spider):
    """Follows every link on the hosts of the seeds.

    Args:
        seeds: addresses to start from.
        every: whether every link is made a request, as in Scrapy's tutorial, and left to its duplicates filter.
    """

    name = "follow"

    def __init__(self, seeds: list[str], every: bool, **more: Any) -> None:
        super().__init__(**more)
        self.start_urls = seeds
        self.hosts = {seed.split("/")[2] for seed in seeds}  # with their port
        self.met = set(seeds)
        self.pages = 0
        self.links = LinkExtractor(deny_extensions=[], process_value=self._in_scope if every else self._new)

    @classmethod
    def from_crawler(cls, crawler: Any, *given: Any, **named: Any) -> Any:
        """As usual, and be told of every robots.txt."""
        spider = super().from_crawler(crawler, *given, **named)
        crawler.signals.connect(spider.slow_down, signal=signals.robots_parsed)
        return spider

    def slow_down(self, robotparser: Any, request: Any) -> None:
        """Obey a host's Crawl-delay, which Scrapy reads and leaves to its users."""
        delay = robotparser.crawl_delay(AGENT)
        if delay is not None:
            downloader = self.crawler.engine.downloader
            host = downloader.get_slot_key(request)
            downloader.per_slot_settings[host] = {"concurrency": 1, "delay": delay}
            downloader.slots[host].delay = max(delay, downloader.slots[host].delay)

    def _in_scope(self, url: str) -> str | None:
        """A link as it is, made absolute; None where it leads to another host."""
        parts = url.split("/", 3)
        return url if len(parts) > 2 and parts[0] == "http:" and parts[2] in self.hosts else None

    def _new(self, url: str) -> str | None:
        """The same without its fragment; None for one that was met before."""
        url = url.partition("#")[0]
        if url in self.met:
            return None
        self.met.add(url)
        return self._in_scope(url)

    def parse(self, response: Any) -> Any:
        """Follow the links of a page."""
        self.pages += 1
        if isinstance(response, scrapy.http.HtmlResponse):
            for link in self.links.extract_links(response):
                if not link.nofollow:
                    yield scrapy.Request(link.url, self.parse)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=Path, required=True)
    parser.add_argument("--delay", type=float, required=True)
    parser.add_argument("--hosts", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--every-link", action="store_true")
    asked = parser.parse_args()
    seeds = json.loads(asked.seeds.read_text(encoding="utf-8"))
    process = CrawlerProcess(
        {
            # What its page on broad crawls advises. One request at a time to a host, so one for each host is enough.
            "CONCURRENT_REQUESTS": max(100, asked.hosts),
            "SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.DownloaderAwarePriorityQueue",
            "REACTOR_THREADPOOL_MAXSIZE": 20,
            "LOG_LEVEL": "ERROR",
            "COOKIES_ENABLED": False,
            "RETRY_ENABLED": False,
            "REDIRECT_ENABLED": False,
            "DOWNLOAD_TIMEOUT": 15,
            # The same politeness as the other side's.
            "ROBOTSTXT_OBEY": True,
            "DOWNLOAD_DELAY": asked.delay,
            "DOWNLOAD_DELAY_JITTER": 0,
            "CONCURRENT_REQUESTS_PER_DOMAIN": 1,
            "USER_AGENT": AGENT,
            "CLOSESPIDER_TIMEOUT": asked.seconds,
            # No names to look up, no console, no items (a task is made for each of them on every page).
            "TWISTED_DNS_RESOLVER": Loopback,
            "TELNETCONSOLE_ENABLED": False,
            "CONCURRENT_ITEMS": 1,
        }
    )
    crawler = process.create_crawler(Follow)
    process.crawl(crawler, seeds=seeds, every=asked.every_link)
    started = time.perf_counter()
    process.start()
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "pages": crawler.spider.pages}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
