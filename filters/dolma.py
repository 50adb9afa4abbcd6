"""Signals and rules ``dolma``: the definitions of dolma's Gopher and C4 taggers (Soldaini et al. 2024, 2402.00159).

Definitions are those of dolma 1.2.1 (``gopher_v2``, ``c4_v2``): a word is what stands between white space, its length
is a median, every copy of a repeated line counts, every occurrence of a repeated run of words counts in full.
(``gopher_v1``, which tagged Dolma itself, differs by counting empty lines as lines, equal ones as duplicates.)
Thresholds are those of Dolma's mixing configuration for Common Crawl (``configs/dolma-v1_6/mixing``); C4's four marks
drop a document, as in its C4 configuration, but terminal punctuation drops nothing. ``periodic_repeats`` stands for its
tokenizer_repetitions_v2r2: a run of at most 13 tokens that follows itself 100 times; tokens are ours here and
GPT-NeoX's there, and a run of one and the same sign is a single token. Its other steps are elsewhere: language,
personal data (``pii``), toxicity, deduplication.

Ratios of the empty text are 0, but its one line is unfinished and short, as dolma says. Naughty words are LDNOOBW's
English list, which is the one that dolma ships.
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
from filters.naughty import naughty_hashes, naughty_phrases
from filters.rule import Rule
from kernels.known_runs import count_known
from kernels.ngrams import runs
from kernels.occurrences import PhraseGroup
from kernels.periods import longest_period
from kernels.phrases import begins_with, ends_with, words_with
from kernels.repeated_lines import repeated
from kernels.spaced import medians, spelling_hash
from kernels.vocabulary import count_few

__all__ = ["FAMILY", "RULES"]

_TOP: Final = {2: 0.20, 3: 0.18, 4: 0.16}
_DUPLICATE: Final = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
_ENDS: Final = (".", "?", "!", '"')
_PERIOD: Final = 13  # tokens


_SYMBOLS: Final = PhraseGroup(("#", "…"))
_CURLY: Final = PhraseGroup(("{",), fold=True)
_LOREM: Final = PhraseGroup(("lorem ipsum",), fold=True)
_JAVASCRIPT: Final = PhraseGroup(("javascript",), fold=True)


@cache
def _stop_words() -> NDArray[np.uint64]:
    return np.array([spelling_hash(word) for word in STOP_WORDS], np.uint64)


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    return {**_gopher(batch.apart()), **_periods(batch.apart()), **_c4(batch.apart())}


def _gopher(batch: Batch) -> dict[str, NDArray[Any]]:
    texts, tokens = batch.texts, batch.spaced
    count = np.diff(tokens.offsets)
    chars = sums(tokens.chars, tokens.offsets)
    symbols = words_with(texts, tokens.offsets, tokens.ends, batch.occurrences(_SYMBOLS) > 0, ("#", "…"))
    found = runs(tokens.offsets, tokens.hashes, tokens.chars, list(_TOP), list(_DUPLICATE))
    # Lines between runs of newlines: the lines that are not empty, and an empty one at an end that is a newline.
    lines = batch.lines
    some = lines.chars > 0
    opens = (batch.newlines > 0) & ~some[lines.offsets[:-1]]
    closes = (batch.newlines > 0) & ~some[lines.offsets[1:] - 1]
    line_count = sums(some, lines.offsets) + opens + closes
    bullets = begins_with(texts, lines.starts, lines.ends, ("*", "-"))
    ellipses = ends_with(texts, lines.starts, lines.ends, ("…",))
    by_line = repeated(lines.offsets, lines.hashes, lines.chars, lines.ends > lines.starts)
    return {
        "words": count,
        "median_word_length": medians(tokens.offsets, tokens.chars),
        "symbol_ratio": ratio(symbols, count),
        "alphabetic_word_ratio": ratio(sums(tokens.alphabetic, tokens.offsets), count),
        "stop_words": count_few(tokens.offsets, tokens.hashes, _stop_words()),
        "bullet_line_ratio": ratio(sums(bullets, lines.offsets), line_count),
        "ellipsis_line_ratio": ratio(sums(ellipses, lines.offsets), line_count),
        "duplicate_line_ratio": ratio(by_line.copies + 2 * (opens & closes), line_count),
        "duplicate_line_char_ratio": ratio(by_line.copy_chars, chars),
        **{
            f"top_{n}_gram_char_ratio": ratio(found.times[:, column] * found.first[:, column], chars)
            for column, n in enumerate(_TOP)
        },
        **{
            f"duplicate_{n}_gram_char_ratio": ratio(found.repeated[:, column], found.total[:, column])
            for column, n in enumerate(_DUPLICATE)
        },
    }


def _periods(batch: Batch) -> dict[str, NDArray[Any]]:
    return {"periodic_repeats": longest_period(batch.found.offsets, batch.folded, _PERIOD)}


def _c4(batch: Batch) -> dict[str, NDArray[Any]]:
    texts, tokens, lines = batch.texts, batch.spaced, batch.lines
    count = np.diff(lines.offsets)
    unfinished = ~ends_with(texts, lines.inner_starts, lines.inner_ends, _ENDS)
    few = batch.line_words < 3
    return {
        "curly_brackets": batch.occurrences(_CURLY),
        "lorem_ipsum": batch.occurrences(_LOREM),
        "javascript": batch.occurrences(_JAVASCRIPT),
        "naughty_words": count_known(tokens.offsets, tokens.folded, naughty_hashes())
        + batch.occurrences(naughty_phrases()),
        "unfinished_line_ratio": ratio(sums(unfinished, lines.offsets), count),
        "short_line_ratio": ratio(sums(few, lines.offsets), count),
    }


FAMILY = Family(
    "dolma",
    {
        "words": "words between white space",
        "median_word_length": "median characters of a word",
        "symbol_ratio": "share of words with # or …",
        "alphabetic_word_ratio": "share of words with a letter",
        "stop_words": "words that are one of the eight English stop words",
        "bullet_line_ratio": "share of lines that begin with * or -",
        "ellipsis_line_ratio": "share of lines that end with …",
        "duplicate_line_ratio": "share of lines equal to another",
        "duplicate_line_char_ratio": "their characters for each character of a word",
        **{f"top_{n}_gram_char_ratio": f"share of characters in the most frequent run of {n} words" for n in _TOP},
        **{
            f"duplicate_{n}_gram_char_ratio": f"share of characters of all runs of {n} words in those that are repeated"
            for n in _DUPLICATE
        },
        "periodic_repeats": "how often a run of at most 13 tokens follows itself",
        "curly_brackets": "occurrences of {",
        "lorem_ipsum": 'occurrences of "lorem ipsum"',
        "javascript": 'occurrences of "javascript"',
        "naughty_words": "words and phrases of LDNOOBW's English list",
        "unfinished_line_ratio": 'share of lines that end with none of . ? ! "',
        "short_line_ratio": "share of lines of fewer than 3 words",
    },
    _measure,
    phrases=(_SYMBOLS, _CURLY, _LOREM, _JAVASCRIPT, naughty_phrases()),
)

RULES = (
    Rule(name="dolma-few-words", signal="dolma.words", min=50),
    Rule(name="dolma-many-words", signal="dolma.words", max=100_000),
    Rule(name="dolma-short-words", signal="dolma.median_word_length", min=3),
    Rule(name="dolma-long-words", signal="dolma.median_word_length", max=10),
    Rule(name="dolma-symbols", signal="dolma.symbol_ratio", max=0.1),
    Rule(name="dolma-few-alphabetic-words", signal="dolma.alphabetic_word_ratio", min=0.8),
    Rule(name="dolma-few-stop-words", signal="dolma.stop_words", min=2),
    Rule(name="dolma-bullet-lines", signal="dolma.bullet_line_ratio", max=0.9),
    Rule(name="dolma-ellipsis-lines", signal="dolma.ellipsis_line_ratio", max=0.3),
    Rule(name="dolma-duplicate-lines", signal="dolma.duplicate_line_ratio", max=0.3),
    Rule(name="dolma-duplicate-line-chars", signal="dolma.duplicate_line_char_ratio", max=0.3),
    *(Rule(name=f"dolma-top-{n}-gram", signal=f"dolma.top_{n}_gram_char_ratio", max=most) for n, most in _TOP.items()),
    *(
        Rule(name=f"dolma-duplicate-{n}-grams", signal=f"dolma.duplicate_{n}_gram_char_ratio", max=most)
        for n, most in _DUPLICATE.items()
    ),
    Rule(name="dolma-periodic-repeats", signal="dolma.periodic_repeats", max=99),
    Rule(name="dolma-curly-brackets", signal="dolma.curly_brackets", max=0),
    Rule(name="dolma-lorem-ipsum", signal="dolma.lorem_ipsum", max=0),
    Rule(name="dolma-javascript", signal="dolma.javascript", max=0),
    Rule(name="dolma-naughty-words", signal="dolma.naughty_words", max=0),
)
