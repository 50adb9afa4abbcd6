"""Signals ``length``: how long a text is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.batch import Batch
from filters.family import Family

__all__ = ["FAMILY"]


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    return {
        "bytes": np.diff(batch.texts.offsets),
        "chars": batch.chars,
        "words": batch.word_counts,
        "lines": np.diff(batch.unicode_lines.offsets),
    }


FAMILY = Family(
    "length",
    {
        "bytes": "bytes of UTF-8",
        "chars": "code points",
        "words": "words, without punctuation and symbols",
        "lines": "lines, as str.splitlines",
    },
    _measure,
)
