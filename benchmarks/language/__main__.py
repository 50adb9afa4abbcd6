"""Ask Pomona and bare lid.176 about the same lines; print accuracy by language, and documents a second on pages."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.language.choosing import certainty, known, macro, powers
from benchmarks.language.texts import Lines, flores, pages, udhr
from filters.language import identify, judge, label_codes, model_path

TURNS = 5


def raw(texts: list[str]) -> tuple[list[str], Any]:
    """What fastText's library says of each text, under our codes."""
    model = _library()
    labels, _ = model.predict([text.replace("\n", " ") for text in texts])
    names = [found[0].removeprefix("__label__") for found in labels]
    table = dict(zip(set(names), label_codes(list(set(names))), strict=True))
    return [table[name] for name in names], model


def _library() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import fasttext

        fasttext.FastText.eprint = lambda *_: None  # it warns of what load_model returns, on standard error
        return fasttext.load_model(str(model_path()))


def accuracy(lines: Lines) -> dict[str, Any]:
    """By language and in the mean."""
    bare = np.array(raw(lines.texts)[0], dtype=object)
    ours = np.array(identify(pa.array(lines.texts, pa.large_string()))["language"].to_pylist(), dtype=object)
    gold, names, has = np.array(lines.codes, dtype=object), np.array(lines.names, dtype=object), known(lines)
    rows = []
    for name in dict.fromkeys(lines.names):
        at = names == name
        most = Counter(ours[at & (ours != gold)].tolist()).most_common(1)
        rows.append(
            {
                "name": name,
                "code": gold[at][0],
                "lines": int(at.sum()),
                "known": bool(has[at][0]),
                "lid.176": float((bare[at] == gold[at]).mean()),
                "pomona": float((ours[at] == gold[at]).mean()),
                "und": float((ours[at] == "und").mean()),
                "most": most[0][0] if most else "",
            }
        )
    means = {}
    for label, chosen in (("known to lid.176", has), ("all", np.ones(len(has), np.bool_))):
        means[label] = {
            "languages": len(set(names[chosen])),
            "lid.176": macro((bare == gold)[chosen], names[chosen]),
            "pomona": macro((ours == gold)[chosen], names[chosen]),
            "pomona, und": macro((ours == "und")[chosen], names[chosen]),
            "pomona, wrong": macro(((ours != gold) & (ours != "und"))[chosen], names[chosen]),
            "lid.176, wrong": macro((bare != gold)[chosen], names[chosen]),
        }
    return {"languages": rows, "means": means}


def speed(texts: list[str]) -> dict[str, float]:
    """Documents a second, by processor time, in alternating turns; the best turn of each."""
    column = pa.array(texts, pa.large_string())
    model = _library()
    lines = [text.replace("\n", " ") for text in texts]
    beginnings = [text[:1000] for text in lines]
    work: dict[str, Callable[[], object]] = {
        "pomona": lambda: identify(column),
        "lid.176, whole texts": lambda: model.predict(lines),
        "lid.176, first 1,000 characters": lambda: model.predict(beginnings),
    }
    best = dict.fromkeys(work, float("inf"))
    for turn in range(TURNS + 1):
        for name, task in work.items():
            start = time.process_time()
            task()
            if turn:  # the first one loads and compiles
                best[name] = min(best[name], time.process_time() - start)
    return {name: len(texts) / seconds for name, seconds in best.items()}


def table(result: dict[str, Any]) -> str:
    rows = []
    for name, found in result["accuracy"].items():
        rows += [f"### {name}", "", "| languages | | lid.176 | pomona | pomona: und | pomona: wrong | lid.176: wrong |"]
        rows.append("|---|---|---|---|---|---|---|")
        for label, means in found["means"].items():
            values = (means[key] for key in ("lid.176", "pomona", "pomona, und", "pomona, wrong", "lid.176, wrong"))
            rows.append(f"| {label} | {means['languages']} | " + " | ".join(f"{one:.3f}" for one in values) + " |")
        rows += [
            "",
            "| language | code | lines | lid.176 | pomona | und | most taken for |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in sorted(found["languages"], key=lambda row: (row["pomona"], row["name"])):
            if not row["known"] and row["pomona"] == 0:
                continue
            rows.append(
                f"| {row['name']} | {row['code']} | {row['lines']} | {row['lid.176']:.2f} | {row['pomona']:.2f} |"
                f" {row['und']:.2f} | {row['most']} |"
            )
        never = [row["name"] for row in found["languages"] if not row["known"] and row["pomona"] == 0]
        rows += ["", f"Known to neither ({len(never)}): {', '.join(never)}.", ""]
    rows += ["| documents/s, one core | |", "|---|---|"]
    rows += [f"| {name} | {value:,.0f} |" for name, value in result["speed"].items()]
    return "\n".join([*rows, "", "```", *result["choosing"], "```"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.language", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    folder = os.environ.get("POMONA_DATA")
    if not folder:
        print("POMONA_DATA is not set: it names the folder of evaluation data that this measures on", file=sys.stderr)
        return 2
    data = Path(folder)
    sets = {"FLORES": flores(data), "UDHR": udhr(data)}
    web = pages(data)
    judge()
    result = {
        "accuracy": {name: accuracy(lines) for name, lines in sets.items()},
        "speed": speed(web),
        "choosing": [*powers(list(sets.values()), web), "", *certainty(sets["FLORES"])],
    }
    print(json.dumps(result, indent=2, ensure_ascii=False) if arguments.json else table(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
