"""A passage and an item beside each other: what a reader needs to judge a hit."""

from __future__ import annotations

from difflib import SequenceMatcher
from functools import lru_cache
from typing import Final

__all__ = ["aligned"]

_WORDS: Final = 80  # of either text; more is no clearer


@lru_cache(maxsize=1024)  # copies of one page hold the same passage
def aligned(passage: str, item: str) -> str:
    """Return the item's words as the passage has them, as wdiff writes it.

    ``[-what only the item has-]``, ``{+what only the passage has+}``; words are compared without case and punctuation.
    Of long texts the first words are shown. A passage that begins inside the item is shown from there.
    """
    ours, theirs = passage.split(), item.split()
    cut = len(ours) > _WORDS or len(theirs) > _WORDS
    ours, theirs = ours[:_WORDS], theirs[:_WORDS]
    matcher = SequenceMatcher(None, [_plain(word) for word in theirs], [_plain(word) for word in ours], autojunk=False)
    parts: list[str] = []
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            parts.append(" ".join(ours[c:d]))
            continue
        if b > a:
            parts.append(f"[-{' '.join(theirs[a:b])}-]")
        if d > c:
            parts.append(f"{{+{' '.join(ours[c:d])}+}}")
    return " ".join(parts) + (" …" if cut else "")


def _plain(word: str) -> str:
    return "".join(character for character in word.casefold() if character.isalnum()) or word
