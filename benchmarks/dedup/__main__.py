"""Ask every system for the clusters of labelled pages, and compare them with exact similarities and human labels.

`POMONA_DATA=... python -m benchmarks.dedup` reads neardup/copycat_cc1511_pairs_a.jsonl.gz: 120 pairs of Common Crawl
pages (words stemmed), with a human label each. All 240 pages are one corpus. Exact similarity is that of their sets of
5-word shingles, counted here in plain Python, so that no system's own code is the judge.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.dedup_scale.__main__ import PAGE, rewritten
from benchmarks.environments import ROOT, NotInstalled, python_of
from benchmarks.watch import ONE_THREAD

HERE = Path(__file__).parent
SYSTEMS = {
    "pomona": ("pomona", "fineweb"),
    "pomona afm": ("pomona", "afm"),
    "datatrove": ("datatrove",),
    "text-dedup": ("text_dedup",),
    "rensa": ("rensa",),
}
"""Each system's script, and the words after the texts."""
THRESHOLD = 0.7


def main() -> int:
    """Ask, compare, print, and write the table of docs/dedup.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dedup")
    parser.add_argument("--data", default=os.environ.get("POMONA_DATA"))
    parser.add_argument("--keep-page", action="store_true", help="print only")
    asked = parser.parse_args()
    if not asked.data:
        print("set POMONA_DATA: the labelled pages are in its neardup/", file=sys.stderr)
        return 2
    file = Path(asked.data) / "neardup" / "copycat_cc1511_pairs_a.jsonl.gz"
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        pairs = [json.loads(line) for line in lines]
    texts = [pair[side] for pair in pairs for side in "ab"]
    found = {name: answer(*how, texts=texts) for name, how in SYSTEMS.items()}
    table = report(pairs, found)
    print(table)
    if not asked.keep_page:
        PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), {"labelled": table}), encoding="utf-8")
    return 0 if "clusters" in found["pomona"] else 1


def answer(system: str, *words: str, texts: Sequence[str]) -> dict[str, Any]:
    """Return a system's clusters and seconds, or the reason why there are none, as `error`."""
    try:
        python = Path(sys.executable) if system == "pomona" else python_of(system, HERE / f"requirements-{system}.txt")
    except NotInstalled as error:
        return {"error": str(error)}
    paths = [HERE, ROOT] if system == "pomona" else [HERE]
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "texts.json"
        corpus.write_text(json.dumps(list(texts)), encoding="utf-8")
        command = [python, "-W", "ignore", HERE / f"run_{system}.py", corpus, *words]
        ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    if ran.returncode:
        return {"error": (ran.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(ran.stdout.strip().splitlines()[-1])


def similarity(pair: Mapping[str, str]) -> float:
    """Return the exact Jaccard similarity of a pair's sets of 5-word shingles, words by white space."""
    a, b = (shingled(pair[side]) for side in "ab")
    return len(a & b) / len(a | b)


def shingled(text: str) -> set[tuple[str, ...]]:
    """Return a text's set of 5-word shingles."""
    words = text.split()
    return {tuple(words[i : i + 5]) for i in range(max(len(words) - 4, 1))}


def report(pairs: Sequence[Mapping[str, str]], found: Mapping[str, Mapping[str, Any]]) -> str:
    """Write, for each system, how many pairs it joined: by exact similarity, and by human label."""
    exact = [similarity(pair) for pair in pairs]
    alike = [value >= THRESHOLD for value in exact]
    shown = {name: one for name, one in found.items() if "clusters" in one}
    joined = {name: [c[2 * i] == c[2 * i + 1] for i in range(len(pairs))] for name, c in _clusters(shown).items()}
    lines = [f"| | {' | '.join(shown)} |", "|" + "---|" * (len(shown) + 1)]

    def row(name: str, values: Sequence[object]) -> None:
        lines.append(f"| {name} | {' | '.join(map(str, values))} |")

    row(
        f"recall: joined of the {sum(alike)} pairs of {THRESHOLD} or more",
        [_share(sum(j and a for j, a in zip(one, alike, strict=True)), sum(alike)) for one in joined.values()],
    )
    row(
        f"precision: {THRESHOLD} or more among the joined pairs",
        [_share(sum(j and a for j, a in zip(one, alike, strict=True)), sum(one)) for one in joined.values()],
    )
    for low, high in ((0.0, 0.5), (0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.01)):
        inside = [low <= value < high for value in exact]
        counts = [sum(j and i for j, i in zip(one, inside, strict=True)) for one in joined.values()]
        row(f"joined, exact similarity {low:.1f} to {min(high, 1.0):.1f} ({sum(inside)} pairs)", counts)
    labels = Counter(pair["label"] for pair in pairs)
    for label in sorted(labels):
        inside = [pair["label"] == label for pair in pairs]
        counts = [sum(j and i for j, i in zip(one, inside, strict=True)) for one in joined.values()]
        row(f'joined, human label "{label}" ({labels[label]} pairs)', counts)
    row("largest cluster", [max(Counter(one["clusters"]).values()) for one in shown.values()])
    row("seconds of processor", [f"{one['seconds']:.3f}" for one in shown.values()])
    missing = [f"{name}: {one['error']}" for name, one in found.items() if "error" in one]
    return "\n".join([*lines, *(["", *missing] if missing else [])])


def _clusters(found: Mapping[str, Mapping[str, Any]]) -> dict[str, list[int]]:
    return {name: one["clusters"] for name, one in found.items()}


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


if __name__ == "__main__":
    sys.exit(main())
