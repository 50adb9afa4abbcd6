"""Measuring: texts in, one float column a signal out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from filters.batch import Batch
from filters.family import Family, family
from kernels.strings import portions, text_batch

__all__ = ["measure"]

# Bytes of text that are measured together. It bounds the memory for tokens (about ten times the text), and cannot be
# seen in the result. With less, calling the kernels costs more than it saves; with more, the arrays of a portion are
# more than is kept for the next (``kernels.strings``).
_PORTION: Final = 1 << 21
# A text beyond this shares nothing among families: each finds what it needs again, and so do the parts of those that
# need much, and lets go of it for the next.
_LARGE: Final = 1 << 25


def measure(
    text: pa.Array[Any] | pa.ChunkedArray[Any],
    families: Sequence[str],
    references: Mapping[str, str | Path] | None = None,
) -> pa.Table:
    """Measure families of signals on texts.

    Args:
        text: strings; a null counts as an empty text. Bytes that are not UTF-8 are measured as U+FFFD.
        families: names, each once, e.g. ``["gopher", "c4"]``.
        references: files that families go by, by the family's name, e.g. ``{"perplexity": "en.arpa"}``. Each is read
            once a process.

    Returns:
        One row a text, in the order of ``text``; one float64 column a signal (``gopher.words``), families in the order
        asked for. Every value is a finite number, also for an empty text (a ratio without a whole is 0). A value
        depends on its own text alone.

    Raises:
        ValueError: an unknown family, or one twice; a reference that is not one, or of a family that is not measured.
        FileNotFoundError: a reference that is not there.
        TypeError: ``text`` is no Arrow array of strings.
    """
    given = references or {}
    for name in given:
        if name not in families:
            raise ValueError(f"references: found one for {name!r}, which is not among the families {list(families)}")
    wanted = [_opened(name, given[name]) if name in given else family(name) for name in families]
    if len(set(families)) < len(wanted):
        raise ValueError(f"families: found {list(families)}, expected each name once")
    texts = text_batch(text)
    columns: dict[str, list[np.ndarray]] = {f"{one.name}.{signal}": [] for one in wanted for signal in one.signals}
    phrases = tuple(dict.fromkeys(group for one in wanted for group in one.phrases))
    for portion in portions(texts, _PORTION):
        batch = Batch(portion, phrases, lean=bool(portion.offsets[-1] - portion.offsets[0] > _LARGE))
        for one in wanted:
            for name, values in one.columns(batch.apart()).items():
                columns[name].append(values)
    return pa.table({name: pa.array(np.concatenate(parts), pa.float64()) for name, parts in columns.items()})


def _opened(name: str, reference: str | Path) -> Family:
    path = Path(reference)
    if not path.is_file():
        return family(name).opened(path)  # which says what is missing and how it is made
    seen = [(file, file.stat()) for file in family(name).files(path)]
    return _family_with(name, path, tuple((str(file), now.st_mtime_ns, now.st_size) for file, now in seen))


@lru_cache(maxsize=8)
def _family_with(name: str, reference: Path, files: tuple[tuple[str, int, int], ...]) -> Family:
    return family(name).opened(reference)
