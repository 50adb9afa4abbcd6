"""Pomona's side: a crawl to WARC and ledger, as `pomona crawl` does it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=Path, required=True)
    parser.add_argument("--delay", type=float, required=True)
    parser.add_argument("--hosts", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    from pipelines.crawl.config import CrawlConfig
    from pipelines.crawl.crawler import crawl

    seeds = json.loads(asked.seeds.read_text(encoding="utf-8"))
    places = {urlsplit(seed).netloc.rpartition(":")[0]: f"127.0.0.1:{urlsplit(seed).port}" for seed in seeds}
    config = CrawlConfig(
        seeds=tuple(seeds),
        delay=asked.delay,
        max_pages=10_000_000,
        max_seconds=asked.seconds,
        concurrent_hosts=asked.hosts,
        allow_private=True,
        connect_to=places,
        user_agent="PomonaBench/0.1",
        max_retries=0,
        adaptive_delay=0,  # as Scrapy is asked
    )
    started = time.perf_counter()
    summary = crawl(config, asked.out)
    print(json.dumps({"seconds": time.perf_counter() - started, "pages": summary.kept}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
