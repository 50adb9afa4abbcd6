"""A short crawl of the real sample site, made once for all tests that read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.crawl.crawler import CrawlConfig, CrawlSummary, crawl


@pytest.fixture(scope="session")
def pydoc_config() -> CrawlConfig:
    paths = ("textwrap", "copies/textwrap", "sched", "getpass", "broken", "missing", "old/json", "secrets")
    seeds = tuple(f"http://pydoc.test/{path}.html" for path in paths)
    return CrawlConfig(site="pydoc", seeds=seeds, delay=0.0, max_pages=30)


@pytest.fixture(scope="session")
def pydoc_crawl(tmp_path_factory: pytest.TempPathFactory, pydoc_config: CrawlConfig) -> CrawlSummary:
    folder: Path = tmp_path_factory.mktemp("pydoc") / "crawl"
    return crawl(pydoc_config, folder)
