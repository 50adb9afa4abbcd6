"""Texts by models that were trained without the page's host: K folds over all pages."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pipelines.extract.learn.dataset import examples, folds
from pipelines.extract.learn.gold import pages
from pipelines.extract.learn.train import extracted, save, stop_words, train

FOLDS = 5
SEED = 1


def main() -> None:
    """argv: the gold sets' folder, the stop words' file, the file to write; each fold's models are kept beside it."""
    gold, stopwords, out = map(Path, sys.argv[1:4])
    some = examples(pages(gold))
    stops = stop_words(stopwords)
    fold = folds(some, FOLDS, SEED)
    texts: dict[str, str] = {}
    for k in range(FOLDS):
        models = train([one for one, of in zip(some, fold, strict=True) if of != k], stops)
        save(models, out.with_suffix(f".{k}.npz"))
        for one, of in zip(some, fold, strict=True):
            if of == k:
                texts[f"{one.gold.set}/{one.gold.id}"] = extracted(models, one)
        print(f"fold {k + 1} of {FOLDS}", file=sys.stderr, flush=True)
    out.write_text(json.dumps(texts), encoding="utf-8")


if __name__ == "__main__":
    main()
