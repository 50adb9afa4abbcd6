"""Where records come from, one file a source."""

from __future__ import annotations

from pipelines.sources.code import CodeSource
from pipelines.sources.crawl import CrawlSource
from pipelines.sources.docstrings import Docstrings
from pipelines.sources.python_packages import PythonPackages
from pipelines.sources.warc import WarcSource

SourceConfig = CrawlSource | WarcSource | CodeSource | PythonPackages | Docstrings
"""Every source that a recipe can name, told apart by `type`."""

__all__ = ["CodeSource", "CrawlSource", "Docstrings", "PythonPackages", "SourceConfig", "WarcSource"]
