"""Measuring: texts in, one float column a signal out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from filters.batch import Batch
from filters.family import family
from kernels.strings import portions, text_batch

__all__ = ["measure"]

# Bytes of text that are measured together. It bounds the memory for tokens (about ten times the text), and cannot be
# seen in the result. With this much the arrays of one portion are handed on to the next; more is given back to the
# system between portions, and each page of it taken anew costs as much as reading the text.
_PORTION: Final = 1 << 20


def measure(text: pa.Array[Any] | pa.ChunkedArray[Any], families: Sequence[str]) -> pa.Table:
    """Measure families of signals on texts.

    Args:
        text: strings; a null counts as an empty text. Bytes that are not UTF-8 are measured as U+FFFD.
        families: names, each once, e.g. ``["gopher", "c4"]``.

    Returns:
        One row a text, in the order of ``text``; one float64 column a signal (``gopher.words``), families in the order
        asked for. Every value is a finite number, also for an empty text (a ratio without a whole is 0). A value
        depends on its own text alone.

    Raises:
        ValueError: an unknown family, or one twice.
        TypeError: ``text`` is no Arrow array of strings.
    """
    wanted = [family(name) for name in families]
    if len(set(families)) < len(wanted):
        raise ValueError(f"families: found {list(families)}, expected each name once")
    texts = text_batch(text)
    columns: dict[str, list[np.ndarray]] = {f"{one.name}.{signal}": [] for one in wanted for signal in one.signals}
    for portion in portions(texts, _PORTION):
        batch = Batch(portion)
        for one in wanted:
            for name, values in one.columns(batch).items():
                columns[name].append(values)
    return pa.table({name: pa.array(np.concatenate(parts), pa.float64()) for name, parts in columns.items()})
