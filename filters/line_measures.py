"""Measuring lines: texts in, one row a line out, for rules that strike out lines.

A module of this package that can say something of each line defines ``LINES``, as it defines ``FAMILY`` for whole
texts.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.batch import Batch
from filters.family import families, family
from kernels.lines import Lines
from kernels.strings import text_batch

__all__ = ["LineFamily", "line_families", "line_measures"]


@dataclass(frozen=True)
class LineFamily:
    """Signals of a line that are measured together.

    Attributes:
        name: the module's name.
        signals: name of each signal (without the family) and what it says.
        lines: which lines of a batch are measured.
        measure: a value for each of those lines and each signal; must not depend on other texts.
    """

    name: str
    signals: Mapping[str, str]
    lines: Callable[[Batch], Lines]
    measure: Callable[[Batch], Mapping[str, NDArray[Any]]]


def line_families() -> list[str]:
    """Names of the families that measure lines."""
    return [name for name in families() if _lines_of(name) is not None]


def line_measures(text: pa.Array[Any] | pa.ChunkedArray[Any], name: str) -> pa.Table:
    """Measure every line of texts.

    Args:
        text: strings, as for ``filters.measure``.
        name: a family that measures lines, e.g. ``refinedweb``.

    Returns:
        One row a line, in order: ``text`` (row of the text, int64), ``start`` and ``end`` (bytes from the beginning of
        that text, without the line break), then one float64 column a signal (``refinedweb.uppercase_ratio``). Which
        lines there are is the family's to say; the bytes between them are the line breaks.

    Raises:
        ValueError: no such family, or one that does not measure lines.
    """
    family(name)
    found = _lines_of(name)
    if found is None:
        raise ValueError(f"lines: found the family {name!r}, expected one of {', '.join(line_families())}")
    batch = Batch(text_batch(text))
    lines = found.lines(batch)
    row = np.repeat(np.arange(len(batch)), np.diff(lines.offsets))
    begin = batch.texts.offsets[:-1][row]
    columns: dict[str, pa.Array[Any]] = {
        "text": pa.array(row, pa.int64()),
        "start": pa.array(lines.starts - begin, pa.int64()),
        "end": pa.array(lines.ends - begin, pa.int64()),
    }
    values = found.measure(batch)
    for signal in found.signals:
        columns[f"{name}.{signal}"] = pa.array(np.asarray(values[signal], np.float64), pa.float64())
    return pa.table(columns)


def _lines_of(name: str) -> LineFamily | None:
    return getattr(importlib.import_module(f"filters.{name}"), "LINES", None)
