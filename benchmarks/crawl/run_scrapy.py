"""Scrapy's side: the same seeds, scope, delay and robots.txt, following links, keeping nothing.

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
from scrapy.crawler import CrawlerProcess
from scrapy.linkextractors import LinkExtractor
from scrapy.resolver import CachingThreadedResolver
from twisted.internet import defer


class Loopback(CachingThreadedResolver):
    """Every name is this machine."""

    def getHostByName(self, name: str, timeout: Any = ()) -> Any:  # noqa: N802 - Twisted's name
        return defer.succeed("127.0.0.1")


class Follow(scrapy.Spider):
    """Follows every link on the hosts of the seeds."""

    name = "follow"

    def __init__(self, seeds: list[str], **more: Any) -> None:
        super().__init__(**more)
        self.start_urls = seeds
        self.hosts = {seed.split("/")[2] for seed in seeds}  # Scrapy's domains have their port
        self.pages = self.bytes = 0
        self.links = LinkExtractor(allow_domains=sorted(self.hosts), deny_extensions=[], canonicalize=False)

    def parse(self, response: Any) -> Any:
        self.pages += 1
        self.bytes += len(response.body)
        if isinstance(response, scrapy.http.HtmlResponse):
            for link in self.links.extract_links(response):
                yield scrapy.Request(link.url, self.parse)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=Path, required=True)
    parser.add_argument("--delay", type=float, required=True)
    parser.add_argument("--hosts", type=int, required=True)
    asked = parser.parse_args()
    seeds = json.loads(asked.seeds.read_text(encoding="utf-8"))
    process = CrawlerProcess(
        {
            "ROBOTSTXT_OBEY": True,
            "DOWNLOAD_DELAY": asked.delay,
            "RANDOMIZE_DOWNLOAD_DELAY": False,
            "CONCURRENT_REQUESTS": asked.hosts,
            "CONCURRENT_REQUESTS_PER_DOMAIN": 1,
            "SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.DownloaderAwarePriorityQueue",
            "DNS_RESOLVER": Loopback,
            "COOKIES_ENABLED": False,
            "RETRY_ENABLED": False,
            "TELNETCONSOLE_ENABLED": False,
            "LOG_LEVEL": "ERROR",
            "USER_AGENT": "PomonaBench/0.1",
        }
    )
    crawler = process.create_crawler(Follow)
    process.crawl(crawler, seeds=seeds)
    started = time.perf_counter()
    process.start()
    seconds = time.perf_counter() - started
    stats = crawler.stats.get_stats()
    print(
        json.dumps(
            {
                "seconds": seconds,
                "pages": crawler.spider.pages
                if crawler.spider
                else stats.get("downloader/response_status_count/200", 0),
                "requests": stats["downloader/request_count"],
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
