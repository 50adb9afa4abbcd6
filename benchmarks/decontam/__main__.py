"""Recall by format, false positives, and size and speed beside datatrove: `python -m benchmarks.decontam`.

Reads POMONA_DATA and the pages of `python -m benchmarks.corpus`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.decontam.items import made, real
from benchmarks.decontam.pages import pages
from benchmarks.environments import ROOT, NotInstalled, python_of
from decontam import Benchmark, Index
from decontam.evidence import aligned
from decontam.forms import FORMS
from decontam.method import METHODS
from decontam.recall import chosen, recall

PAGES = 21_000
PARTS = ("recall", "methods", "false-positives", "speed", "size")
TURNS = 3


def recalls(index: Index, benchmarks: list[Benchmark], texts: list[str], items: int) -> dict[str, Any]:
    """Recall by form, with some of the items that were missed."""
    planted = chosen(index, benchmarks, items)
    found = recall(index, planted, texts)
    return {
        form: {"planted": one.planted, "found": one.found, "recall": one.share, "missed": one.missed[:5]}
        for form, one in found.items()
    }


def false_positives(index: Index, table: pa.Table) -> dict[str, Any]:
    """Every hit in pages that hold no item, both texts aligned, to be looked at."""
    found = index.scan_shown(table["text"])
    hits = [
        {
            "url": table["url"][hit["row"]].as_py(),
            **{name: hit[name] for name in ("benchmark", "item", "score")},
            "aligned": aligned(table["text"][hit["row"]].as_py()[hit["start"] : hit["end"]], item),
        }
        for hit, item in zip(found.to_pylist(), index.item_texts(found["number"].to_pylist()), strict=True)
    ]
    return {"pages": table.num_rows, "hit": len(set(found["row"].to_pylist())), "hits": hits}


def speed(index: Index, texts: list[str], planted: list[tuple[str, Any]]) -> dict[str, Any]:
    """Microseconds of processor time for a text of 7,000 characters, in turns with datatrove on the same texts."""
    column = pa.array(texts, pa.large_string())
    characters = sum(map(len, texts))
    index.scan(column.slice(0, 20))
    ours: list[float] = []
    theirs: list[dict[str, Any]] = []
    error = ""
    few = [item for _, item in planted][:400]
    given = {
        "items": [
            [item["question"] or item["context"] or "", item["answer"] or item["solution"] or ""] for item in few
        ],
        "texts": texts[:300],
        "query": True,
        "planted": {form: [FORMS[form](item, _random(), ["word"]) for item in few] for form in _COMPARED},
    }
    few_characters = sum(map(len, texts[:300]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "given.json"
        file.write_text(json.dumps(given), encoding="utf-8")
        try:
            requirements = ROOT / "benchmarks" / "text_kernels" / "requirements-datatrove.txt"
            python = python_of("datatrove", requirements)
        except NotInstalled as one:
            python, error = None, str(one)
        for turn in range(TURNS):
            start = time.process_time()
            index.scan(column)
            ours.append(time.process_time() - start)
            if turn == 1:  # what it finds is the same in every turn
                file.write_text(json.dumps({**given, "planted": {}}), encoding="utf-8")
            if python is not None:
                command = [python, "-W", "ignore", ROOT / "benchmarks" / "decontam" / "run_datatrove.py", file]
                ran = subprocess.run(command, capture_output=True, text=True, check=False)
                if ran.returncode:
                    error = f"datatrove ended with {ran.returncode}: {ran.stderr.strip().splitlines()[-1:]}"
                    python = None
                else:
                    theirs.append(json.loads(ran.stdout.strip().splitlines()[-1]))
    result: dict[str, Any] = {"texts": len(texts), "pomona_us": 1e6 * min(ours) * 7_000 / characters}
    if error:
        return {**result, "error": error}
    best = min(one["seconds"] for one in theirs)
    recall_of = {form: hit / len(few) for form, hit in theirs[0]["hit"].items()}
    return {**result, "datatrove_us": 1e6 * best * 7_000 / few_characters, "datatrove_recall": recall_of}


_COMPARED = ("question only", "question and options", "with answer", "with solution", "re-wrapped", "re-cased",
             "10 % of words inserted or replaced")  # fmt: skip


def _random() -> Any:
    import random

    return random.Random(0)


def size(benchmarks: list[Benchmark], texts: list[str], many: int, each: int) -> dict[str, Any]:
    """Build an index of many made benchmarks beside the real ones; seconds, bytes, and microseconds a text.

    As it is built and as it is opened from a folder, where its files are in the system's memory already.
    """
    given = [*benchmarks, *made(benchmarks, many, each)]
    start = time.process_time()
    index = Index.build(given)
    built = time.process_time() - start
    result = {
        "items": len(index),
        "not_checkable": len(index.not_checkable),
        "with_solution": len(index.with_solution),
        "build_seconds": built,
        "bytes": index.nbytes,
        "us": microseconds(index, texts),
    }
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder) / "index")
        del index
        start = time.perf_counter()
        index = Index.load(Path(folder) / "index")
        opened = time.perf_counter() - start
        return {**result, "open_seconds": opened, "us_opened": microseconds(index, texts)}


def microseconds(index: Index, texts: list[str]) -> float:
    """Processor time for a text of 7,000 characters."""
    column = pa.array(texts, pa.large_string())
    index.scan(column.slice(0, 20))
    seconds: list[float] = []
    for _ in range(TURNS):
        start = time.process_time()
        index.scan(column)
        seconds.append(time.process_time() - start)
    return 1e6 * min(seconds) * 7_000 / sum(map(len, texts))


def told(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines: list[str] = []
    if "recall" in result:
        lines += ["| form | planted | found | recall |", "|---|---|---|---|"]
        lines += [
            f"| {form} | {one['planted']} | {one['found']} | {one['recall']:.4f} |"
            for form, one in result["recall"].items()
        ]
    if "methods" in result:
        names = list(result["methods"])
        lines += ["", f"| form | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
        for form in FORMS:
            found = (f"{result['methods'][name]['recall'][form]['recall']:.3f}" for name in names)
            lines.append(f"| {form} | {' | '.join(found)} |")
        hit = (f"{result['methods'][name]['pages_hit']:.4f}" for name in names)
        lines.append(f"| *share of clean pages hit* | {' | '.join(hit)} |")
    if "false-positives" in result:
        one = result["false-positives"]
        lines += ["", f"{one['hit']} of {one['pages']} pages hit ({one['hit'] / one['pages']:.4%})", ""]
        lines += [
            f"- {hit['url']} {hit['benchmark']} {hit['item']} {hit['score']:.2f}: {hit['aligned']}"
            for hit in one["hits"]
        ]
    if "speed" in result:
        lines += ["", "speed: " + json.dumps(result["speed"])]
    if "size" in result:
        lines += ["", "size: " + json.dumps(result["size"])]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decontam", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part (may be repeated)")
    parser.add_argument("--items", type=int, default=1200, help="items planted (default 1200)")
    parser.add_argument("--benchmarks", type=int, default=800, help="made benchmarks of 2,000 items (default 800)")
    arguments = parser.parse_args()
    if not os.environ.get("POMONA_DATA"):
        print("POMONA_DATA is not set: it names the folder of evaluation data that this measures on", file=sys.stderr)
        return 2
    parts = arguments.part or PARTS
    benchmarks = real(Path(os.environ["POMONA_DATA"]))
    table = pages(PAGES)
    texts = [text for text in table["text"].to_pylist() if 1_000 <= len(text) <= 20_000]
    texts = texts[:: max(1, len(texts) // 1000)]
    index = Index.build(benchmarks)
    result: dict[str, Any] = {}
    if "recall" in parts:
        result["recall"] = recalls(index, benchmarks, texts, arguments.items)
    if "methods" in parts:
        result["methods"] = {}
        for name in sorted(set(METHODS) - {"ngram"}):
            other = index if name == "default" else Index.build(benchmarks, name)
            hit = len(set(other.scan(pa.array(texts, pa.large_string()))["row"].to_pylist()))
            result["methods"][name] = {
                "recall": recalls(other, benchmarks, texts, arguments.items // 4),
                "pages_hit": hit / len(texts),
                "not_checkable": len(other.not_checkable),
            }
    if "false-positives" in parts:
        result["false-positives"] = false_positives(index, table)
    if "speed" in parts:
        result["speed"] = speed(index, texts, chosen(index, benchmarks, arguments.items))
    if "size" in parts:
        result["size"] = size(benchmarks, texts, arguments.benchmarks, 2_000)
    print(json.dumps(result, indent=2, ensure_ascii=False) if arguments.json else told(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
