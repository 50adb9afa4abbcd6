"""Signals and rules ``gopher``: quality and repetition (Rae et al. 2021, arXiv 2112.11446, A.1.1 and table A1).

The paper leaves open what a word, a line and a duplicate is; here they are as in datatrove 0.10.1
(``GopherQualityFilter``, ``GopherRepetitionFilter``), whose defaults the rules take. A character is a code point. Words
of the quality signals are tokens of kind WORD; "tokens" also counts punctuation and symbols. Where datatrove divides by
zero (an empty text), the ratio is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filters.batch import Batch, ratio, sums
from filters.family import Family
from filters.rule import Rule
from kernels.phrases import begins_with, count_phrases, ends_with
from kernels.repeated_lines import repeated
from kernels.vocabulary import distinct_known_words

__all__ = ["FAMILY", "RULES", "STOP_WORDS"]

STOP_WORDS: Final = ("the", "be", "to", "of", "and", "that", "have", "with")  # case counts, as in datatrove
_BULLETS: Final = ("•", "-")
_ELLIPSES: Final = ("...", "…")

# Largest share of a text's characters in its most frequent run of n words, and in runs of n words that came before
# (table A1).
_TOP: Final = {2: 0.20, 3: 0.18, 4: 0.16}
_DUPLICATE: Final = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    return {**_quality(batch.apart()), **_repetition(batch.apart())}


def _quality(batch: Batch) -> dict[str, NDArray[Any]]:
    words, spelling, lines = batch.found, batch.spelling, batch.unicode_lines
    line_counts = np.diff(lines.offsets)
    signs = count_phrases(batch.texts, ["#", *_ELLIPSES])
    bullets = begins_with(batch.texts, lines.inner_starts, lines.inner_ends, _BULLETS)
    ellipses = ends_with(batch.texts, lines.inner_starts, lines.inner_ends, _ELLIPSES)
    return {
        "words": batch.word_counts,
        "mean_word_length": ratio(batch.word_chars, batch.word_counts),
        "hash_ratio": ratio(signs[:, 0], batch.tokens),
        "ellipsis_ratio": ratio(signs[:, 1] + signs[:, 2], batch.tokens),
        "bullet_line_ratio": ratio(sums(bullets, lines.offsets), line_counts),
        "ellipsis_line_ratio": ratio(sums(ellipses, lines.offsets), line_counts),
        "alphabetic_word_ratio": ratio(sums(spelling.alphabetic, words.offsets), batch.tokens),
        "stop_words": distinct_known_words(words, spelling, STOP_WORDS),
    }


def _repetition(batch: Batch) -> dict[str, NDArray[Any]]:
    # Lines between runs of newlines, re.split("\n+", text): the lines that are not empty, and an empty one at an end
    # that is a newline.
    lines = batch.lines
    considered = lines.chars > 0
    by_line = repeated(lines.offsets, lines.hashes, lines.chars, considered)
    several = batch.newlines > 0
    opens = several & ~considered[lines.offsets[:-1]]
    closes = several & ~considered[lines.offsets[1:] - 1]
    line_counts = sums(considered, lines.offsets) + opens + closes
    repeated_lines = by_line.later + (opens & closes)

    paragraphs = batch.paragraphs
    every = np.ones(len(paragraphs.starts), np.bool_)
    by_paragraph = repeated(paragraphs.offsets, paragraphs.hashes, paragraphs.chars, every)

    found = batch.token_runs(list(_TOP), list(_DUPLICATE))
    # Of the most frequent run the spaces between its tokens count, of those that came before they do not.
    top = found.times * (found.first + (np.asarray(list(_TOP)) - 1) * (found.times > 0))
    return {
        "duplicate_line_ratio": ratio(repeated_lines, line_counts),
        "duplicate_line_char_ratio": ratio(by_line.later_chars, batch.chars),
        "duplicate_paragraph_ratio": ratio(by_paragraph.later, np.diff(paragraphs.offsets)),
        "duplicate_paragraph_char_ratio": ratio(by_paragraph.later_chars, batch.chars),
        **{f"top_{n}_gram_char_ratio": ratio(top[:, column], batch.chars) for column, n in enumerate(_TOP)},
        **{
            f"duplicate_{n}_gram_char_ratio": ratio(found.later[:, column], batch.chars)
            for column, n in enumerate(_DUPLICATE)
        },
    }


FAMILY = Family(
    "gopher",
    {
        "words": "words, without punctuation and symbols",
        "mean_word_length": "mean characters of a word",
        "hash_ratio": "occurrences of # for each token",
        "ellipsis_ratio": "occurrences of ... and … for each token",
        "bullet_line_ratio": "share of lines that begin with • or -",
        "ellipsis_line_ratio": "share of lines that end with ... or …",
        "alphabetic_word_ratio": "share of tokens that hold a letter",
        "stop_words": "how many of the eight English stop words occur",
        "duplicate_line_ratio": "share of lines equal to one before them",
        "duplicate_line_char_ratio": "share of characters in such lines",
        "duplicate_paragraph_ratio": "share of paragraphs equal to one before them",
        "duplicate_paragraph_char_ratio": "share of characters in such paragraphs",
        **{f"top_{n}_gram_char_ratio": f"share of characters in the most frequent run of {n} tokens" for n in _TOP},
        **{
            f"duplicate_{n}_gram_char_ratio": f"share of characters in runs of {n} tokens that came before"
            for n in _DUPLICATE
        },
    },
    _measure,
)

RULES = (
    Rule(name="gopher-few-words", signal="gopher.words", min=50),
    Rule(name="gopher-many-words", signal="gopher.words", max=100_000),
    Rule(name="gopher-short-words", signal="gopher.mean_word_length", min=3),
    Rule(name="gopher-long-words", signal="gopher.mean_word_length", max=10),
    Rule(name="gopher-hashes", signal="gopher.hash_ratio", max=0.1),
    Rule(name="gopher-ellipses", signal="gopher.ellipsis_ratio", max=0.1),
    Rule(name="gopher-bullet-lines", signal="gopher.bullet_line_ratio", max=0.9),
    Rule(name="gopher-ellipsis-lines", signal="gopher.ellipsis_line_ratio", max=0.3),
    Rule(name="gopher-few-alphabetic-words", signal="gopher.alphabetic_word_ratio", min=0.8),
    Rule(name="gopher-few-stop-words", signal="gopher.stop_words", min=2),
    Rule(name="gopher-duplicate-lines", signal="gopher.duplicate_line_ratio", max=0.30),
    Rule(name="gopher-duplicate-paragraphs", signal="gopher.duplicate_paragraph_ratio", max=0.30),
    Rule(name="gopher-duplicate-line-chars", signal="gopher.duplicate_line_char_ratio", max=0.20),
    Rule(name="gopher-duplicate-paragraph-chars", signal="gopher.duplicate_paragraph_char_ratio", max=0.20),
    *(
        Rule(name=f"gopher-top-{n}-gram", signal=f"gopher.top_{n}_gram_char_ratio", max=most)
        for n, most in _TOP.items()
    ),
    *(
        Rule(name=f"gopher-duplicate-{n}-grams", signal=f"gopher.duplicate_{n}_gram_char_ratio", max=most)
        for n, most in _DUPLICATE.items()
    ),
)
