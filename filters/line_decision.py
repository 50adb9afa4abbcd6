"""Deciding on lines: texts and line rules in, the texts without the lines that fail and what was dropped out.

This comes before measuring, so that the signals of a document are those of what is left of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.batch import ratio, sums
from filters.expression import applies, asked_columns
from filters.line_family import LineBatch, line_signals, measure_lines
from filters.rule import Rule
from kernels.line_removal import without_lines
from kernels.strings import TextBatch, portions, text_batch

__all__ = ["COUNTS", "dropped_by", "strike_lines"]

COUNTS: Final = {
    "lines.count": "lines of the text as it came",
    "lines.dropped": "lines that a rule dropped",
    "lines.kept": "lines that stay and are not blank",
    "lines.dropped_word_ratio": "share of the words between white space that stood in dropped lines",
}
"""Signals that dropping lines leaves, beside one for each rule: the lines that fail it."""

_PORTION: Final = 8 << 20


def dropped_by(rule: Rule) -> str:
    """Name the signal that counts the lines which fail a rule."""
    return f"lines.{rule.name}"


def strike_lines(
    text: pa.Array[Any] | pa.ChunkedArray[Any], rules: Sequence[Rule], about: pa.Table | None = None
) -> pa.Table:
    """Drop the lines that fail a rule.

    Args:
        text: strings; a null counts as an empty text.
        rules: with action ``drop_line``; a line goes where any of them fails.
        about: the columns ``source``, ``kind`` and ``language`` that restricted rules look at, a row a text.

    Returns:
        One row a text, in order: ``text`` (large_string), the signals of COUNTS, and ``lines.<rule>`` for each rule,
        the lines that fail it, also those that fail others. All are numbers, float64. A kept line keeps its bytes and
        the line break behind it; a text that keeps every line is the same bytes.

    Raises:
        ValueError: a rule of another action, on an unknown signal, or restricted by a column that is not given.
    """
    _check(rules, about)
    texts = text_batch(text)
    asked = _asked(rules, about)
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in (*COUNTS, *map(dropped_by, rules))}
    pieces: list[pa.Array[Any]] = []
    first = 0
    for portion in portions(texts, _PORTION):
        batch = LineBatch(portion)
        rows = slice(first, first + len(portion.offsets) - 1)
        first = rows.stop
        offsets = batch.lines.offsets
        dropped = np.zeros(len(batch), np.bool_)
        for rule, rows_asked in zip(rules, asked, strict=True):
            failing = _outside(measure_lines(batch, rule.signal), rule)
            if rows_asked is not None:
                failing &= np.repeat(rows_asked[rows], np.diff(offsets))
            dropped |= failing
            columns[dropped_by(rule)].append(sums(failing, offsets))
        words = batch.words
        blank = batch.lines.inner_starts == batch.lines.inner_ends
        columns["lines.count"].append(np.diff(offsets))
        columns["lines.dropped"].append(sums(dropped, offsets))
        columns["lines.kept"].append(sums(~dropped & ~blank, offsets))
        gone = sums(np.where(dropped, words, 0), offsets)
        columns["lines.dropped_word_ratio"].append(ratio(gone, sums(words, offsets)))
        pieces.append(_strings(without_lines(portion, batch.lines, ~dropped) if dropped.any() else portion))
    signals = {name: pa.array(np.concatenate(parts), pa.float64()) for name, parts in columns.items()}
    return pa.table({"text": pa.chunked_array(pieces, pa.large_string()), **signals})


def _check(rules: Sequence[Rule], about: pa.Table | None) -> None:
    known = line_signals()
    for rule in rules:
        if rule.action != "drop_line":
            raise ValueError(f"rule {rule.name}: found action {rule.action!r}, expected 'drop_line'")
        if rule.signal not in known:
            raise ValueError(
                f"rule {rule.name}: there is no signal of lines {rule.signal!r}, expected one of {', '.join(known)}"
            )
        if dropped_by(rule) in COUNTS:
            raise ValueError(f"rule {rule.name}: the name is taken by a count of lines; choose another")
        for column in asked_columns(rule):
            if about is None or column not in about.column_names:
                raise ValueError(f"rule {rule.name}: it is restricted by {column}, and there is no such column")


def _asked(rules: Sequence[Rule], about: pa.Table | None) -> list[NDArray[np.bool_] | None]:
    """Which texts each rule is asked of; None for all."""
    found: list[NDArray[np.bool_] | None] = []
    for rule in rules:
        columns = asked_columns(rule)
        if not columns or about is None:
            found.append(None)
            continue
        from pyarrow import acero  # here, as in filters.decision

        source = acero.Declaration("table_source", acero.TableSourceNodeOptions(about.select(columns)))
        project = acero.Declaration("project", acero.ProjectNodeOptions([applies(rule)], ["asked"]))
        table: Any = acero.Declaration.from_sequence([source, project]).to_table(use_threads=False)
        found.append(table["asked"].to_numpy())
    return found


def _outside(values: NDArray[np.float64], rule: Rule) -> NDArray[np.bool_]:
    within = np.ones(len(values), np.bool_)
    if rule.min is not None:
        within &= values >= rule.min
    if rule.max is not None:
        within &= values <= rule.max
    return ~within


def _strings(batch: TextBatch) -> Any:
    """The texts as an Arrow array, without copying; bytes that are not UTF-8 stay."""
    offsets: Any = batch.offsets
    data: Any = batch.data
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_string(), len(batch.offsets) - 1, buffers)
