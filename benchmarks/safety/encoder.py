"""The safety encoder beside the shipped classifiers: `python -m benchmarks.safety.encoder`, best on a GPU.

Heads are trained on four fifths of the labelled texts and asked about the fifth that was left out, as in
`benchmarks.safety`; the head that is written is trained on all, and says what it flags of clean pages (`--card`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from filters.batch import Batch
from filters.quality.encoder import MINILM, Encoder, encoder_folder
from filters.safety.encoder import TOKENS, embeddings, held_out, opened, train
from filters.safety.examples import examples
from filters.safety.taxonomy import categories
from filters.safety.thresholds import figures
from kernels.strings import text_batch


def measured(data: Path, encoder: str, tokens: int, out: Path) -> dict[str, Any]:
    """Figures by category and by set of texts, on held-out fifths; the head of all is written to `out`."""
    known = examples(data)
    began = time.perf_counter()
    model = Encoder(encoder_folder(encoder), tokens)
    embedded = embeddings(known.texts, model)
    seconds = time.perf_counter() - began
    names, scores, _ = held_out(known, embedded)
    flags = scores >= 0.5
    rows = {name: figures(scores[:, k], known.labels[:, categories().index(name)]) for k, name in enumerate(names)}
    sets = {
        name: {
            "texts": int((known.sets == name).sum()),
            "hate_speech": float(flags[known.sets == name, 0].mean()),
            "any": float(flags[known.sets == name].any(axis=1).mean()),
        }
        for name in np.unique(known.sets).tolist()
    }
    train(known, out, "CC-BY-SA-3.0 and others, see CARD.json", encoder=encoder, tokens=tokens)
    return {
        "texts": len(known.texts), "device": str(model.device), "seconds": seconds, "held out": rows, "sets": sets,
    }  # fmt: skip


def clean(card: Path) -> dict[str, Any]:
    """Shares of clean pages that a head flags."""
    from benchmarks.safety.groups import pages, python_docs

    judge = opened(card)
    found: dict[str, Any] = {}
    for name, texts in {**pages(Path(os.environ["POMONA_DATA"])), "Python's documentation": python_docs()}.items():
        values = judge(Batch(text_batch(pa.array(texts, pa.large_string()))))
        flags = {category: one >= 0.5 for category, one in values.items()}
        found[name] = {
            "texts": len(texts),
            "any": float(np.any(list(flags.values()), axis=0).mean()),
            "by": {category: float(one.mean()) for category, one in flags.items() if one.any()},
        }
    return found


def table(result: dict[str, Any]) -> str:
    lines: list[str] = []
    if "held out" in result:
        lines += ["| category | positives | precision | recall | AUC |", "|---|---|---|---|---|"]
        lines += [
            f"| `{name}` | {row['positives']} | {row['precision']:.2f} | {row['recall']:.2f} | {row['auc']:.3f} |"
            for name, row in result["held out"].items()
        ]
        lines += ["", "| held-out texts | texts | flagged as hate | flagged at all |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {row['texts']} | {row['hate_speech']:.2%} | {row['any']:.2%} |"
            for name, row in result["sets"].items()
        ]
        lines += ["", f"{result['texts']:,} texts embedded in {result['seconds']:.1f} s on {result['device']}"]
    if "clean" in result:
        lines += ["| clean pages | texts | flagged | most often as |", "|---|---|---|---|"]
        for name, row in result["clean"].items():
            most = sorted(row["by"].items(), key=lambda item: -item[1])[:2]
            told = ", ".join(f"{category} {share:.2%}" for category, share in most)
            lines.append(f"| {name} | {row['texts']} | {row['any']:.2%} | {told} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.safety.encoder", description=__doc__)
    parser.add_argument("--encoder", default=MINILM, help="folder or installed package")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="read of each text")
    parser.add_argument("--out", type=Path, help="folder for the head and its card")
    parser.add_argument("--card", type=Path, help="clean pages alone, by this head")
    parser.add_argument("--json", type=Path, help="write everything there")
    arguments = parser.parse_args()
    if "POMONA_DATA" not in os.environ:
        print("POMONA_DATA is not set: it names the folder of evaluation data", file=sys.stderr)
        return 2
    if arguments.card is None and arguments.out is None:
        parser.error("--out: give a folder for the head, or --card")
    if arguments.card is not None:
        result: dict[str, Any] = {"clean": clean(arguments.card)}
    else:
        data = Path(os.environ["POMONA_DATA"])
        result = measured(data, arguments.encoder, arguments.tokens, arguments.out)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
