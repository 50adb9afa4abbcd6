"""Rules as Arrow expressions: what a rule says of a row, for any engine that evaluates them over columns."""

from __future__ import annotations

from functools import reduce
from operator import and_
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from filters.rule import Rule

__all__ = ["SECOND_LANGUAGE", "applies", "asked_columns", "fails"]

SECOND_LANGUAGE: Final = "language.second"
"""The column with the second language of mixed documents (``filters.mixed.mixture``)."""


def fails(rule: Rule) -> pc.Expression:
    """Say of a row that the rule is asked of it and fails: true or false, never null.

    A value that was not measured (null or NaN) is within no bounds.
    """
    value = _field(rule.signal).cast(pa.float64(), safe=False)
    within: list[Any] = []
    if rule.min is not None:
        within.append(value >= pc.scalar(float(rule.min)))
    if rule.max is not None:
        within.append(value <= pc.scalar(float(rule.max)))
    failing = ~_filled(reduce(and_, within), False)
    return applies(rule) & failing if asked_columns(rule) else failing


def applies(rule: Rule) -> pc.Expression:
    """Say of a row that the rule's restrictions let it see the row; where the value is null, only an exception does."""
    seen = pc.scalar(True)
    wanted = {
        "source": rule.sources,
        "kind": rule.kinds,
        "language": rule.languages,
        SECOND_LANGUAGE: rule.second_languages,
    }
    for column, allowed in wanted.items():
        if allowed:
            seen = seen & _among(column, allowed)
    if rule.except_languages:
        seen = seen & ~_among("language", rule.except_languages)
    return seen


def asked_columns(rule: Rule) -> list[str]:
    """Name the columns beside the signal that the rule's restrictions look at."""
    restrictions = {
        "source": rule.sources,
        "kind": rule.kinds,
        "language": (*rule.languages, *rule.except_languages),
        SECOND_LANGUAGE: rule.second_languages,
    }
    return [column for column, values in restrictions.items() if values]


def _among(column: str, values: tuple[str, ...]) -> pc.Expression:
    found: Any = _field(column).cast(pa.string())
    return _filled(found.isin(pa.array(values, pa.string())), False)


def _field(name: str) -> Any:
    return pc.field((name,))  # a tuple: a name with dots is one column, not a path


def _filled(expression: Any, value: bool) -> Any:
    return pc.coalesce(expression, pc.scalar(value))
