from __future__ import annotations

import math
import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import filters
import filters.signals
from filters.line_family import line_signals

FAMILIES = ["gopher", "c4", "fineweb", "length", "pii"]
PROSE = (
    "It was the best of times, it was the worst of times. We have had everything before us!\n"
    "\n- the age of wisdom...\n- the age of foolishness…\n• with #hope and #despair\n\nIt was the best of times."
)
ODD = [
    "",
    " ",
    "x",
    "😀",
    "\x00",
    "\u200f\u202e",
    "\n",
    "\n\n\n",
    "...",
    "#",
    "-",
    "ดี",
    "\u0301",
    "[1]",
    "{",
    "a" * 5000,
    None,
]


def one(text: str) -> dict[str, float]:
    return filters.measure(pa.array([text]), FAMILIES).to_pylist()[0]


def test_columns() -> None:
    signals = filters.measure(pa.array([PROSE]), FAMILIES)
    assert signals.num_rows == 1
    assert {name.split(".")[0] for name in signals.column_names} == set(FAMILIES)
    assert set(signals.schema.types) == {pa.float64()}
    assert filters.measure(pa.array([], pa.string()), FAMILIES).schema == signals.schema


def test_gopher_by_hand() -> None:
    found = one(PROSE)
    tokens = re.findall(r"\w+|\.+|[^\w\s]", PROSE)
    words = [token for token in tokens if token[0].isalnum()]
    assert found["gopher.words"] == found["length.words"] == len(words)
    assert found["gopher.mean_word_length"] == sum(map(len, words)) / len(words)
    assert found["gopher.hash_ratio"] == 2 / len(tokens)
    assert found["gopher.ellipsis_ratio"] == 2 / len(tokens)
    assert found["gopher.bullet_line_ratio"] == 3 / 7
    assert found["gopher.ellipsis_line_ratio"] == 2 / 7
    assert found["gopher.alphabetic_word_ratio"] == len(words) / len(tokens)
    assert found["gopher.stop_words"] == 5  # the, of, and, have, with
    for n in (2, 3, 4):
        assert found[f"gopher.top_{n}_gram_char_ratio"] == _top(tokens, n) / len(PROSE)
    assert found["length.chars"] == len(PROSE)
    assert found["length.bytes"] == len(PROSE.encode())
    assert found["length.lines"] == 7


def _top(tokens: list[str], n: int) -> int:
    run, count = Counter(" ".join(tokens[i : i + n]) for i in range(len(tokens) - n + 1)).most_common(1)[0]
    return len(run) * count


def test_repetition() -> None:
    found = one("same\nsame\nother\n\nsame")
    assert found["gopher.duplicate_line_ratio"] == 2 / 4
    assert found["gopher.duplicate_line_char_ratio"] == 8 / 21
    assert one("a b\n\nc\n\n\na b")["gopher.duplicate_paragraph_ratio"] == 1 / 3
    loop = one("to be or not to be " * 30)
    assert loop["gopher.duplicate_10_gram_char_ratio"] > 0.6
    assert loop["gopher.top_2_gram_char_ratio"] == 60 * 5 / (30 * 19)


def test_c4() -> None:
    text = (
        "One two three. And four.\nshort line\nThis needs JavaScript on.\n"
        "Our privacy policy is here.\nWe like lorem ipsum { too.\n"
    )
    found = one(text + "w" * 1001 + " is a long word")
    assert found["c4.sentences"] == 3
    assert found["c4.lorem_ipsum_lines"] == 1
    assert found["c4.curly_bracket_lines"] == 1
    for signal in ("short", "long_word", "javascript", "policy"):
        assert found[f"c4.{signal}_line_ratio"] == 1 / 6
    assert found["c4.kept_line_ratio"] == 2 / 6
    assert one("{ x }\nfunction() { javascript }")["c4.curly_bracket_lines"] == 1
    assert (
        one("{ }")["c4.curly_bracket_lines"] == 0
    )  # fewer than three words: struck out before brackets are looked for


def test_fineweb() -> None:
    found = one("A full line that is longer than thirty characters.\nshort\nshort\n\n  \nНе конец！")
    assert found["fineweb.line_punctuation_ratio"] == 2 / 4
    assert found["fineweb.short_line_ratio"] == 3 / 4
    assert found["fineweb.newline_ratio"] == 5 / 15
    assert found["fineweb.duplicate_line_char_ratio"] == 5 / (50 + 5 + 5 + 2 + 9)


