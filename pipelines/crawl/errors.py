"""What stops a crawl as a whole; what stops one page is a `FetchError`."""

from __future__ import annotations


class CrawlError(Exception):
    """A crawl that cannot be started; the message says why and what to do."""
