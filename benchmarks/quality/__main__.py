"""Train models of each kind on labelled texts, judge them on hosts held out, time them beside fastText's library."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import filters
from benchmarks.environments import BENCH
from benchmarks.quality.texts import raw, write
from filters.quality.encoder import MINILM, encoder_folder
from filters.quality.head import train_head
from filters.quality.learning import NgramTraining
from filters.quality.train import import_fasttext, train_ngrams

TURNS = 5
HELD_OUT = 0.3
KINDS = {
    "linear, 5 passes": NgramTraining(),
    "linear, single words": NgramTraining(word_ngrams=1),
    "fasttext, 5 passes (its default)": NgramTraining(method="fasttext"),
    "fasttext, 25 passes, rate 0.5": NgramTraining(method="fasttext", epochs=25, rate=0.5),
}
LIBRARY = {
    "words and pairs, 2M buckets, 100 dimensions": {"minn": 0, "maxn": 0},
    "and characters 3 to 5": {"minn": 3, "maxn": 5},
}


def quality(labels: Path, folder: Path) -> dict[str, dict[str, float]]:
    """What each kind of model makes of the texts held out, and the processor time that its training took."""
    found: dict[str, dict[str, float]] = {}
    for number, (name, options) in enumerate(KINDS.items()):
        start = time.process_time()
        card, _ = train_ngrams(labels, folder / f"kind-{number}", "curated", "none", options, held_out=HELD_OUT)
        found[name] = {**card.metrics, "seconds": time.process_time() - start}
    try:
        encoder_folder(MINILM)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return found
    start = time.process_time()
    card, _ = train_head(
        labels, folder / "head", "curated", "none", threshold=0.5, low=0.0, high=1.0, held_out=HELD_OUT
    )
    found["ridge on MiniLM's embeddings"] = {**card.metrics, "seconds": time.process_time() - start}
    return found


def speed(labels: Path, texts: list[str], folder: Path) -> list[dict[str, Any]]:
    """MB a second by processor time in alternating turns, the best turn of each, and how far probabilities differ."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import fasttext
    fasttext.FastText.eprint = lambda *_: None
    table = pq.read_table(labels)
    lines = folder / "lines.txt"
    pairs = zip(table["label"].to_pylist(), table["text"].to_pylist(), strict=True)
    lines.write_text("\n".join(f"__label__{'hq' if label else 'cc'} {' '.join(text.split())}" for label, text in pairs))
    column = pa.array(texts, pa.large_string())
    spaced = [text.replace("\n", " ") for text in texts]
    size = sum(len(text.encode()) for text in texts) / 1e6
    rows: list[dict[str, Any]] = []
    for name, options in LIBRARY.items():
        model: Any = fasttext.train_supervised(
            str(lines), wordNgrams=2, bucket=2_000_000, dim=100, epoch=3, lr=0.5, thread=1, verbose=0, **options
        )
        file = folder / "model.bin"
        model.save_model(str(file))
        card = folder / "imported"
        import_fasttext(file, card, "dclm", "none", "__label__hq")
        references = {"quality": card / "card.json"}
        work: dict[str, Callable[[], Any]] = {
            "fasttext": lambda model=model: model.predict(spaced, k=2),
            "pomona": lambda references=references: filters.measure(column, ["quality"], references),
        }
        best, said = dict.fromkeys(work, float("inf")), dict[str, Any]()
        for turn in range(TURNS + 1):
            for one, task in work.items():
                start = time.process_time()
                said[one] = task()
                if turn:  # the first one loads and compiles
                    best[one] = min(best[one], time.process_time() - start)
        expected = [dict(zip(*one, strict=True))["__label__hq"] for one in zip(*said["fasttext"], strict=True)]
        difference = np.abs(said["pomona"]["quality.dclm"].to_numpy() - np.array(expected)).max()
        rows.append(
            {
                "model": name,
                **{f"{one} MB/s": size / seconds for one, seconds in best.items()},
                "times": best["fasttext"] / best["pomona"],
                "largest difference": float(difference),
                "from": float(min(expected)),
                "to": float(max(expected)),
                "bytes": file.stat().st_size,
                "bytes imported": (card / "model.safetensors").stat().st_size,
            }
        )
        file.unlink()
    return rows


def table(result: dict[str, Any]) -> str:
    rows = ["| model | AUC | average precision | precision | recall | training, s |", "|---|---|---|---|---|---|"]
    for name, found in result["quality"].items():
        values = (found.get(key, float("nan")) for key in ("auc", "average_precision", "precision", "recall"))
        rows.append(f"| {name} | " + " | ".join(f"{one:.3f}" for one in values) + f" | {found['seconds']:.1f} |")
    rows += ["", "| fastText model | fastText, MB/s | Pomona, MB/s | times | largest difference | file, MB |"]
    rows.append("|---|---|---|---|---|---|")
    for row in result["speed"]:
        rows.append(
            f"| {row['model']} | {row['fasttext MB/s']:.1f} | {row['pomona MB/s']:.1f} | {row['times']:.1f} |"
            f" {row['largest difference']:.1e} | {row['bytes'] / 1e6:.0f} → {row['bytes imported'] / 1e6:.0f} |"
        )
    return "\n".join([f"{result['texts']} labelled texts, {result['positives']} positive", "", *rows])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    data = os.environ.get("POMONA_DATA")
    if not data:
        print("POMONA_DATA is not set: it names the folder of evaluation data that this measures on", file=sys.stderr)
        return 2
    folder = BENCH / "quality"
    labels = folder / "labels.parquet"
    made = write(Path(data), labels)
    result = {
        "texts": made.num_rows,
        "positives": int(np.sum(made["label"].to_numpy())),
        "speed": speed(labels, [text for _, text in raw(Path(data))], folder),
        "quality": quality(labels, folder),
    }
    print(json.dumps(result, indent=2) if arguments.json else table(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
