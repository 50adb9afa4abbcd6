"""Train a model of quality from labelled texts, judge it on what was held out, and write it with its card.

    python -m filters.quality.train LABELS.parquet --out models/curated --name curated --licence CC-BY-SA-4.0

The same file, options and versions give the same bytes. A fastText model made elsewhere is taken over by
``import_fasttext``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from filters.quality import ngram
from filters.quality.card import Card, digest, write_card
from filters.quality.labels import Labelled, read_labels
from filters.quality.learning import NgramTraining, learn_ngrams
from filters.quality.metrics import of_classes
from kernels.strings import text_batch

__all__ = ["CARD", "import_fasttext", "save_model", "train_ngrams"]

CARD: Final = "card.json"
MODEL: Final = "model.safetensors"
_KEPT: Final = (0.1, 0.2, 0.5)


def train_ngrams(
    labels: Path,
    out: Path,
    name: str,
    licence: str,
    options: NgramTraining | None = None,
    *,
    target: str | None = None,
    threshold: float | None = None,
    held_out: float = 0.1,
    about: str = "",
) -> tuple[Card, str]:
    """Train an n-gram model.

    Args:
        labels: Parquet, as ``filters.quality.labels`` says.
        out: folder for ``model.safetensors`` and ``card.json``.
        name: of the signal, ``quality.NAME``.
        licence: of the model, which depends on the texts'.
        options: how to train.
        target: ``label`` or ``score``.
        threshold: from which target on a text is positive; 0.5 for labels, 3 for scores (FineWeb-Edu's).
        held_out: share of groups to judge by.
        about: a line on the card.

    Returns:
        The card, and its SHA-256 for the recipe.

    Raises:
        FileNotFoundError, QualityModelError: the labels are not as they should be.
    """
    chosen = options or NgramTraining()
    labelled = read_labels(labels, target, held_out, chosen.seed)
    least = threshold if threshold is not None else 0.5 if labelled.targets.max(initial=0) <= 1 else 3.0
    positive = labelled.positive(least)
    learned = ~labelled.held_out
    model = learn_ngrams(labelled.text.filter(pa.array(learned)), positive[learned], chosen)
    return save_model(
        out,
        model,
        Card(
            name=name,
            kind="ngram",
            about=about,
            licence=licence,
            files={MODEL: "0" * 64},
            data=labelled.described(least),
            training={**chosen.model_dump(mode="json"), "threshold": least, "held_out": held_out, **_versions(chosen)},
            metrics=_judged(model, labelled, positive),
        ),
    )


def import_fasttext(file: Path, out: Path, name: str, licence: str, positive: str, about: str = "") -> tuple[Card, str]:
    """Take over a fastText model, such as DCLM's: the same probabilities from a file of four bytes a row.

    Args:
        file: ``.bin`` or ``.ftz``, trained with softmax.
        out: folder for the model and its card.
        name: of the signal.
        licence: of the model.
        positive: the label whose probability is the score (DCLM: ``__label__hq``).
        about: a line on the card, such as where it is from.

    Raises:
        FileNotFoundError: there is no such file.
        QualityModelError: it is no such model.
    """
    if not file.is_file():
        raise FileNotFoundError(f"quality: there is no file {file}; expected a fastText model")
    model = ngram.from_fasttext(file, positive)
    made = {"method": "import", "file": file.name, "sha256": digest(file), "positive": positive}
    return save_model(
        out,
        model,
        Card(name=name, kind="ngram", about=about, licence=licence, files={MODEL: "0" * 64}, training=made),
    )


def save_model(out: Path, model: ngram.NgramModel, card: Card) -> tuple[Card, str]:
    """Write a model and its card, which is given the file's digest; return it and its own."""
    out.mkdir(parents=True, exist_ok=True)
    ngram.save(out / MODEL, model)
    card = card.model_copy(update={"files": {MODEL: digest(out / MODEL)}})
    return card, write_card(out / CARD, card)


def _judged(model: ngram.NgramModel, labelled: Labelled, positive: Any) -> dict[str, float]:
    chosen = labelled.held_out
    scores = model.scores(text_batch(labelled.text.filter(pa.array(chosen))))
    told = of_classes(scores, positive[chosen])
    # Where to cut to keep so much of the texts that were negative: of the raw web, in DCLM's way.
    negative = scores[~positive[chosen]]
    for share in _KEPT:
        told[f"threshold_keeping_{share:g}_of_negatives"] = float(np.quantile(negative, 1 - share))
    return {key: round(value, 6) for key, value in told.items()}


def _versions(options: NgramTraining) -> dict[str, str]:
    used = {"numpy", "numba"} if options.method == "linear" else {"numpy", *packages_distributions()["fasttext"]}
    return {f"version_{name}": version(name) for name in sorted(used)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train from the command line; ``pomona quality train`` takes the same options and more."""
    defaults = NgramTraining()
    parser = argparse.ArgumentParser(prog="python -m filters.quality.train", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("labels", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--licence", required=True)
    parser.add_argument("--method", choices=["linear", "fasttext"], default=defaults.method)
    parser.add_argument("--word-ngrams", type=int, default=defaults.word_ngrams)
    parser.add_argument("--buckets", type=int, default=defaults.buckets)
    parser.add_argument("--epochs", type=int, default=defaults.epochs)
    parser.add_argument("--held-out", type=float, default=0.1)
    parser.add_argument("--threshold", type=float)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    options = NgramTraining(
        method=given.method,
        word_ngrams=given.word_ngrams,
        buckets=given.buckets,
        epochs=given.epochs,
        seed=given.seed,
    )
    try:
        card, sha256 = train_ngrams(
            given.labels,
            given.out,
            given.name,
            given.licence,
            options,
            threshold=given.threshold,
            held_out=given.held_out,
        )
    except (ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(f"{key:<40} {value:.4f}" for key, value in card.metrics.items()))
    print(f"card    {given.out / CARD}\nsha256  {sha256}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
