"""Names of persons, by a spaCy pipeline of the user's own: there is no checksum for a name.

It reads text by text in Python, far slower than the validated kinds, and is right as often as its model is.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filters.pii.phone import MissingExtra
from filters.pii.span import Span

__all__ = ["Names"]

_PLACEHOLDER: Final = re.compile(r"<[A-Z][A-Z_0-9]*>")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LABELS: Final = frozenset({"PERSON", "PER", "PRS", "persName"})
"""What the models of spaCy call persons, by language."""


@dataclass(frozen=True)
class Names:
    """A pipeline that marks entities, and the labels of persons among them."""

    pipeline: Any
    labels: Collection[str] = _LABELS

    @classmethod
    def load(cls, model: str | Path, labels: Collection[str] = _LABELS) -> Names:
        """Open a model.

        Args:
            model: an installed package (``en_core_web_sm``) or a folder.
            labels: of the entities that are persons.

        Raises:
            MissingExtra: spaCy is not installed.
            OSError: there is no such model.
        """
        try:
            import spacy
        except ModuleNotFoundError as error:
            raise MissingExtra(
                "names need the package spacy; install it with  pip install -c constraints.txt '.[names]'"
            ) from error
        return cls(spacy.load(model), labels)

    def find(self, text: str) -> list[Span]:
        """The names of persons, kind ``name``, in the order of the text; what a placeholder holds is none."""
        taken = [match.span() for match in _PLACEHOLDER.finditer(text)]
        document = self.pipeline(_SURROGATE.sub("\ufffd", text))  # bytes that are not UTF-8: spaCy encodes its words
        return [
            Span("name", entity.start_char, entity.end_char, text[entity.start_char : entity.end_char])
            for entity in document.ents
            if entity.label_ in self.labels
            and not any(start < entity.end_char and entity.start_char < end for start, end in taken)
        ]
