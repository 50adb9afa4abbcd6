"""Which texts datatrove's Gopher filters keep when they are given the words. Runs in datatrove's environment.

Reads lines of {"key", "text", "words"} from the standard input, and prints one object: key to whether it is kept.
"""

# datatrove is in an environment of its own
# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

import json
import sys
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from datatrove.utils.word_tokenizers import WordTokenizer


class Given(WordTokenizer):
    """Splits the one text that it knows the words of."""

    def __init__(self, words: list[str]) -> None:
        super().__init__("en")
        self._words = words

    def word_tokenize(self, text: str) -> list[str]:
        return self._words

    def sent_tokenize(self, text: str) -> list[str]:
        raise NotImplementedError

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        raise NotImplementedError


def keeps(one: dict[str, Any]) -> bool:
    given = Given(one["words"])
    document = Document(text=one["text"], id=one["key"])
    for made in (GopherRepetitionFilter(language=given), GopherQualityFilter(language=given)):
        answer = made.filter(document)
        if not (answer[0] if isinstance(answer, tuple) else answer):
            return False
    return True


print(json.dumps({one["key"]: keeps(one) for one in map(json.loads, sys.stdin)}))
