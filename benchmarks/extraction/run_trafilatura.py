"""trafilatura's settings: with comments, as it comes; without; and its fast mode."""

from __future__ import annotations

import logging

import trafilatura
from extracting import run  # type: ignore[import-not-found]

logging.disable(logging.CRITICAL)

run(
    {
        "trafilatura": lambda body, url: trafilatura.extract(body, url=url),
        "trafilatura, no comments": lambda body, url: trafilatura.extract(body, url=url, include_comments=False),
        "trafilatura, fast": lambda body, url: trafilatura.extract(body, url=url, fast=True, include_comments=False),
    }
)
