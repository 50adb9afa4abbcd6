"""Ensembles: several models' scores made comparable by rank, the highest rank taken (Nemotron-CC, arXiv 2412.02595).

Each model's scores on a reference sample give the bounds of twenty ranks of equal size, 0 to 19; a text's rank is the
number of bounds that its score reaches, and the ensemble's the highest of its models'. The bounds are fitted once and
kept in the ensemble's card: what a text's rank is depends on no other text of a run. Nemotron-CC's buckets are high
(19), medium-high (18), medium (12 to 17), medium-low (7 to 11) and low (0 to 6).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.batch import Batch
from filters.quality.card import BINS, Card, Data, Member, QualityModelError, digest, write_card
from kernels.strings import portions, text_batch

__all__ = ["fit_ensemble", "ranks"]

_PORTION = 1 << 20


def ranks(scores: NDArray[np.float64], bounds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank of each score, 0 to 19: how many of the bounds it reaches."""
    return np.searchsorted(bounds, scores, side="right")


def fit_ensemble(
    cards: Sequence[Path], sample: pa.ChunkedArray[Any], sample_file: Path, out: Path, name: str = "ensemble"
) -> tuple[Card, str]:
    """Fit the ranks of models on a sample, and write the ensemble's card.

    A bound is the score of the text at that share of the sample in the order of scores, so that texts with equal scores
    have equal ranks.

    Args:
        cards: of the models, one or more, with different names.
        sample: texts, of what is to be ranked; at least a hundred.
        sample_file: where they are from, for the card.
        out: the card to write.
        name: of the ensemble.

    Returns:
        The card, and its SHA-256 for the recipe.

    Raises:
        QualityModelError: too few texts, two models of one name, or an ensemble among them.
    """
    from filters.quality import open_model

    if len(sample) < 5 * BINS:
        raise QualityModelError(
            f"quality: {sample_file}: found {len(sample)} texts, expected {5 * BINS} or more to rank by"
        )
    members: dict[str, Member] = {}
    licences: list[str] = []
    for path in cards:
        card, measure = open_model(path)
        if card.members or card.name in members:
            raise QualityModelError(
                f"quality: {path}: found {'an ensemble' if card.members else f'a second model named {card.name!r}'},"
                " expected models with names of their own"
            )
        scores = np.sort(
            np.concatenate([measure(Batch(one))[card.name] for one in portions(text_batch(sample), _PORTION)])
        )
        at = np.arange(1, BINS) * len(scores) // BINS
        relative = Path(os.path.relpath(path.resolve(), out.parent.resolve())).as_posix()
        members[card.name] = Member(card=relative, sha256=digest(path), bounds=tuple(scores[at].tolist()))
        licences.append(card.licence)
    made = Card(
        name=name,
        kind="ensemble",
        high=BINS - 1,
        licence=" AND ".join(dict.fromkeys(licences)),
        data=Data(file=sample_file.name, sha256=digest(sample_file), rows=len(sample), trained=len(sample), held_out=0),
        members=members,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    return made, write_card(out, made)
