"""Deciding: signals and rules in, which documents stay and why out. Nothing is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filters.rule import Rule

__all__ = ["decide"]


def decide(signals: pa.Table, rules: Sequence[Rule]) -> pa.Table:
    """Apply rules to measured signals.

    Args:
        signals: one row a document; the columns that the rules name, float. A rule that is restricted to sources, kinds
            or languages also needs the column ``source``, ``kind`` or ``language``, and does not apply to other rows
            (nor where that value is null).
        rules: in order; names must differ.

    Returns:
        One row a document, in order: ``keep`` (bool), ``reason`` (name of the first failed rule with action ``drop``,
        "" where kept), ``value`` and ``threshold`` (of that rule: what was measured, and the bound it violates; null
        where kept; a value that was not measured is NaN), ``failed`` (names of all failed rules in order, tags too).

    Raises:
        ValueError: a column that a rule needs is missing or not numeric, or two rules share a name.
    """
    repeated = [name for name, count in Counter(rule.name for rule in rules).items() if count > 1]
    if repeated:
        raise ValueError(
            f"rules: found the name {repeated[0]!r} more than once, expected a name of its own for each rule"
        )
    rows = signals.num_rows
    fails = np.zeros((rows, len(rules)), np.bool_)
    first = np.full(rows, -1, np.int64)
    value = np.full(rows, np.nan)
    threshold = np.full(rows, np.nan)
    for number, rule in enumerate(rules):
        measured = _column(signals, rule)
        below = np.zeros(rows, np.bool_) if rule.min is None else ~(measured >= rule.min)  # true for NaN as well
        above = np.zeros(rows, np.bool_) if rule.max is None else ~(measured <= rule.max)
        failed = (below | above) & _applies(signals, rule)
        fails[:, number] = failed
        if rule.action == "drop":
            new = failed & (first < 0)
            first[new] = number
            value[new] = measured[new]
            bound = np.where(below, np.nan if rule.min is None else rule.min, np.nan if rule.max is None else rule.max)
            threshold[new] = bound[new]
    keep = first < 0
    names: Any = pa.array([rule.name for rule in rules], pa.string())
    reasons: Any = names.take(pa.array(first, mask=keep)) if rules else pa.nulls(rows, pa.string())
    document, rule_number = np.nonzero(fails)
    ends: Any = np.searchsorted(document, np.arange(rows + 1)).astype(np.int32)
    return pa.table(
        {
            "keep": pa.array(keep),
            "reason": pc.fill_null(reasons, ""),
            "value": pa.array(value, mask=keep),
            "threshold": pa.array(threshold, mask=keep),
            "failed": pa.ListArray.from_arrays(ends, names.take(pa.array(rule_number))),
        }
    )


def _column(signals: pa.Table, rule: Rule) -> NDArray[np.float64]:
    if rule.signal not in signals.column_names:
        near = get_close_matches(rule.signal, signals.column_names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; measure its family first"
        raise ValueError(f"rule {rule.name}: there is no signal {rule.signal!r} among the columns{hint}")
    column: Any = signals.column(rule.signal)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise ValueError(f"rule {rule.name}: found the signal {rule.signal} of type {column.type}, expected numbers")
    return pc.fill_null(column.cast(pa.float64(), safe=False), float("nan")).to_numpy()


def _applies(signals: pa.Table, rule: Rule) -> NDArray[np.bool_]:
    """The rows that the rule's restrictions let it see."""
    rows = np.ones(signals.num_rows, np.bool_)
    for column, allowed in (("source", rule.sources), ("kind", rule.kinds), ("language", rule.languages)):
        if not allowed:
            continue
        if column not in signals.column_names:
            raise ValueError(
                f"rule {rule.name}: it is restricted by {column}, and the signals have no column {column!r}; add it"
            )
        rows &= pc.is_in(signals.column(column).cast(pa.string()), value_set=pa.array(allowed, pa.string())).to_numpy()
    return rows
