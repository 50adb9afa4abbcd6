"""What counts as a hit."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["METHODS", "Method"]


class Method(BaseModel):
    """Parameters of an index and its scans.

    A hit is a stretch of text with n-grams of one item, no two more than ``max_gap`` words apart, that covers enough of
    the item. Words are weighted by their rarity (``decontam.rarity``), in nats.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    n: Annotated[int, Field(ge=2, le=64)]  # words in an n-gram
    min_words: Annotated[int, Field(ge=1)]  # words of the item covered, at least
    min_evidence: Annotated[float, Field(ge=0)]  # weight of these words, at least
    min_score: Annotated[float, Field(ge=0, le=1)]  # share of the question's weight covered, at least
    min_density: Annotated[float, Field(ge=0, le=1)]  # share of the stretch's words covered by n-grams, at least
    max_gap: Annotated[int, Field(ge=0)]
    max_items: Annotated[
        int, Field(ge=1)
    ]  # an n-gram of more different questions than this is a template and proves nothing
    drop_labels: bool  # leave out single letters a to j, so that option labels do not break n-grams
    extend_short: bool  # look for a question that says too little together with its choices

    @classmethod
    def named(cls, name: str) -> Self:
        """Return "default" or "ngram".

        Raises:
            ValueError: there is no method of that name.
        """
        if name not in METHODS:
            raise ValueError(f'method: found "{name}", expected one of {", ".join(sorted(METHODS))}')
        return cls(name=name, **METHODS[name])


# The figures of "default" are ours, tuned on planted items and clean pages (tests/decontam/test_recall.py). "ngram" is
# that of GPT-3 (2005.14165, appendix C): any common run of 13 words, case and punctuation left out.
METHODS: Final[dict[str, dict[str, Any]]] = {
    "default": {
        "n": 5,
        "min_words": 8,
        "min_evidence": 30.0,
        "min_score": 0.6,
        "min_density": 0.5,
        "max_gap": 16,
        "max_items": 32,
        "drop_labels": True,
        "extend_short": True,
    },
    "ngram": {
        "n": 13,
        "min_words": 13,
        "min_evidence": 0.0,
        "min_score": 0.0,
        "min_density": 0.0,
        "max_gap": 13,
        "max_items": 1_000_000,
        "drop_labels": False,
        "extend_short": False,
    },
}
