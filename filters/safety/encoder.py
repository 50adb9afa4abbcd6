"""Safety by an encoder: a linear head on a sentence encoder's embeddings, an output a category, as an option.

    python -m filters.safety.encoder --data $POMONA_DATA --out models/safety

trains one on the same labelled texts as the shipped classifiers, with all-MiniLM-L6-v2 unless another is named. A
recipe names its card as the reference of the family ``safety``; the categories that the card has are then judged by it
in place of the shipped classifier, the lists stay, and ``safety_sentences`` stays as it is. The encoder reads the
beginning of a text (``tokens``), so that it suits prompts and posts better than long pages.

Each output is a logistic regression, fitted by Newton's method with a ridge; its probability is moved so that the
point from which on a text is flagged is 0.5, where that point is chosen as for the shipped model (``train.py``): on
texts that the head had not seen.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from filters.batch import Batch
from filters.quality.card import Card, Data, QualityModelError, checked, digest, read_card, write_card
from filters.quality.encoder import (
    MINILM,
    Encoder,
    check_encoder,
    encoder_digests,
    encoder_folder,
    require_torch,
)
from filters.safety.examples import FOLDS, Examples, examples
from filters.safety.fit import logistic
from filters.safety.taxonomy import categories
from filters.safety.thresholds import contrast, figures, line
from kernels.strings import portions, text_batch

__all__ = ["check", "embeddings", "held_out", "libraries", "main", "opened", "train"]

RIDGE: Final = 0.1
TOKENS: Final = 128
_DECIMALS: Final = 4  # devices differ in the digits behind
_FILE: Final = "head.safetensors"
_PORTION: Final = 1 << 20


class _Head(NamedTuple):
    weights: NDArray[np.float64]  # (width, categories)
    offsets: NDArray[np.float64]


def opened(path: Path) -> Callable[[Batch], dict[str, NDArray[np.float64]]]:
    """Open the model of a card: what gives each of its categories' values, 0 to 1, for a batch; 0 without words.

    Raises:
        FileNotFoundError: a file is missing.
        QualityModelError: one has changed, or is no such model.
    """
    card = checked(path)
    names = _categories(path, card)
    try:
        values = load_file(path.parent / _FILE)
        head = _Head(values["weights"].astype(np.float64), values["offsets"].astype(np.float64))
    except (SafetensorError, KeyError, OSError) as error:
        raise QualityModelError(f"safety: {path.parent / _FILE}: found no head ({error!r}); train one anew") from error
    encoder = Encoder(_checked_folder(path, card), int(card.training["tokens"]))
    if head.weights.shape != (encoder.width, len(names)):
        raise QualityModelError(
            f"safety: {path.parent / _FILE}: found {head.weights.shape} weights, expected {(encoder.width, len(names))}"
        )

    def measure(batch: Batch) -> dict[str, NDArray[np.float64]]:
        values = np.round(logistic(_margins(encoder.embed(batch.texts), head)), _DECIMALS)
        values[batch.word_counts == 0] = 0
        return {name: np.ascontiguousarray(values[:, k]) for k, name in enumerate(names)}

    return measure


def check(path: Path) -> None:
    """Look at a card and its files before anything is measured; raises as ``opened``."""
    card = checked(path)
    _categories(path, card)
    require_torch()
    _checked_folder(path, card)


def libraries(path: Path) -> tuple[str, ...]:
    """Packages whose versions can change what is measured."""
    return ("torch",) if read_card(path).kind == "encoder" else ()


def train(
    known: Examples, out: Path, licence: str, *, encoder: str = MINILM, tokens: int = TOKENS, data: Data | None = None
) -> tuple[Card, str]:
    """Train a head for every category that has labels, and write it with its card.

    Args:
        known: labelled texts; the operating points are chosen, and the figures are, on folds held out.
        out: folder for ``head.safetensors`` and ``card.json``.
        licence: of the head.
        encoder: a folder, or an installed package.
        tokens: read of each text.
        data: what the card tells of the texts.

    Returns:
        The card, and its SHA-256 for the recipe.
    """
    folder = encoder_folder(encoder)
    embedded = embeddings(known.texts, Encoder(folder, tokens))
    names, scores, moved = held_out(known, embedded)
    labels = known.labels[:, [categories().index(name) for name in names]]
    head = _fitted(embedded, labels)
    slopes, shifts = (np.array(one) for one in zip(*moved, strict=True))
    out.mkdir(parents=True, exist_ok=True)
    save_file({"weights": head.weights * slopes, "offsets": head.offsets * slopes + shifts}, out / _FILE)
    told = {
        f"{name}_{key}": round(value, 4)
        for k, name in enumerate(names)
        for key, value in figures(scores[:, k], labels[:, k]).items()
        if np.isfinite(value)
    }
    card = Card(
        name="safety",
        kind="encoder",
        about="safety by category, 0.5 or more means flagged",
        files={_FILE: digest(out / _FILE)},
        licence=licence,
        data=data,
        training={
            "method": "safety",
            "categories": names,
            "encoder": encoder,
            "encoder_files": encoder_digests(folder),
            "tokens": tokens,
            "ridge": RIDGE,
        },
        metrics=told,
    )
    return card, write_card(out / "card.json", card)


def embeddings(texts: Sequence[str], model: Encoder) -> NDArray[np.float64]:
    """The embedding of each text, (texts, width)."""
    batch = text_batch(pa.array(texts, pa.large_string()))
    return np.concatenate([model.embed(one) for one in portions(batch, _PORTION)]).astype(np.float64)


def held_out(
    known: Examples, embedded: NDArray[np.float64]
) -> tuple[list[str], NDArray[np.float64], list[tuple[float, float]]]:
    """Ask about each text a head that has not seen it.

    Returns:
        The categories that have labels; scores (texts, categories), each fifth with the calibration and the operating
        point of the four others; slope and shift that move all margins of a category.
    """
    columns = [k for k in range(len(categories())) if (known.labels[:, k] == 1).sum() >= FOLDS]
    labels = known.labels[:, columns]
    clean = (known.labels == 0).all(axis=1)
    margins = np.zeros(labels.shape)
    for fold in range(FOLDS):
        inside = known.folds == fold
        if inside.any():
            margins[inside] = _margins(embedded[inside], _fitted(embedded[~inside], labels[~inside]))
    scores = np.zeros(labels.shape)
    moved: list[tuple[float, float]] = []
    for c, number in enumerate(columns):
        rude = (labels[:, c] == 0) & ~clean & (number == 0)
        safe = contrast(known, categories()[number])
        moved.append(_moved(*line(margins[:, c], labels[:, c], clean, rude, safe)))
        for fold in range(FOLDS):  # each fold by the point of the others
            inside = known.folds == fold
            rest = ~inside
            slope, shift = _moved(*line(margins[rest, c], labels[rest, c], clean[rest], rude[rest], safe[rest]))
            scores[inside, c] = logistic(slope * margins[inside, c] + shift)
    return [categories()[k] for k in columns], scores, moved


def _moved(slope: float, shift: float, point: float) -> tuple[float, float]:
    return slope, shift - float(np.log(point / (1 - point)))


def _margins(embedded: NDArray[np.floating], head: _Head) -> NDArray[np.float64]:
    # A category at a time, and each text's sum in one order: a matrix product's depends on how many texts there are.
    wide = embedded.astype(np.float64)
    columns = [(wide * head.weights[:, k]).sum(axis=1) + head.offsets[k] for k in range(len(head.offsets))]
    return np.stack(columns, axis=1)


def _fitted(embedded: NDArray[np.float64], labels: NDArray[np.int8]) -> _Head:
    """Logistic regression of every column on the rows whose label is known, by Newton's method."""
    wide = np.concatenate([embedded, np.ones((len(embedded), 1))], axis=1)
    ridge = np.diag([*np.full(embedded.shape[1], RIDGE), 1e-6])
    found = np.zeros((wide.shape[1], labels.shape[1]))
    for c in range(labels.shape[1]):
        sure = labels[:, c] >= 0
        rows, truth = wide[sure], labels[sure, c] == 1
        weights = np.zeros(wide.shape[1])
        for _ in range(25):
            values = logistic(rows @ weights)
            gradient = rows.T @ (values - truth) + ridge @ weights
            curve = (rows * (values * (1 - values))[:, None]).T @ rows + ridge
            step = np.linalg.solve(curve, gradient)
            weights -= step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
            if np.abs(step).max() < 1e-8:
                break
        found[:, c] = weights
    return _Head(found[:-1], found[-1])


