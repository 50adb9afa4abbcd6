"""Signals ``quality``: how much a text is like those that a model was taught to prefer.

The model is a file that a recipe gives as the family's reference: the card of an n-gram model (DCLM's way,
``filters.quality.ngram``), of a linear head on an encoder's embeddings (FineWeb-Edu's way, ``filters.quality.head``),
or of an ensemble, which ranks the scores of several among those of a sample and takes the highest (Nemotron-CC's way,
``filters.quality.ensemble``). A signal has the name that the card gives it. What a model's files say is fixed by the
card, and the card by the SHA-256 in the recipe.

The score of an empty text is what the model makes of an empty text, and always a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.batch import Batch
from filters.family import Family, Measure
from filters.quality.card import Card, QualityModelError, checked, read_card

__all__ = ["FAMILY", "QualityModelError", "open_model"]

Scorer = Callable[[Batch], NDArray[np.float64]]


def open_model(path: Path) -> tuple[Card, Measure]:
    """Open the model of a card, its files compared with their digests.

    Raises:
        FileNotFoundError: a file is missing.
        QualityModelError: one has changed or is not what it should be.
        ModuleNotFoundError: an encoder without torch.
    """
    card = checked(path)
    if not card.members:
        score = _scorer(path, card)
        return card, lambda batch: {card.name: score(batch)}
    from filters.quality.ensemble import ranks

    members = {name: _scorer(path.parent / one.card) for name, one in card.members.items()}
    bounds = {name: np.array(one.bounds) for name, one in card.members.items()}

    def measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
        found: dict[str, NDArray[Any]] = {}
        for name, score in members.items():
            found[name] = score(batch)
            found[f"{name}_bin"] = ranks(found[name], bounds[name])
        found["bin"] = np.max([found[f"{name}_bin"] for name in members], axis=0)
        return found

    return card, measure


def _scorer(path: Path, card: Card | None = None) -> Scorer:
    card = card or read_card(path)
    (file, *_) = card.files
    if card.kind == "ngram":
        from filters.quality import ngram

        model = ngram.load(path.parent / file)
        return lambda batch: model.scores(batch.texts)
    from filters.quality.head import load_head

    head = load_head(path, card)
    return lambda batch: head.scores(batch.texts)


def _with_reference(path: Path) -> Measure:
    return open_model(path)[1]


def _signals(path: Path) -> Mapping[str, str]:
    return read_card(path).signals


def _libraries(path: Path) -> tuple[str, ...]:
    card = read_card(path)
    members = [read_card(path.parent / one.card) for one in card.members.values()]
    return ("torch",) if any(one.kind == "encoder" for one in (card, *members)) else ()


def _check(path: Path) -> None:
    from filters.quality.encoder import check_encoder, encoder_folder, require_torch

    card = checked(path)
    for at in (path, *(path.parent / one.card for one in card.members.values())):
        one = read_card(at)
        if one.kind == "encoder":
            require_torch()
            folder = encoder_folder(str(one.training.get("encoder", "")), at.parent)
            check_encoder(folder, dict(one.training.get("encoder_files", {})))


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    raise ValueError(
        "quality: found no model, expected the card of one as the reference of the family:"
        ' references={"quality": "models/curated/card.json"}'
    )


FAMILY = Family(
    "quality",
    {},
    _measure,
    with_reference=_with_reference,
    reference_signals=_signals,
    check=_check,
    reference_libraries=_libraries,
    pinned=True,
)
