"""Evidence read a column at a time says what reading it row by row says."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.report.evidence import fields
from pipelines.report.folder import parse_evidence

RULE = pa.struct([("rule", pa.string())])
SCHEMA = pa.schema([("parent", pa.string()), ("similarity", pa.float64()), ("failed", pa.list_(RULE))])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False)
values = st.none() | st.booleans() | numbers | texts
stated = st.fixed_dictionaries(
    {},
    optional={
        "parent": texts | st.none(),
        "similarity": st.floats(0, 1) | st.none(),
        "failed": st.lists(st.fixed_dictionaries({"rule": texts}, optional={"value": numbers}), max_size=3),
        "other": values | st.lists(texts, max_size=2) | st.dictionaries(texts, texts, max_size=2),
    },
)
rows = st.none() | stated.map(json.dumps) | stated.map(lambda one: json.dumps(one, indent=1, ensure_ascii=False))


def _plain(evidence: str | None) -> dict[str, Any]:
    told = parse_evidence(evidence)
    failed = told.get("failed")
    return {
        "parent": told.get("parent"),
        "similarity": told.get("similarity"),
        "failed": None if failed is None else [{"rule": one["rule"]} for one in failed],
    }


@settings(deadline=None)
@given(st.lists(rows, max_size=20), st.integers(0, 5))
def test_columns_say_what_rows_say(evidence: list[str | None], start: int) -> None:
    column = pa.array(evidence, pa.string()).slice(min(start, len(evidence)))
    assert fields(column, SCHEMA).to_pylist() == [_plain(one) for one in column.to_pylist()]


def test_evidence_that_is_no_object_or_of_another_type_says_nothing_and_harms_no_other() -> None:
    odd = ["not json", '{"parent":5}', "{broken", "[1]", '{"parent":"a"}{"parent":"b"}', '{"similarity":"high"}']
    column = pa.array(['{"parent":"x"}', *odd, '{"parent":"y"}'])
    assert fields(column, SCHEMA)["parent"].to_pylist() == ["x", *[None] * len(odd), "y"]
