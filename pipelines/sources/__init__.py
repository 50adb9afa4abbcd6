"""Where records come from, one file a source."""

from __future__ import annotations

from pipelines.sources.code import CodeSource
from pipelines.sources.crawl import CrawlSource
from pipelines.sources.docstrings import Docstrings
from pipelines.sources.epub import EpubSource
from pipelines.sources.latex import LatexSource
from pipelines.sources.mediawiki import MediaWikiSource
from pipelines.sources.python_packages import PythonPackages
from pipelines.sources.stackexchange import StackExchangeSource
from pipelines.sources.table import TableSource
from pipelines.sources.text import TextSource
from pipelines.sources.warc import WarcSource

SourceConfig = (
    CrawlSource
    | WarcSource
    | CodeSource
    | PythonPackages
    | Docstrings
    | TextSource
    | TableSource
    | MediaWikiSource
    | EpubSource
    | LatexSource
    | StackExchangeSource
)
"""Every source that a recipe can name, told apart by `type`."""

__all__ = [
    "CodeSource",
    "CrawlSource",
    "Docstrings",
    "EpubSource",
    "LatexSource",
    "MediaWikiSource",
    "PythonPackages",
    "SourceConfig",
    "StackExchangeSource",
    "TableSource",
    "TextSource",
    "WarcSource",
]
