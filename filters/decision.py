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
from pyarrow import acero

from filters.expression import asked_columns, fails
from filters.rule import Rule

__all__ = ["decide"]


def decide(signals: pa.Table, rules: Sequence[Rule]) -> pa.Table:
    """Apply rules to measured signals.

    Args:
        signals: one row a document; the columns that the rules name, float. A rule that is restricted to sources, kinds
            or languages also needs the column ``source``, ``kind`` or ``language`` (``language.second`` for second
            languages), and does not apply to other rows (nor where that value is null).
        rules: in order; names must differ. None that drops lines: those come before measuring (``strike_lines``).

    Returns:
        One row a document, in order: ``keep`` (bool), ``reason`` (name of the first failed rule with action ``drop``,
        "" where kept), ``value`` and ``threshold`` (of that rule: what was measured, and the bound it violates; null
        where kept; a value that was not measured is NaN), ``failed`` (names of all failed rules in order, whatever
        their action).

    Raises:
        ValueError: a column that a rule needs is missing or not numeric, two rules share a name, or a rule is one of
            lines.
    """
    repeated = [name for name, count in Counter(rule.name for rule in rules).items() if count > 1]
    if repeated:
        raise ValueError(
            f"rules: found the name {repeated[0]!r} more than once, expected a name of its own for each rule"
        )
    for rule in rules:
        _check(signals, rule)
    rows = signals.num_rows
    failing = _evaluated(signals, rules)
    first = np.full(rows, -1, np.int64)
    value = np.full(rows, np.nan)
    threshold = np.full(rows, np.nan)
    for number, rule in enumerate(rules):
        if rule.action != "drop":
            continue
        new = np.flatnonzero(failing[number] & (first < 0))
        if not len(new):
            continue
        first[new] = number
        measured = _values(signals, rule, new)
        value[new] = measured
        low, high = (np.nan if bound is None else bound for bound in (rule.min, rule.max))
        below = np.zeros(len(new), np.bool_) if rule.min is None else ~(measured >= rule.min)  # true for NaN as well
        threshold[new] = np.where(below, low, high)
    keep = first < 0
    names: Any = pa.array([rule.name for rule in rules], pa.string())
    reasons: Any = names.take(pa.array(first, mask=keep)) if rules else pa.nulls(rows, pa.string())
    fails_by_row = np.stack(failing, axis=1) if rules else np.zeros((rows, 0), np.bool_)
    document, rule_number = np.nonzero(fails_by_row)
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


def _check(signals: pa.Table, rule: Rule) -> None:
    if rule.action == "drop_line":
        raise ValueError(f"rule {rule.name}: it decides on lines, not on documents; give it to filters.strike_lines")
    if rule.signal not in signals.column_names:
        near = get_close_matches(rule.signal, signals.column_names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; measure its family first"
        raise ValueError(f"rule {rule.name}: there is no signal {rule.signal!r} among the columns{hint}")
    kind = signals.schema.field(rule.signal).type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise ValueError(f"rule {rule.name}: found the signal {rule.signal} of type {kind}, expected numbers")
    for column in asked_columns(rule):
        if column not in signals.column_names:
            raise ValueError(
                f"rule {rule.name}: it is restricted by {column}, and the signals have no column {column!r}; add it"
            )


def _evaluated(signals: pa.Table, rules: Sequence[Rule]) -> list[NDArray[np.bool_]]:
    """Which rows fail each rule, all rules in one pass over the columns that they name."""
    if not rules:
        return []
    needed = list(dict.fromkeys(name for rule in rules for name in (rule.signal, *asked_columns(rule))))
    if not signals.num_rows:
        return [np.zeros(0, np.bool_) for _ in rules]
    source = acero.Declaration("table_source", acero.TableSourceNodeOptions(signals.select(needed)))
    asked = acero.ProjectNodeOptions([fails(rule) for rule in rules], [str(number) for number in range(len(rules))])
    plan = acero.Declaration.from_sequence([source, acero.Declaration("project", asked)])
    found: Any = plan.to_table(use_threads=False)  # one thread: rows in their order
    return [column.to_numpy() for column in found.columns]


def _values(signals: pa.Table, rule: Rule, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    column: Any = signals.column(rule.signal).take(pa.array(rows))
    return pc.fill_null(column.cast(pa.float64(), safe=False), float("nan")).to_numpy()
