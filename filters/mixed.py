"""Signals ``mixed``: texts in more than one language, by their lines.

Each line is judged as a text is. Neighbouring languages share so many words that short lines would scatter over them,
so a line counts for the language of most of the text where the model finds no other ten times as probable
(``filters.language.FARTHEST``). Shares are of the letters of lines whose language is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.batch import Batch, ratio
from filters.family import Family
from filters.language import FARTHEST, UNDETERMINED, Judge, judge, read_only
from kernels.distinct import distinct
from kernels.scripts import beginnings
from kernels.strings import TextBatch, portions, text_batch

__all__ = ["FAMILY", "mixture"]

_CHARACTERS: Final = 1000  # of a line that are judged; it counts with its whole length
_BYTES_AT_ONCE: Final = 1 << 20
_LEAST: Final = 0.05  # share of a language that counts in `languages`


class _Shares(NamedTuple):
    main: NDArray[Any]
    main_share: NDArray[np.float64]
    second: NDArray[Any]
    second_share: NDArray[np.float64]
    undetermined_share: NDArray[np.float64]
    languages: NDArray[np.int64]


def mixture(text: pa.Array[Any] | pa.ChunkedArray[Any], model: Path | str | None = None) -> pa.Table:
    """Say which languages the lines of each text are in.

    Args:
        text: strings; a null counts as an empty text.
        model: as in ``filters.language.identify``.

    Returns:
        One row a text, in order: ``main`` (the language of most letters; "und" where no line's is known) and
        ``main_share``, ``second`` ("und" where there is none) and ``second_share``, 0 to 1 and of the letters of lines
        whose language is known; ``undetermined_share``, of all letters; ``languages``, those with a twentieth or more.

    Raises:
        As ``filters.language.identify``.
    """
    found = _shares(text_batch(text), judge(model))
    columns = {name: column for name, column in found._asdict().items() if name not in ("main", "second")}
    words = {name: pa.array(getattr(found, name), pa.string()) for name in ("main", "second")}
    order = _Shares._fields
    return pa.table({**words, **{name: pa.array(column) for name, column in columns.items()}}).select(list(order))


def _shares(texts: TextBatch, asked: Judge) -> _Shares:
    if len(texts.offsets) == 1:
        nothing = np.zeros(0)
        return _Shares(nothing.astype(object), nothing, nothing.astype(object), nothing, nothing, nothing.astype(int))
    parts = [_of_portion(part, asked) for part in portions(texts, _BYTES_AT_ONCE)]
    return _Shares(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _of_portion(texts: TextBatch, asked: Judge) -> _Shares:
    number = len(texts.offsets) - 1
    begin, end = int(texts.offsets[0]), int(texts.offsets[-1])
    # A line ends behind its newline, a text behind its last line; an empty line has no letters and does no harm.
    breaks = np.flatnonzero(texts.data[begin:end] == ord("\n")) + begin + 1
    bounds = distinct(np.concatenate([breaks, texts.offsets]))
    of_text = np.searchsorted(texts.offsets, bounds[:-1], side="right") - 1
    lines = beginnings(TextBatch(texts.data, read_only(bounds)), _CHARACTERS)
    found = asked.of(lines)
    # A line longer than what is judged of it counts in proportion.
    whole, judged = np.diff(bounds), np.diff(lines.offsets)
    longer = whole > 4 * _CHARACTERS
    letters = np.where(longer, lines.letters * whole // np.maximum(judged, 1), lines.letters)
    names = np.array([UNDETERMINED, *sorted({*asked.codes, *found.languages} - {UNDETERMINED})], dtype=object)
    place = {name: k for k, name in enumerate(names)}
    languages = np.array([place[name] for name in found.languages], np.int64)
    main = _first(_totals(of_text, languages, letters, number, len(names)))[0]
    labels = np.array([place[name] for name in asked.codes], np.int64)
    languages = _drawn(languages, main[of_text], found.told, labels)
    totals = _totals(of_text, languages, letters, number, len(names))
    known = totals[:, 1:].sum(axis=1)
    first, most = _first(totals)
    rest = totals.copy()
    rest[np.arange(number), first] = 0
    second, more = _first(rest)
    shares = totals[:, 1:] / np.maximum(known, 1)[:, None]
    return _Shares(
        names[first],
        ratio(most, known),
        names[second],
        ratio(more, known),
        ratio(totals[:, 0], totals.sum(axis=1)),
        (shares >= _LEAST).sum(axis=1),
    )


def _totals(
    of_text: NDArray[np.int64], languages: NDArray[np.int64], letters: NDArray[np.int64], texts: int, names: int
) -> NDArray[np.int64]:
    """Letters of each text in each language, (texts, languages)."""
    totals = np.zeros((texts, names), np.int64)
    np.add.at(totals, (of_text, languages), letters)
    return totals


def _first(totals: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The known language of most letters, 0 where there is none, and how many; the first of equals."""
    best = totals[:, 1:].argmax(axis=1) + 1
    most = totals[np.arange(len(totals)), best]
    return np.where(most > 0, best, 0), most


def _drawn(
    languages: NDArray[np.int64], main: NDArray[np.int64], told: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The languages of lines, where the text's own language is not too improbable that one."""
    column = np.full(labels.max() + 1 if len(labels) else 1, -1, np.int64)
    column[labels] = np.arange(len(labels))
    at = np.where(main < len(column), column[np.minimum(main, len(column) - 1)], -1)
    rows = np.arange(len(languages))
    own = np.where(at >= 0, told[rows, np.maximum(at, 0)], 0.0)
    # What letters decided against the model (Yoruba, Shan) has no probability and stays.
    likely = (own > 0) & (own * FARTHEST >= told.max(axis=1, initial=0))
    believed = (languages == 0) | np.isin(languages, labels)
    return np.where(likely & believed, main, languages)


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    found = _shares(batch.texts, judge())
    return {
        "main_share": found.main_share,
        "second_share": found.second_share,
        "undetermined_share": found.undetermined_share,
        "languages": found.languages,
    }


FAMILY = Family(
    "mixed",
    {
        "main_share": "letters in the language of most lines, of those of lines whose language is known, 0 to 1",
        "second_share": "letters in the second language, of the same",
        "undetermined_share": "letters of lines whose language is not known, of all letters",
        "languages": "languages with a twentieth or more of the letters whose language is known",
    },
    _measure,
)
