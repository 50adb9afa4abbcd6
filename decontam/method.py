"""What counts as a hit."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["METHODS", "Method"]


class Method(BaseModel):
    """Parameters of an index and its scans.

    ``kind`` says how a stretch of text with n-grams of one item is scored: ``align`` aligns its words with the item's
    question, ``cover`` takes the share of the question that the n-grams cover, and for ``run`` any n-gram is enough.
    Words are weighted by their rarity (``decontam.rarity``), in nats, or all alike.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["align", "cover", "run"] = "cover"
    n: Annotated[int, Field(ge=2, le=64)]  # words in an n-gram
    gram_weight: Annotated[float, Field(ge=0)] = 0.0  # of its words, at least, in pieces that have such n-grams
    longest: Annotated[int, Field(ge=0, le=64)] = 0  # of "run": words in the longest n-gram told apart; 0: n
    short: Annotated[int, Field(ge=0, le=64)] = 0  # words in a short n-gram, of which only rare ones are looked for
    short_weight: Annotated[float, Field(ge=0)] = 0.0  # weight of a short n-gram's words, at least
    short_items: Annotated[int, Field(ge=1)] = 1  # and different questions that have it, at most
    short_words: Annotated[int, Field(ge=0)] = 0  # words of an item whose short n-grams are looked for, at most
    least_words: Annotated[int, Field(ge=1)]  # words of an item that can be checked, at least
    least_evidence: Annotated[float, Field(ge=0)]  # and their weight
    min_words: Annotated[int, Field(ge=1)]  # words of the item found, at least
    min_evidence: Annotated[float, Field(ge=0)]  # weight of these words, at least
    min_score: Annotated[float, Field(ge=0, le=1)]  # share of the question's weight found, at least
    min_choices: Annotated[float, Field(ge=0, le=1)] = (
        0.0  # of "align": the same of choices that belong to the question
    )
    min_density: Annotated[float, Field(ge=0, le=1)] = 0.0  # share of the stretch's words that are the item's
    max_gap: Annotated[int, Field(ge=0)]
    gap_cost: Annotated[float, Field(ge=0)] = 0.0  # of "align": nats for a word of the text between two of the item
    # of "align": diagonals (place in the text less place in the item) looked at on each side of the n-grams' median,
    # where they spread over more; it bounds what a hostile text can cost
    band: Annotated[int, Field(ge=16)] = 512
    max_items: Annotated[int, Field(ge=1)]
    # an n-gram of more different questions than this is a template and proves nothing
    drop_labels: bool  # leave out single letters a to j, so that option labels do not break n-grams
    extend_short: bool  # look for a question that says too little together with its choices
    weighted: bool = True  # by rarity; else every word weighs the same

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the method of a name in ``METHODS``.

        Raises:
            ValueError: there is no method of that name.
        """
        if name not in METHODS:
            raise ValueError(f'method: found "{name}", expected one of {", ".join(sorted(METHODS))}')
        return cls(name=name, **METHODS[name])

    @property
    def counting(self) -> Self:
        """The same with every n-gram of an item looked for: what is counted over a corpus.

        An item is set aside where all it has is in common use, its n-grams of function words with it, and these are not
        looked for otherwise.
        """
        return self.model_copy(update={"gram_weight": 0.0})

    @property
    def lengths(self) -> tuple[int, int]:
        """Words in the shortest and the longest n-gram that is counted over a corpus."""
        return (self.short or self.n, self.longest or self.n)


_PLAIN: Final[dict[str, Any]] = {
    "min_evidence": 0.0,
    "least_evidence": 0.0,
    "max_items": 1_000_000,
    "drop_labels": False,
    "extend_short": False,
    "weighted": False,
}

METHODS: Final[dict[str, dict[str, Any]]] = {
    # Ours, tuned on planted items and clean pages (`python -m benchmarks.decontam`).
    "default": {
        "kind": "align",
        "n": 5,
        "gram_weight": 12.0,
        "short": 3,
        "short_weight": 14.0,
        "short_items": 8,
        "short_words": 64,
        "least_words": 8,
        "least_evidence": 30.0,
        "min_words": 6,
        "min_evidence": 21.0,
        "min_score": 0.65,
        "min_choices": 0.75,
        "min_density": 0.6,
        "max_gap": 8,
        "gap_cost": 0.7,
        "max_items": 32,
        "drop_labels": True,
        "extend_short": True,
    },
    # AFM (2407.21075, section 3.1): any 4- to 13-gram, unless it is in common use in the corpus.
    "afm": {
        **_PLAIN,
        "kind": "run",
        "n": 4,
        "longest": 13,
        "least_words": 4,
        "min_words": 4,
        "min_score": 0.0,
        "max_gap": 0,
    },
    # GPT-3 (2005.14165, appendix C): any common run of 13 words, case and punctuation left out.
    "gpt3": {
        **_PLAIN,
        "kind": "run",
        "n": 13,
        "least_words": 13,
        "min_words": 13,
        "min_score": 0.0,
        "max_gap": 0,
    },
    # Llama 3 (2407.21783, section 5.1.4): the share of an item's tokens inside 8-grams that the text has. The report
    # gives a threshold for each data set and prints none: 0.8 is ours.
    "llama": {
        **_PLAIN,
        "kind": "cover",
        "n": 8,
        "least_words": 8,
        "min_words": 8,
        "min_score": 0.8,
        "max_gap": 256,
    },
    # Qwen2 (2407.10671, section 3): a common subsequence of at least 13 words and 0.6 of the shorter sequence. A web
    # page holds most of any item's words in some order, so the text's sequence is a stretch around a common 5-gram.
    "qwen2": {
        **_PLAIN,
        "kind": "align",
        "n": 5,
        "least_words": 13,
        "min_words": 13,
        "min_score": 0.6,
        "max_gap": 8,
        "gap_cost": 0.01,
    },
    # In the manner of AI2's decon: 5-grams of one question in a cluster, its words weighted by rarity, 0.8 of them.
    "decon": {
        "kind": "cover",
        "n": 5,
        "least_words": 8,
        "least_evidence": 30.0,
        "min_words": 8,
        "min_evidence": 30.0,
        "min_score": 0.8,
        "min_density": 0.5,
        "max_gap": 11,
        "max_items": 32,
        "drop_labels": False,
        "extend_short": False,
    },
}
METHODS["ngram"] = METHODS["gpt3"]  # the name it had first
