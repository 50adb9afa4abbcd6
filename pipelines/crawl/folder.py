"""The names in a crawl's folder."""

from __future__ import annotations

FORMAT = "pomona-crawl/1"
MANIFEST = "crawl.json"
LEDGER = "ledger.parquet"
PAGES, DIAGNOSTICS, ROBOTS = FOLDERS = ("warc", "crawldiagnostics", "robotstxt")
