"""Deciding: signals and rules in, which documents stay and why out. Nothing is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filters.expression import asked_columns, fails
from filters.rule import Rule

if TYPE_CHECKING:
    from pyarrow import acero

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
    columns = {name: number for number, name in enumerate(signals.column_names)}
    for rule in rules:
        _check(signals, columns, rule)
    rows = signals.num_rows
    failing = _evaluated(signals, rules)  # (rules, rows)
    drops = np.array([number for number, rule in enumerate(rules) if rule.action == "drop"], np.int64)
    keep = ~failing[drops].any(axis=0)
    first = np.where(keep, -1, drops[failing[drops].argmax(axis=0)] if len(drops) else -1)
    value = np.full(rows, np.nan)
    threshold = np.full(rows, np.nan)
    for number in np.unique(first[~keep]).tolist():
        rule = rules[number]
        new = np.flatnonzero(first == number)
        measured = _values(signals, rule)[new]
        value[new] = measured
        low, high = (np.nan if bound is None else bound for bound in (rule.min, rule.max))
        below = np.zeros(len(new), np.bool_) if rule.min is None else ~(measured >= rule.min)  # true for NaN as well
        threshold[new] = np.where(below, low, high)
    # The first name is that of no rule.
    names: Any = pa.array(["", *(rule.name for rule in rules)], pa.string())
    document, rule_number = np.nonzero(failing.T)
    ends: Any = np.searchsorted(document, np.arange(rows + 1)).astype(np.int32)
    return pa.table(
        {
            "keep": pa.array(keep),
            "reason": names.take(pa.array(first + 1)),
            "value": pa.array(value, mask=keep),
            "threshold": pa.array(threshold, mask=keep),
            "failed": pa.ListArray.from_arrays(ends, names.take(pa.array(rule_number + 1))),
        }
    )


def _check(signals: pa.Table, columns: Mapping[str, int], rule: Rule) -> None:
    if rule.action == "drop_line":
        raise ValueError(f"rule {rule.name}: it decides on lines, not on documents; give it to filters.strike_lines")
    if rule.signal not in columns:
        near = get_close_matches(rule.signal, columns, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; measure its family first"
        raise ValueError(f"rule {rule.name}: there is no signal {rule.signal!r} among the columns{hint}")
    kind = signals.schema.field(columns[rule.signal]).type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise ValueError(f"rule {rule.name}: found the signal {rule.signal} of type {kind}, expected numbers")
    for column in asked_columns(rule):
        if column not in columns:
            raise ValueError(
                f"rule {rule.name}: it is restricted by {column}, and the signals have no column {column!r}; add it"
            )


def _evaluated(signals: pa.Table, rules: Sequence[Rule]) -> NDArray[np.bool_]:
    """Which rows (the second axis) fail each rule.

    Rules that see some rows only are asked as Arrow expressions, all in one pass over the columns that they name. The
    others need one comparison or two of a column, which is less than an expression costs before its first row.
    """
    failing = np.zeros((len(rules), signals.num_rows), np.bool_)
    if not failing.size:
        return failing
    restricted = [number for number, rule in enumerate(rules) if asked_columns(rule)]
    for number in set(range(len(rules))).difference(restricted):
        rule, values = rules[number], _values(signals, rules[number])
        within = np.ones(len(values), np.bool_) if rule.min is None else values >= rule.min  # false for NaN
        failing[number] = ~(within if rule.max is None else within & (values <= rule.max))
    if restricted:
        from pyarrow import acero  # here: it imports pandas where that is installed, a third of a process's start

        needed, asked = _compiled(tuple(rules[number] for number in restricted))
        source = acero.Declaration("table_source", acero.TableSourceNodeOptions(signals.select(list(needed))))
        plan = acero.Declaration.from_sequence([source, acero.Declaration("project", asked)])
        found: Any = plan.to_table(use_threads=False)  # one thread: rows in their order
        for number, column in zip(restricted, found.columns, strict=True):
            failing[number] = column.to_numpy()
    return failing


@lru_cache(maxsize=32)
def _compiled(rules: tuple[Rule, ...]) -> tuple[tuple[str, ...], acero.ProjectNodeOptions]:
    """The columns that rules name, and the rules as one expression each: a recipe asks the same ones of every shard."""
    from pyarrow import acero

    needed = tuple(dict.fromkeys(name for rule in rules for name in (rule.signal, *asked_columns(rule))))
    return needed, acero.ProjectNodeOptions([fails(rule) for rule in rules], [str(k) for k in range(len(rules))])


def _values(signals: pa.Table, rule: Rule) -> NDArray[np.float64]:
    """What was measured of each row; NaN where nothing was."""
    column: Any = signals.column(rule.signal)
    if column.type != pa.float64():
        column = column.cast(pa.float64(), safe=False)
    return (pc.fill_null(column, float("nan")) if column.null_count else column).to_numpy()
