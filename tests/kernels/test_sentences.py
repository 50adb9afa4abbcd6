"""Sentences are counted from the tokens that may end one; here the rule is followed token by token."""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.lines import LineRule, Lines, lines
from kernels.sentences import sentence_counts
from kernels.strings import text_batch
from kernels.tokens import PUNCTUATION, Tokens, tokens
from kernels.words import Spelling, token_spelling

_CITATION: Final = re.compile(rb"\[([0-9]*|edit|citation needed)\]")
_LAST_SIGN: Final = ord(".")

PIECES = st.sampled_from(
    [
        *("word", "A", "b", "3", "x2", ".", ".", ". ", ". ", "...", "!", "? ", ".”", '."', "。", "।", "e.g.", "J. "),
        *(
            " ",
            " ",
            "\n",
            "\r\n",
            "\u2028",
            "[12]",
            "[edit]",
            "[citation needed]",
            "[",
            "[no]",
            "[]",
            "-",
            "$",
            "é.",
            "Ⅳ",
        ),
    ]
)
TEXT = st.lists(PIECES, max_size=150).map("".join)


def _of_a_line(data: bytes, line: tuple[int, int], own: list[int], found: Tokens, spelled: Spelling, first: int) -> int:
    count, ended, skip = 0, True, line[0]
    for k in own:
        start, end = int(found.starts[k]), int(found.ends[k])
        if start < skip:
            continue
        citation = _CITATION.match(data, start, line[1])
        if citation:
            skip = citation.end()
            continue
        if not count:
            count, ended = 1, False
        stops = bool(found.terminal[k])
        if stops and data[start] == _LAST_SIGN:
            near = k > first and found.ends[k - 1] == start and found.alphabetic[k - 1]
            initial = near and (spelled.chars[k - 1] == 1 or data[start - 2] == _LAST_SIGN)
            behind = data[end : end + 1] if end < line[1] else b""
            stops = not initial and re.fullmatch(rb"[a-z0-9]", behind) is None
        if stops:
            ended = True
        elif ended and found.kinds[k] != PUNCTUATION:
            count, ended = count + 1, False
    return count


def _by_the_rule(data: bytes, found: Tokens, spelled: Spelling, breaks: Lines) -> list[int]:
    counts: list[int] = []
    for i in range(len(found.offsets) - 1):
        first, last = int(found.offsets[i]), int(found.offsets[i + 1])
        for number in range(int(breaks.offsets[i]), int(breaks.offsets[i + 1])):
            line = int(breaks.starts[number]), int(breaks.ends[number])
            own = [k for k in range(first, last) if line[0] <= found.starts[k] < line[1]]
            counts.append(_of_a_line(data, line, own, found, spelled, first))
    return counts


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=3), st.sampled_from(["newline", "unicode"]))
def test_sentences_are_those_of_the_rule(texts: list[str], rule: LineRule) -> None:
    batch = text_batch(pa.array(texts))
    found = tokens(batch)
    spelled, breaks = token_spelling(batch, found), lines(batch, rule)
    assert sentence_counts(batch, found, spelled, breaks).tolist() == _by_the_rule(
        batch.data.tobytes(), found, spelled, breaks
    )
