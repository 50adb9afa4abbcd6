"""Signals ``safety_sentences``: the worst sentence of a text, by category; and blanking such sentences.

A category's value is that of the sentence with the highest probability, read as if it stood alone. Dolma (Soldaini et
al. 2024, arXiv 2402.00159, section 5.3) takes out single sentences above 0.4 and keeps the document; the rules of the
preset ``safety_sentences`` do that (``action: blank``), at the flag's 0.5, for the categories that are about what is
said and not about what is asked for. Only classifiers judge sentences: a list judges by density, and has none in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.batch import Batch
from filters.family import Family
from filters.rule import Rule
from filters.safety.model import sentence_probabilities
from filters.safety.taxonomy import taxonomy
from kernels.sentence_spans import Spans, sentence_spans
from kernels.strings import portions, text_batch

__all__ = ["FAMILY", "RULES", "Blanked", "blank"]

_PORTION = 1 << 20


class Blanked(NamedTuple):
    """Texts without some of their sentences."""

    text: pa.Array[Any]
    """As the texts came, in the same order; bytes that are not UTF-8 stay."""
    spans: list[list[tuple[int, int]]]
    """For each text, where a blanked sentence stood: positions of code points in the text as it came."""
    sentences: NDArray[np.int64]
    """Sentences of each text."""


def _scores(batch: Batch) -> tuple[Spans, dict[str, NDArray[np.float64]]]:
    sentences = sentence_spans(batch.texts, batch.found)
    return sentences, sentence_probabilities(batch, sentences)


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    sentences, values = _scores(batch)
    some = np.diff(sentences.offsets) > 0
    found: dict[str, NDArray[Any]] = {}
    for name, column in values.items():
        found[name] = np.zeros(len(batch))
        if some.any():  # the ranges of texts without sentences are empty, so that those of the others touch
            found[name][some] = np.maximum.reduceat(column, sentences.offsets[:-1][some])
    return found


def blank(text: pa.Array[Any], limits: Sequence[Mapping[str, float]], placeholder: str = "") -> Blanked:
    """Take out sentences above a limit.

    Args:
        text: large_string.
        limits: for each text, the highest value that a sentence may have, by category; nothing is taken out of a text
            without.
        placeholder: what stands in place of a sentence; blanked sentences in a row become one. White space around
            stays, so that line breaks do.
    """
    batch_of_all = text_batch(text)
    spans: list[list[tuple[int, int]]] = []
    counts: list[NDArray[np.int64]] = []
    written: list[bytes] = []
    row = 0
    for portion in portions(batch_of_all, _PORTION):
        batch = Batch(portion)
        sentences, values = _scores(batch)
        counts.append(np.diff(sentences.offsets))
        for i in range(len(batch)):
            first, last = sentences.offsets[i], sentences.offsets[i + 1]
            bad = np.zeros(last - first, np.bool_)
            for name, most in limits[row].items():
                bad |= ~(values[name][first:last] <= most)
            whole = portion.data[portion.offsets[i] : portion.offsets[i + 1]].tobytes()
            cut, at = _cut(
                batch, sentences.bounds, first + np.flatnonzero(bad), int(portion.offsets[i]), whole, placeholder
            )
            written.append(cut)
            spans.append(at)
            row += 1
    column: Any = pa.array(written, pa.large_binary())
    return Blanked(column.view(pa.large_string()), spans, np.concatenate(counts))


def _cut(
    batch: Batch, bounds: NDArray[np.int64], bad: NDArray[np.int64], offset: int, whole: bytes, placeholder: str
) -> tuple[bytes, list[tuple[int, int]]]:
    ranges: list[list[int]] = []
    before = -2
    for number in bad.tolist():
        start = int(batch.found.starts[bounds[number]]) - offset
        end = int(batch.found.ends[bounds[number + 1] - 1]) - offset
        if number == before + 1 and b"\n" not in whole[ranges[-1][1] : start]:
            ranges[-1][1] = end
        else:
            ranges.append([start, end])
        before = number
    parts: list[bytes] = []
    spans: list[tuple[int, int]] = []
    at = points = 0
    for start, end in ranges:
        parts += (whole[at:start], placeholder.encode())
        points += _points(whole[at:start])
        length = _points(whole[start:end])
        spans.append((points, points + length))
        points += length
        at = end
    return b"".join((*parts, whole[at:])), spans


def _points(part: bytes) -> int:
    return len(part.decode("utf-8", "surrogateescape"))


FAMILY = Family(
    "safety_sentences",
    {one.name: f"the worst sentence: {one.covers}" for one in taxonomy() if one.measured},
    _measure,
)

RULES = tuple(
    Rule(
        name=f"safety-sentences-{name.replace('_', '-')}",
        signal=f"safety_sentences.{name}",
        max=float(np.nextafter(0.5, 0)),
        action="blank",
    )
    for name in ("hate_speech", "adult_sexual_material", "graphic_violence", "harassment", "sexual_content_minors")
)
