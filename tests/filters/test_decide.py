from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from filters import Rule, decide

RULES = [
    Rule(name="short", signal="a", min=2),
    Rule(name="long", signal="a", max=5),
    Rule(name="odd", signal="b", min=1, max=3, action="tag"),
    Rule(name="high", signal="b", max=4),
]


def test_bounds_are_inclusive_and_all_failures_listed() -> None:
    signals = pa.table({"a": [2.0, 5.0, 1.0, 6.0, 3.0], "b": [1.0, 3.0, 9.0, 2.0, 0.0]})
    found = decide(signals, RULES)
    assert found.schema == pa.schema(
        {
            "keep": pa.bool_(),
            "reason": pa.string(),
            "value": pa.float64(),
            "threshold": pa.float64(),
            "failed": pa.list_(pa.string()),
        }
    )
    assert found.to_pydict() == {
        "keep": [True, True, False, False, True],
        "reason": ["", "", "short", "long", ""],
        "value": [None, None, 1.0, 6.0, None],
        "threshold": [None, None, 2.0, 5.0, None],
        "failed": [[], [], ["short", "odd", "high"], ["long"], ["odd"]],
    }


def test_one_rule_with_two_bounds_names_the_one_violated() -> None:
    found = decide(pa.table({"a": [1.0, 9.0, 3.0]}), [Rule(name="range", signal="a", min=2, max=5)])
    assert found["threshold"].to_pylist() == [2.0, 5.0, None]


def test_what_was_not_measured_fails() -> None:
    found = decide(pa.table({"a": pa.array([float("nan"), None, 3.0])}), RULES[1:2])
    assert found["keep"].to_pylist() == [False, False, True]
    assert found["reason"].to_pylist() == ["long", "long", ""]
    assert all(value != value for value in found["value"].to_pylist()[:2])  # NaN, and not null: the record was dropped
    assert found["threshold"].to_pylist() == [5.0, 5.0, None]


def test_restricted_rules() -> None:
    rules = [
        Rule(name="english-web", signal="a", min=5, languages=("en",), kinds=("web",)),
        Rule(name="docs", signal="a", min=5, sources=("docs",)),
    ]
    signals = pa.table(
        {
            "a": [1.0] * 5,
            "language": ["en", "en", "fr", None, "en"],
            "kind": ["web", "code", "web", "web", "web"],
            "source": ["crawl", "crawl", "docs", "crawl", "docs"],
        }
    )
    assert decide(signals, rules)["failed"].to_pylist() == [["english-web"], [], ["docs"], [], ["english-web", "docs"]]
    with pytest.raises(
        ValueError, match="rule docs: it is restricted by source, and the signals have no column 'source'"
    ):
        decide(signals.drop_columns("source"), rules)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.none() | st.sampled_from([float("nan"), 2.0, 4.0]) | st.floats(0, 6), max_size=8), st.booleans())
def test_a_rule_restricted_to_all_decides_as_one_that_is_not(values: list[float | None], whole: bool) -> None:
    """The first is asked as an Arrow expression, the other is compared column by column."""
    column = pa.array(
        [None if value is None or value != value else int(value) for value in values] if whole else values
    )
    signals = pa.table({"a": column.cast(pa.int64() if whole else pa.float64()), "kind": ["web"] * len(values)})
    for bounds in ({"min": 2}, {"max": 4}, {"min": 2, "max": 4}):
        free = Rule.model_validate({"name": "r", "signal": "a", **bounds})
        tied = free.model_copy(update={"kinds": ("web",)})
        assert decide(signals, [free])["failed"].equals(decide(signals, [tied])["failed"])


def test_mistakes_are_named() -> None:
    signals = pa.table({"gopher.words": [1.0], "name": ["x"]})
    with pytest.raises(ValueError, match=r"rule r: there is no signal 'gopher.word'.*did you mean 'gopher.words'"):
        decide(signals, [Rule(name="r", signal="gopher.word", min=1)])
    with pytest.raises(ValueError, match="of type string, expected numbers"):
        decide(signals, [Rule(name="r", signal="name", min=1)])
    with pytest.raises(ValueError, match="found the name 'r' more than once"):
        decide(signals, [Rule(name="r", signal="gopher.words", min=1)] * 2)
    for wrong in (
        {},
        {"min": 2, "max": 1},
        {"min": float("nan")},
        {"min": 1, "action": "keep"},
        {"min": 1, "maximum": 2},
    ):
        with pytest.raises(ValidationError):
            Rule.model_validate({"name": "r", "signal": "s", **wrong})


def test_no_rules_and_no_rows() -> None:
    assert decide(pa.table({"a": [1.0]}), []).to_pylist() == [
        {"keep": True, "reason": "", "value": None, "threshold": None, "failed": []}
    ]
    assert decide(pa.table({"a": pa.array([], pa.float64())}), RULES[:2]).num_rows == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 7), st.floats(-1, 7)), max_size=12))
def test_decisions_row_by_row(rows: list[tuple[float, float]]) -> None:
    table = pa.table(
        {"a": pa.array([a for a, _ in rows], pa.float64()), "b": pa.array([b for _, b in rows], pa.float64())}
    )
    for row, decided in zip(table.to_pylist(), decide(table, RULES).to_pylist(), strict=True):
        failed = [
            rule.name
            for rule in RULES
            if (rule.min is not None and row[rule.signal] < rule.min)
            or (rule.max is not None and row[rule.signal] > rule.max)
        ]
        dropping = [name for name in failed if name != "odd"]
        assert decided["failed"] == failed
        assert decided["keep"] == (not dropping)
        assert decided["reason"] == (dropping[0] if dropping else "")
