"""What becomes of a page, as plain values that two processes can compare."""

from __future__ import annotations

import dataclasses
from typing import Any

from pipelines.extract.auto import extract
from pipelines.extract.extraction import ExtractionError

REASONS = frozenset({"empty-document", "undecodable-content", "too-large"})
"""Reasons for which our own engine may give no text."""

Result = tuple[Any, ...]


def outcome(html: bytes) -> Result:
    """The extraction's fields, or the reason why there is none; anything else that is raised goes on."""
    try:
        return "text", *dataclasses.astuple(extract(html))
    except ExtractionError as error:
        return "failed", error.reason, str(error)


def check(result: Result) -> None:
    """A text or a named reason; every text of it can be written as UTF-8 and has no NUL."""
    if result[0] == "failed":
        assert result[1] in REASONS, result
        return
    assert result[1].strip()
    for text in _texts(result):
        text.encode("utf-8")
        assert "\0" not in text, text[:200]


def _texts(value: Any) -> list[str]:
    if isinstance(value, tuple | list):
        return [text for one in value for text in _texts(one)]
    return [value] if isinstance(value, str) else []
