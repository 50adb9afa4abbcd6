"""fastText model files of random rows: the library's own training, on so little text, ends now and then in NaN."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

SOFTMAX, TREE = 3, 1


def written(
    path: Path,
    words: Sequence[str],
    labels: Sequence[str],
    *,
    loss: int = SOFTMAX,
    word_ngrams: int = 1,
    characters: tuple[int, int] = (0, 0),
    buckets: int = 300,
    dim: int = 10,
) -> Path:
    """Write a supervised model with these words, the end of a line before them."""
    known = ["</s>", *dict.fromkeys(words)]
    entries = [(word, 5, 0) for word in known] + [(f"__label__{label}", 40 - k, 1) for k, label in enumerate(labels)]
    drawn = np.random.default_rng(1)
    content = struct.pack("<ii", 793712314, 12)
    content += struct.pack("<12id", dim, 5, 5, 1, 5, word_ngrams, loss, 3, buckets, *characters, 100, 1e-4)
    content += struct.pack("<iiiqq", len(entries), len(known), len(labels), 1000, -1)
    content += b"".join(word.encode() + b"\0" + struct.pack("<qb", count, kind) for word, count, kind in entries)
    for rows in (len(known) + buckets, len(labels)):
        values = (2 * drawn.normal(size=(rows, dim))).astype("<f4")
        content += b"\0" + struct.pack("<qq", *values.shape) + values.tobytes()
    path.write_bytes(content)
    return path
