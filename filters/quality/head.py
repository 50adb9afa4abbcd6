"""A linear head on an encoder's embeddings that gives a score, FineWeb-Edu's way (arXiv 2406.17557, section 4).

The head is ridge regression, solved exactly: FineWeb-Edu trains the same layer on frozen embeddings for 20 epochs. The
strength of the ridge is the one of ``RIDGES`` that is best on a fifth of the texts learned from, by a fixed choice.
Scores are cut to the card's range and rounded to three decimals, so that the last digits in which devices differ seldom
show.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from filters.quality.card import Card, QualityModelError, digest, write_card
from filters.quality.encoder import MINILM, Encoder, check_encoder, encoder_digests, encoder_folder
from filters.quality.labels import read_labels
from filters.quality.metrics import of_classes, of_scores
from kernels.strings import TextBatch, portions, text_batch

__all__ = ["RIDGES", "Head", "load_head", "train_head"]

RIDGES: Final = (0.01, 0.1, 1.0, 10.0, 100.0)
_DECIMALS: Final = 3
_PORTION: Final = 1 << 20
_FILE: Final = "head.safetensors"


@dataclass(frozen=True)
class Head:
    """An encoder and a head.

    Attributes:
        encoder: gives embeddings.
        weights: of each number of an embedding.
        offset: added.
        low: least score.
        high: highest score.
    """

    encoder: Encoder
    weights: NDArray[np.float64]
    offset: float
    low: float
    high: float

    def scores(self, batch: TextBatch) -> NDArray[np.float64]:
        """Score of each text."""
        return _scored(self.encoder.embed(batch), self.weights, self.offset, self.low, self.high)


def load_head(path: Path, card: Card) -> Head:
    """Read the head of a card, and its encoder.

    Raises:
        FileNotFoundError: the encoder is not there.
        QualityModelError: the encoder has changed, or the file is no head.
    """
    (file, *_) = card.files
    try:
        values = load_file(path.parent / file)
        weights, offset = values["weights"].astype(np.float64), float(values["offset"][0])
        name, tokens = str(card.training["encoder"]), int(card.training["tokens"])
        expected = {str(key): str(value) for key, value in dict(card.training["encoder_files"]).items()}
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise QualityModelError(
            f"quality: {path.parent / file}: found no head ({error!r}); train one with --method encoder"
        ) from error
    folder = encoder_folder(name, path.parent)
    check_encoder(folder, expected)
    encoder = Encoder(folder, tokens)
    if weights.shape != (encoder.width,):
        raise QualityModelError(
            f"quality: {path.parent / file}: found {weights.shape} weights, expected ({encoder.width},) for {folder}"
        )
    return Head(encoder, weights, offset, card.low, card.high)


def train_head(
    labels: Path,
    out: Path,
    name: str,
    licence: str,
    *,
    encoder: str = MINILM,
    tokens: int = 256,
    target: str | None = None,
    threshold: float | None = None,
    low: float = 0.0,
    high: float | None = None,
    held_out: float = 0.1,
    seed: int = 0,
    about: str = "",
) -> tuple[Card, str]:
    """Train a head on scored texts, and write it with its card.

    Args:
        labels: Parquet, as ``filters.quality.labels`` says; scores, or labels 0 and 1.
        out: folder for ``head.safetensors`` and ``card.json``.
        name: of the signal, ``quality.NAME``.
        licence: of the head.
        encoder: a folder, or an installed package.
        tokens: read of each text.
        target: ``label`` or ``score``.
        threshold: from which score on a text counts as good, for F1 and AUC alone; 3, of labels 0 and 1 one half.
        low: least score.
        high: highest score; 5, of labels 1.
        held_out: share of groups to judge by.
        seed: of what is held out.
        about: a line on the card.

    Returns:
        The card, and its SHA-256 for the recipe.
    """
    folder = encoder_folder(encoder)
    labelled = read_labels(labels, target, held_out, seed)
    labels_alone = bool(labelled.targets.max(initial=0) <= 1)
    threshold = (0.5 if labels_alone else 3.0) if threshold is None else threshold
    high = (1.0 if labels_alone else 5.0) if high is None else high
    good = labelled.positive(threshold)
    model = Encoder(folder, tokens)
    parts = [model.embed(one) for one in portions(text_batch(labelled.text), _PORTION)]
    embedded = np.concatenate(parts).astype(np.float64)
    learned = np.flatnonzero(~labelled.held_out)
    weights, offset, ridge = _fitted(embedded[learned], labelled.targets[learned])
    out.mkdir(parents=True, exist_ok=True)
    save_file({"weights": weights, "offset": np.array([offset])}, out / _FILE)
    chosen = labelled.held_out
    found = _scored(embedded[chosen], weights, offset, low, high)
    told = of_scores(found, labelled.targets[chosen], threshold)
    if high <= 1:
        told |= of_classes(found, good[chosen])
    card = Card(
        name=name,
        kind="encoder",
        about=about,
        files={_FILE: digest(out / _FILE)},
        low=low,
        high=high,
        licence=licence,
        data=labelled.described(threshold if good.any() else None),
        training={
            "method": "encoder",
            "encoder": encoder,
            "encoder_files": encoder_digests(folder),
            "tokens": tokens,
            "ridge": ridge,
            "threshold": threshold,
            "held_out": held_out,
            "seed": seed,
        },
        metrics={key: round(value, 6) for key, value in told.items() if np.isfinite(value)},
    )
    return card, write_card(out / "card.json", card)


def _scored(
    embedded: NDArray[np.floating], weights: NDArray[np.float64], offset: float, low: float, high: float
) -> NDArray[np.float64]:
    # A row at a time in one order: a matrix product's order depends on how many rows there are.
    found = (embedded.astype(np.float64) * weights).sum(axis=1) + offset
    return np.round(np.clip(found, low, high), _DECIMALS)


def _fitted(embedded: NDArray[np.float64], targets: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """Weights, offset and the ridge that a fifth of the texts chose."""
    fifth = np.arange(len(targets)) % 5 == 0

    def error(ridge: float) -> float:
        weights, offset = _ridge(embedded[~fifth], targets[~fifth], ridge)
        return float(((embedded[fifth] @ weights + offset - targets[fifth]) ** 2).mean())

    best = min(RIDGES, key=error) if len(targets) >= 10 else 1.0
    return *_ridge(embedded, targets, best), best


def _ridge(
    embedded: NDArray[np.float64], targets: NDArray[np.float64], ridge: float
) -> tuple[NDArray[np.float64], float]:
    centre, mean = embedded.mean(axis=0), float(targets.mean())
    centred = embedded - centre
    square = centred.T @ centred + ridge * np.eye(embedded.shape[1])
    weights = np.linalg.solve(square, centred.T @ (targets - mean))
    return weights, mean - float(centre @ weights)
