"""Signals and rules ``dclm``: the heuristics of DCLM-Baseline, RefinedWeb rebuilt (Li et al. 2024, arXiv 2406.11794).

Definitions and thresholds are those of mlfoundations/dclm (``dclm_baseline_refinedweb.yaml``,
``mappers/filters/content_filters.py``). They differ from datatrove's Gopher: lengths, symbols and stop words go by
words between white space, stop words count every time and in any case, every copy of a repeated line or paragraph
counts, and of runs of 5 to 10 words, all words that lie in a repeated run. Words of runs and of the length in words are
ours (without punctuation), where DCLM takes uniseg's (UAX #29) and fastText's; paragraphs are between empty lines. What
DCLM removes before it counts (URLs, more than two newlines in a row) is not removed here. The line rules are
``refinedweb``'s. The quality classifier, URL lists, language and deduplication are steps of their own.

Ratios of the empty text are 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filters.batch import Batch, ratio, sums
from filters.family import Family
from filters.gopher import STOP_WORDS
from filters.refinedweb import RULES as REFINEDWEB_RULES
from filters.rule import Rule
from kernels.lines import inner_lines
from kernels.occurrences import PhraseGroup
from kernels.phrases import begins_with, ends_with
from kernels.repeated_lines import repeated
from kernels.spaced import spelling_hash
from kernels.vocabulary import count_few

__all__ = ["FAMILY", "RULES"]

_TOP: Final = {2: 0.20, 3: 0.18, 4: 0.16}
_DUPLICATE: Final = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


_SYMBOLS: Final = PhraseGroup(("#", "...", ". . .", "…"))


@cache
def _stop_words() -> NDArray[np.uint64]:
    return np.array([spelling_hash(word) for word in STOP_WORDS], np.uint64)


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    return {**_quality(batch.apart()), **_repetition(batch.apart())}


def _quality(batch: Batch) -> dict[str, NDArray[Any]]:
    texts, tokens, lines = batch.texts, batch.spaced, batch.lines
    count = np.diff(tokens.offsets)
    some = lines.inner_ends > lines.inner_starts
    line_count = sums(some, lines.offsets)
    bullets = some & begins_with(texts, lines.inner_starts, lines.inner_ends, ("●", "•", "*", "-"))
    ellipses = some & ends_with(texts, lines.inner_starts, lines.inner_ends, ("...", ". . .", "…"))
    return {
        "words": batch.word_counts,
        "mean_word_length": ratio(sums(tokens.chars, tokens.offsets), count),
        "symbol_ratio": ratio(batch.occurrences(_SYMBOLS), count),
        "bullet_line_ratio": ratio(sums(bullets, lines.offsets), line_count),
        "ellipsis_line_ratio": ratio(sums(ellipses, lines.offsets), line_count),
        "alphabetic_word_ratio": ratio(sums(tokens.alphabetic, tokens.offsets), count),
        "stop_words": count_few(tokens.offsets, tokens.folded, _stop_words()),
    }


def _repetition(batch: Batch) -> dict[str, NDArray[Any]]:
    texts, lines = batch.texts, batch.lines
    some = lines.inner_ends > lines.inner_starts
    by_line = repeated(lines.offsets, *inner_lines(texts, lines), some)
    paragraphs = batch.paragraphs
    by_paragraph = repeated(
        paragraphs.offsets, *inner_lines(texts, paragraphs), paragraphs.inner_ends > paragraphs.inner_starts
    )
    chars = batch.apart().word_chars
    found = batch.token_runs(list(_TOP), list(_DUPLICATE), words=True)
    return {
        "duplicate_line_ratio": ratio(by_line.copies, by_line.parts),
        "duplicate_line_char_ratio": ratio(by_line.copy_chars, by_line.chars),
        "duplicate_paragraph_ratio": ratio(by_paragraph.copies, by_paragraph.parts),
        "duplicate_paragraph_char_ratio": ratio(by_paragraph.copy_chars, by_paragraph.chars),
        **{
            f"top_{n}_gram_char_ratio": ratio(found.times[:, column] * found.longest[:, column], chars)
            for column, n in enumerate(_TOP)
        },
        **{
            f"duplicate_{n}_gram_char_ratio": ratio(found.covered[:, column], chars)
            for column, n in enumerate(_DUPLICATE)
        },
    }


FAMILY = Family(
    "dclm",
    {
        "words": "words, without punctuation and symbols",
        "mean_word_length": "mean characters of a word between white space",
        "symbol_ratio": "occurrences of #, ..., . . . and … for each such word",
        "bullet_line_ratio": "share of lines (not blank) that begin with ●, •, * or -",
        "ellipsis_line_ratio": "share of lines (not blank) that end with ..., . . . or …",
        "alphabetic_word_ratio": "share of words between white space with a letter",
        "stop_words": "words that are one of the eight English stop words, in any case",
        "duplicate_line_ratio": "share of lines (not blank) equal to another",
        "duplicate_line_char_ratio": "share of characters of lines in such lines",
        "duplicate_paragraph_ratio": "share of paragraphs equal to another",
        "duplicate_paragraph_char_ratio": "share of characters of paragraphs in such paragraphs",
        **{f"top_{n}_gram_char_ratio": f"share of characters in the most frequent run of {n} words" for n in _TOP},
        **{
            f"duplicate_{n}_gram_char_ratio": f"share of characters in words of a repeated run of {n}"
            for n in _DUPLICATE
        },
    },
    _measure,
    phrases=(_SYMBOLS,),
)

RULES = (
    Rule(name="dclm-few-words", signal="dclm.words", min=50),
    Rule(name="dclm-many-words", signal="dclm.words", max=100_000),
    Rule(name="dclm-short-words", signal="dclm.mean_word_length", min=3),
    Rule(name="dclm-long-words", signal="dclm.mean_word_length", max=10),
    Rule(name="dclm-symbols", signal="dclm.symbol_ratio", max=0.1),
    Rule(name="dclm-bullet-lines", signal="dclm.bullet_line_ratio", max=0.9),
    Rule(name="dclm-ellipsis-lines", signal="dclm.ellipsis_line_ratio", max=0.3),
    Rule(name="dclm-few-alphabetic-words", signal="dclm.alphabetic_word_ratio", min=0.8),
    Rule(name="dclm-few-stop-words", signal="dclm.stop_words", min=2),
    Rule(name="dclm-duplicate-lines", signal="dclm.duplicate_line_ratio", max=0.3),
    Rule(name="dclm-duplicate-paragraphs", signal="dclm.duplicate_paragraph_ratio", max=0.3),
    Rule(name="dclm-duplicate-line-chars", signal="dclm.duplicate_line_char_ratio", max=0.2),
    Rule(name="dclm-duplicate-paragraph-chars", signal="dclm.duplicate_paragraph_char_ratio", max=0.2),
    *(Rule(name=f"dclm-top-{n}-gram", signal=f"dclm.top_{n}_gram_char_ratio", max=most) for n, most in _TOP.items()),
    *(
        Rule(name=f"dclm-duplicate-{n}-grams", signal=f"dclm.duplicate_{n}_gram_char_ratio", max=most)
        for n, most in _DUPLICATE.items()
    ),
    *(rule for rule in REFINEDWEB_RULES if rule.signal.startswith("refinedweb.")),
)
