"""Train the classifiers: ``python -m filters.safety.train --data FOLDER`` writes ``model.npz`` and ``CARD.json``.

The folder is that of the evaluation data (``POMONA_DATA``). The same data give the same bytes. Five models are fitted
on four fifths each and asked about the fifth that they have not seen: the figures and the calibration are from there.
The model that is written is fitted on all.

A probability is calibrated for these texts, of which few are bad; the flag is raised at the probability with the best
F1 among those at which at most three in a thousand clean texts are flagged and, for hate, three in a hundred of the
rude ones, for illegal activities one in twenty of the prompts that only sound so, and the score is the logistic moved
so that this point is 0.5 (other prior odds, the same order). The card says which probability that was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.batch import Batch
from filters.safety.examples import FILES, FOLDS, Examples, examples
from filters.safety.fit import fit, logistic, quantised
from filters.safety.model import PASSAGE, read_words, text_margins
from filters.safety.taxonomy import categories, taxonomy
from filters.safety.thresholds import calibration_error, contrast, figures, line
from kernels.linear_texts import LinearTexts, features
from kernels.sentence_spans import passages, sentence_spans
from kernels.strings import text_batch

__all__ = ["held_out", "main", "trained", "with_classifier"]

BUCKETS: Final = 1 << 16
SEED: Final = 1


def with_classifier() -> list[int]:
    """The columns that have labels: those of the others are lists alone."""
    return [number for number, one in enumerate(taxonomy()) if one.measured]


def trained(texts: Sequence[str], labels: NDArray[np.int8]) -> LinearTexts:
    """Fit one model on texts; every passage of a text counts as the text."""
    batch = Batch(text_batch(pa.array(texts, pa.large_string())))
    found = passages(sentence_spans(batch.texts, batch.found), batch.found.kinds, PASSAGE)
    rows = features(batch.texts, read_words(batch), found.bounds, BUCKETS)
    of_text = np.repeat(np.arange(len(texts)), np.diff(found.offsets))
    return quantised(*fit(rows, labels[of_text], BUCKETS, seed=SEED))


def held_out(known: Examples) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Ask about each text a model that has not seen it.

    Returns:
        Scores (texts, classifiers), each fifth with the calibration and the operating point of the four others; the
        calibrated probabilities of the same; slope, shift and operating point of all (3, classifiers).
    """
    columns = with_classifier()
    labels = known.labels[:, columns]
    clean = (known.labels == 0).all(axis=1)
    margins = np.zeros(labels.shape)
    for fold in range(FOLDS):
        inside = known.folds == fold
        chosen = np.flatnonzero(~inside)
        model = trained([known.texts[k] for k in chosen], labels[chosen])
        asked = Batch(text_batch(pa.array([known.texts[k] for k in np.flatnonzero(inside)], pa.large_string())))
        sentences = sentence_spans(asked.texts, asked.found)
        margins[inside] = text_margins(asked, sentences, model)[:, : len(columns)]
    scores, probabilities = np.zeros(labels.shape), np.zeros(labels.shape)
    lines = np.zeros((3, len(columns)))
    for c, number in enumerate(columns):
        rude = (labels[:, c] == 0) & ~clean & (number == 0)
        safe = contrast(known, categories()[number])
        lines[:, c] = line(margins[:, c], labels[:, c], clean, rude, safe)
        for fold in range(FOLDS):
            inside = known.folds == fold
            rest = ~inside
            slope, shift, point = line(margins[rest, c], labels[rest, c], clean[rest], rude[rest], safe[rest])
            probabilities[inside, c] = logistic(slope * margins[inside, c] + shift)
            scores[inside, c] = logistic(slope * margins[inside, c] + shift - np.log(point / (1 - point)))
    return scores, probabilities, lines


def _card(
    data: Path,
    known: Examples,
    scores: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    points: NDArray[np.float64],
    model: Path,
) -> dict[str, Any]:
    columns = with_classifier()
    names = categories()
    found: dict[str, dict[str, float]] = {}
    for k, c in enumerate(columns):
        found[names[c]] = {
            **figures(scores[:, k], known.labels[:, c]),
            "calibration_error": calibration_error(probabilities[:, k], known.labels[:, c]),
            "flagged_from_probability": float(points[k]),
        }
    flags = scores >= 0.5
    shares = {
        str(one): {names[c]: round(float(flags[known.sets == one, k].mean()), 4) for k, c in enumerate(columns)}
        for one in np.unique(known.sets)
    }
    return {
        "model": model.name,
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "trained_by": "python -m filters.safety.train --data $POMONA_DATA",
        "form": f"logistic regression on {BUCKETS} hashed words, pairs of words and runs of 3 to 5 letters; "
        f"{PASSAGE}-word passages; weights of one byte; Platt calibration on held-out fifths",
        "data": {
            name: {"sha256": hashlib.sha256((data / name).read_bytes()).hexdigest(), "licence": licence}
            for name, licence in FILES.items()
        },
        "texts": {
            str(one): int(number) for one, number in zip(*np.unique(known.sets, return_counts=True), strict=True)
        },
        "held_out": {name: {key: round(value, 4) for key, value in row.items()} for name, row in found.items()},
        "flagged_by_set": shares,
        "unmeasured": [one.name for one in taxonomy() if not one.measured],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, and write the model and its card."""
    parser = argparse.ArgumentParser(prog="python -m filters.safety.train", description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("POMONA_DATA"), help="folder of evaluation data")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    asked = parser.parse_args(arguments)
    if asked.data is None:
        print("--data: give the folder of evaluation data, or set POMONA_DATA", file=sys.stderr)
        return 2
    known = examples(asked.data)
    scores, probabilities, lines = held_out(known)
    columns = with_classifier()
    weights = trained(known.texts, known.labels[:, columns])
    used = len(columns)
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / "model.npz"
    np.savez_compressed(
        path,
        table=weights.table[:, :used],
        scale=weights.scale[:used],
        bias=weights.bias[:used],
        slope=lines[0],
        shift=lines[1] - np.log(lines[2] / (1 - lines[2])),
        names=np.array([categories()[c] for c in columns]),
    )
    card = _card(asked.data, known, scores, probabilities, lines[2], path)
    (asked.out / "CARD.json").write_text(json.dumps(card, indent=2) + "\n")
    for name, row in card["held_out"].items():
        print(f"{name:24}" + "  ".join(f"{key} {value:g}" for key, value in row.items()))
    print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
