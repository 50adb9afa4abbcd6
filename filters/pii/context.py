"""Words around a place, which say what a number is."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import Final

__all__ = ["Words", "after", "before", "without_placeholders"]

_REACH: Final = 48
_PLACEHOLDER: Final = re.compile(r"<[A-Z_0-9]*>?")
_WORD: Final = re.compile(r"[^\W\d_]+")


class Words:
    """The words before a place, as far as the last empty line, and pairs of neighbours (``tax file``)."""

    def __init__(self, text: str, start: int) -> None:
        """Read them."""
        self.text = before(text, start)
        found = _WORD.findall(self.text)
        self.near = frozenset((*found, *map(" ".join, pairwise(found))))

    def any(self, words: Collection[str], parts: Iterable[str] = ()) -> bool:
        """Whether one of the words is near, or one of the parts in a script that sets no spaces between words."""
        if not self.near.isdisjoint(words):
            return True
        return not self.text.isascii() and any(part in self.text for part in parts)


def before(text: str, start: int, reach: int = _REACH) -> str:
    """The characters before a place, in lower case, as far as the last empty line; placeholders are left out."""
    return without_placeholders(text[max(0, start - reach) : start].rpartition("\n\n")[2]).lower()


def after(text: str, end: int, reach: int = 16) -> str:
    """The characters behind a place in its line, in lower case; placeholders are left out."""
    return without_placeholders(text[end : end + reach].partition("\n")[0]).lower()


def without_placeholders(text: str) -> str:
    """The text without ``<PHONE_NUMBER>``, which is no word for a telephone: what was replaced must not tell."""
    return _PLACEHOLDER.sub(" ", text) if "<" in text else text
