"""filters.pii, all kinds."""

from __future__ import annotations

import pyarrow as pa
from finding import run  # type: ignore[import-not-found]

from filters import pii


def find(text: str) -> list[tuple[str, int, int]]:
    return [(span.kind, span.start, span.end) for span in pii.find(text)]


run({"pomona": find}, {"pomona": lambda texts: pii.redact(pa.array(texts, pa.large_string()))}, 1 << 30)