def test_every_text_gives_numbers() -> None:
    odd = pa.array(ODD)
    broken = pa.array([b"\xff", b"ok \xe2\x82 {", b"\xed\xa0\x80\n\xff"], pa.binary()).view(pa.string())
    for column in (odd, broken, pa.array(["\n".join(text or "" for text in ODD)])):
        for name, values in filters.measure(column, FAMILIES).to_pydict().items():
            assert all(isinstance(value, float) and math.isfinite(value) and value >= 0 for value in values), name


ON_TEXTS = [name for name in filters.presets() if not name.endswith("_lines")]


def test_empty_text_is_measured_and_dropped() -> None:
    """Where datatrove's Gopher filters divide by zero, every value is 0 here, and the rules see it."""
    signals = filters.measure(pa.array([""]), FAMILIES)
    assert set(signals.to_pylist()[0].values()) == {0.0}
    families = [
        name
        for name in filters.families()
        if filters.family(name).with_reference is None or name in ("llama3", "safety")
    ]
    signals = filters.measure(pa.array([""]), families)
    only_too_much = {
        "dialogue",
        "encoding",
        "llama3",
        "safety",
        "safety_sentences",
    }  # an empty text has nothing of what these drop
    for preset in ON_TEXTS:
        assert filters.decide(signals, filters.rules(preset))["keep"].to_pylist() == [preset in only_too_much], preset


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from([PROSE, *ODD]) | st.text(max_size=50), min_size=1, max_size=8),
    st.integers(0, 7),
    st.randoms(use_true_random=False),
)
def test_batches_never_change_a_value(texts: list[str | None], cut: int, shuffle: object) -> None:
    column = pa.array(texts, pa.string())
    whole = filters.measure(column, FAMILIES).to_pylist()
    cut = min(cut, len(texts))
    parts = [column.slice(0, cut), column.slice(cut)]
    assert [row for part in parts for row in filters.measure(part, FAMILIES).to_pylist()] == whole
    assert filters.measure(pa.chunked_array(parts, pa.string()), FAMILIES).to_pylist() == whole
    assert filters.measure(column.cast(pa.large_string()), FAMILIES).to_pylist() == whole
    order = list(range(len(texts)))
    shuffle.shuffle(order)  # pyright: ignore[reportAttributeAccessIssue]
    assert filters.measure(column.take(pa.array(order)), FAMILIES).to_pylist() == [whole[i] for i in order]


def test_portions_never_change_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pa.array([PROSE, "", "x" * 300, PROSE[:40], PROSE + PROSE])
    whole = filters.measure(texts, FAMILIES)
    for size in (1, 100, 401):
        monkeypatch.setattr(filters.signals, "_PORTION", size)
        assert filters.measure(texts, FAMILIES).equals(whole)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"found 'gofer', expected one of c4, .*did you mean 'gopher'"):
        filters.measure(pa.array(["a"]), ["gofer"])
    with pytest.raises(ValueError, match=r"preset of rules: found 'finweb'.*did you mean 'fineweb'"):
        filters.rules("finweb")
    with pytest.raises(ValueError, match="family of signals: found 'decision'"):  # a module, and no family
        filters.measure(pa.array(["a"]), ["decision"])
    with pytest.raises(ValueError, match="expected each name once"):
        filters.measure(pa.array(["a"]), ["c4", "c4"])


def test_each_preset_reads_signals_that_exist() -> None:
    assert {"gopher", "c4", "fineweb", "refinedweb", "dclm", "dolma", "llama3", "afm"} <= set(filters.presets())
    known = {f"{name}.{signal}" for name in filters.families() for signal in filters.family(name).signals}
    known |= set(line_signals())
    for preset in filters.presets():
        rules = filters.rules(preset)
        assert {rule.signal for rule in rules} <= known
        assert len({rule.name for rule in rules}) == len(rules)
    assert {rule.name: rule.max for rule in filters.rules("fineweb")}["fineweb-duplicate-lines"] == 0.01
    assert not any("punctuation" in rule.name for rule in filters.rules("c4"))


def test_measuring_is_independent_of_the_order_of_families() -> None:
    texts = pa.array([PROSE, "short"])
    one_way = filters.measure(texts, FAMILIES)
    other = filters.measure(texts, FAMILIES[::-1])
    assert other.column_names != one_way.column_names
    for name in one_way.column_names:
        assert np.array_equal(one_way[name].to_numpy(), other[name].to_numpy())
