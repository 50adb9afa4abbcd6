"""Print what the safety classifiers find of texts they have not seen, what they flag of clean pages, and how fast."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import filters
from benchmarks.safety.groups import is_dialect, pages, python_docs
from filters import safety
from filters.safety.examples import examples
from filters.safety.thresholds import calibration_error, figures
from filters.safety.train import held_out, with_classifier

TURNS = 5


def column(texts: list[str]) -> pa.Array[Any]:
    return pa.array(texts, pa.large_string())


def flagged(texts: list[str]) -> dict[str, Any]:
    """Shares of clean texts that are flagged, by category and by any."""
    found = safety.measure(column(texts))
    flags = {name: found[name].to_numpy() >= safety.FLAGGED for name in found.column_names}
    anything = np.any(list(flags.values()), axis=0)
    return {
        "texts": len(texts),
        "any": float(anything.mean()),
        "by": {name: float(values.mean()) for name, values in flags.items() if values.any()},
    }


def categories(data: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures on held-out fifths, by category; and what is flagged of each set, among them tweets in dialect."""
    known = examples(data)
    scores, probabilities, _ = held_out(known)
    names = safety.categories()
    rows = {
        names[c]: {
            **figures(scores[:, k], known.labels[:, c]),
            "calibration_error": calibration_error(probabilities[:, k], known.labels[:, c]),
        }
        for k, c in enumerate(with_classifier())
    }
    flags = scores >= safety.FLAGGED
    sets: dict[str, Any] = {}

    def told(name: str, chosen: Any) -> None:
        sets[name] = {
            "texts": int(chosen.sum()),
            "hate_speech": float(flags[chosen, 0].mean()),
            "any": float(flags[chosen].any(axis=1).mean()),
        }

    for name in np.unique(known.sets).tolist():
        told(name, known.sets == name)
    dialect = np.array([is_dialect(text) for text in known.texts])
    told("davidson neither, dialect", (known.sets == "davidson neither") & dialect)
    told("davidson offensive, dialect", (known.sets == "davidson offensive") & dialect)
    return rows, sets


def speed(texts: list[str]) -> dict[str, float]:
    """Megabytes a second, one core, by processor time; the best of some turns."""
    texts = texts * 4
    size = sum(len(text.encode()) for text in texts) / 1e6
    work = column(texts)
    found: dict[str, float] = {}
    for family in ("safety", "safety_sentences", "gopher"):
        best = float("inf")
        for turn in range(TURNS + 1):
            start = time.process_time()
            filters.measure(work, [family])
            if turn:
                best = min(best, time.process_time() - start)
        found[family] = size / best
    return found


def bbq(data: Path) -> list[str]:
    """Contexts that name people of a religion, of which the models have seen none."""
    with gzip.open(data / "safety" / "bbq_religion.jsonl.gz", "rt", encoding="utf-8") as file:
        return sorted({json.loads(line)["context"] for line in file})


def table(result: dict[str, Any]) -> str:
    rows = ["| category | positives | precision | recall | AUC | calibration error |", "|---|---|---|---|---|---|"]
    for one in safety.taxonomy():
        found = result["held out"].get(one.name)
        if found is None:
            rows.append(f"| `{one.name}` | – | unmeasured: lists only | | | |")
            continue
        rows.append(
            f"| `{one.name}` | {found['positives']} | {found['precision']:.2f} | {found['recall']:.2f} |"
            f" {found['auc']:.3f} | {found['calibration_error']:.4f} |"
        )
    rows += ["", "| clean pages | texts | flagged | most often as |", "|---|---|---|---|"]
    for name, found in result["clean"].items():
        most = sorted(found["by"].items(), key=lambda item: -item[1])[:2]
        told = ", ".join(f"{category} {share:.2%}" for category, share in most)
        rows.append(f"| {name} | {found['texts']} | {found['any']:.2%} | {told} |")
    rows += ["", "| held-out texts | texts | flagged as hate | flagged at all |", "|---|---|---|---|"]
    for name, found in result["sets"].items():
        rows.append(f"| {name} | {found['texts']} | {found['hate_speech']:.2%} | {found['any']:.2%} |")
    rows += ["", "| MB/s, one core | |", "|---|---|"]
    rows += [f"| {name} | {value:.1f} |" for name, value in result["speed"].items()]
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.safety", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--pages", action="store_true", help="clean pages alone, without training anything")
    arguments = parser.parse_args()
    folder = os.environ.get("POMONA_DATA")
    if not folder:
        print("POMONA_DATA is not set: it names the folder of evaluation data that this measures on", file=sys.stderr)
        return 2
    data = Path(folder)
    clean = {**pages(data), "Python's documentation": python_docs(), "BBQ religion": bbq(data)}
    held, sets = ({}, {}) if arguments.pages else categories(data)
    result = {
        "held out": held,
        "clean": {name: flagged(texts) for name, texts in clean.items()},
        "sets": sets,
        "speed": speed(clean["all pages"]),
    }
    print(json.dumps(result, indent=2) if arguments.json else table(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
