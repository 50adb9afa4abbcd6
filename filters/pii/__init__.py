"""Personal data in text: found, counted by kind and replaced.

Found means validated: by a checksum, a numbering plan, a registry or a form that nothing else has, never by looks
alone. What is set aside for examples, documentation and tests is left alone. Each kind is a module here, ``find`` puts
them together; ``docs/pii.md`` has the kinds, their forms and how often they are right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.batch import Batch
from filters.family import Family
from filters.pii.find import find, found_in
from filters.pii.phone import MissingExtra
from filters.pii.redaction import PLACEHOLDERS, redact
from filters.pii.span import KINDS, Span

__all__ = ["FAMILY", "KINDS", "PLACEHOLDERS", "MissingExtra", "Span", "find", "redact"]


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    counts = {kind: np.zeros(len(batch), np.int64) for kind in KINDS}
    for row, _, spans in found_in(batch.texts):
        for span in spans:
            counts[span.kind][row] += 1
    return counts


FAMILY = Family("pii", KINDS, _measure)
