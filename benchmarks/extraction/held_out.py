"""Texts by models that were trained without the page's host: K folds over all pages."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pipelines.extract.learn.dataset import examples, folds
from pipelines.extract.learn.gold import pages
from pipelines.extract.learn.train import extracted, save, stop_words, train
from pipelines.extract.page.model import read

FOLDS = 5
SEED = 1


def main() -> None:
    """argv: the gold sets' folder, the stop words' file, the file to write, a folder of each fold's models.

    Models that are there are taken as they are; others are trained.
    """
    gold, stopwords, out, folder = map(Path, sys.argv[1:5])
    folder.mkdir(parents=True, exist_ok=True)
    some = examples(pages(gold))
    stops = stop_words(stopwords)
    fold = folds(some, FOLDS, SEED)
    texts: dict[str, str] = {}
    for k in range(FOLDS):
        file = folder / f"{k}.npz"
        if not file.exists():
            save(train([one for one, of in zip(some, fold, strict=True) if of != k], stops), file)
        with file.open("rb") as stream:
            models = read(stream)
        for one, of in zip(some, fold, strict=True):
            if of == k:
                texts[f"{one.gold.set}/{one.gold.id}"] = extracted(models, one)
        print(f"fold {k + 1} of {FOLDS}", file=sys.stderr, flush=True)
    out.write_text(json.dumps(texts), encoding="utf-8")


if __name__ == "__main__":
    main()