def _categories(path: Path, card: Card) -> list[str]:
    names = [str(name) for name in card.training.get("categories", ())]
    if card.kind != "encoder" or not names or not set(names) <= set(categories()):
        raise QualityModelError(
            f"safety: {path}: found a card of kind {card.kind} with the categories {', '.join(names) or 'none'}, "
            "expected one made by python -m filters.safety.encoder"
        )
    return names


def _checked_folder(path: Path, card: Card) -> Path:
    folder = encoder_folder(str(card.training.get("encoder", "")), path.parent)
    check_encoder(folder, {str(key): str(value) for key, value in dict(card.training["encoder_files"]).items()})
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, and write the head and its card."""
    parser = argparse.ArgumentParser(
        prog="python -m filters.safety.encoder", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("POMONA_DATA"), help="folder of evaluation data")
    parser.add_argument("--out", type=Path, required=True, help="folder for the head and its card")
    parser.add_argument("--encoder", default=MINILM, help="folder or installed package")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="read of each text")
    parser.add_argument("--most", type=int, help="take so many of the texts, evenly")
    asked = parser.parse_args(arguments)
    if asked.data is None:
        print("--data: give the folder of evaluation data, or set POMONA_DATA", file=sys.stderr)
        return 2
    known = examples(asked.data)
    if asked.most is not None and asked.most < len(known.texts):
        rows = np.linspace(0, len(known.texts) - 1, asked.most).astype(int)
        known = Examples([known.texts[k] for k in rows], known.labels[rows], known.sets[rows], known.folds[rows])
    card, sha256 = train(
        known, asked.out, "CC-BY-SA-3.0 and others, see CARD.json", encoder=asked.encoder, tokens=asked.tokens
    )
    print("\n".join(f"{key:<40} {value:.4f}" for key, value in card.metrics.items()))
    print(f"card    {asked.out / 'card.json'}\nsha256  {sha256}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
