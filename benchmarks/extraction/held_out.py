"""Texts by models that were trained without the page's host: K folds over all pages."""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.watch import ONE_THREAD
from pipelines.extract.learn.dataset import examples, folds
from pipelines.extract.learn.gold import pages
from pipelines.extract.learn.train import extracted, save, stop_words, train
from pipelines.extract.page.model import read

FOLDS = 10
SEED = 1
AT_ONCE = min(2, os.cpu_count() or 1)
"""Folds that are trained side by side; each takes about 3 GB."""


def main() -> None:
    """argv: the gold sets' folder, the stop words' file, the file to write, a folder of each fold's models.

    Models that are there are taken as they are; others are trained.
    """
    gold, stopwords, out, folder = map(Path, sys.argv[1:5])
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(ONE_THREAD)
    texts: dict[str, str] = {}
    with ProcessPoolExecutor(AT_ONCE, max_tasks_per_child=FOLDS) as workers:
        places = [folder / f"{k}.npz" for k in range(FOLDS)]
        told = workers.map(_told, [gold] * FOLDS, [stopwords] * FOLDS, range(FOLDS), places)
        for k, fold in enumerate(told):
            texts |= fold
            print(f"fold {k + 1} of {FOLDS}", file=sys.stderr, flush=True)
    out.write_text(json.dumps(texts), encoding="utf-8")


def _told(gold: Path, stopwords: Path, fold: int, file: Path) -> dict[str, str]:
    """Texts of the pages of a fold, by models that were trained on the others."""
    some = examples(pages(gold))
    held = folds(some, FOLDS, SEED) == fold
    if not file.exists():
        partial = file.with_suffix(".partial.npz")
        save(train([one for one, out in zip(some, held, strict=True) if not out], stop_words(stopwords)), partial)
        partial.replace(file)
    with file.open("rb") as stream:
        models = read(stream)
    return {f"{one.gold.set}/{one.gold.id}": extracted(models, one) for one, out in zip(some, held, strict=True) if out}


if __name__ == "__main__":
    main()
