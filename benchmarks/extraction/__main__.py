"""Extract every gold page by every engine; print F1 by set and page type with intervals, and documents a second."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.environments import BENCH, ROOT, NotInstalled, digest_of, python_of
from benchmarks.watch import ONE_THREAD

HERE = Path(__file__).parent
OURS = "auto"
BEST = ("trafilatura", "trafilatura, no comments")
"""The settings whose better one, in each set, is the mark to beat."""
SAMPLES = 2000
LEARNED_FROM = (
    *("choice", "context", "feature_names", "features", "forest", "groups", "markup", "names", "own_features", "parse"),
    *("says", "surroundings", "tables", "text", "tree"),
)
"""Files of `pipelines/extract/page` that decide what the models learn; others only what is done with them."""


def extracted(gold: Path, stopwords: Path, *, fresh: bool) -> dict[str, Any]:
    """Texts and seconds of every engine on every page; what was measured of the same code is taken as it is."""
    from pipelines.extract.learn.gold import pages

    place = BENCH / "extraction"
    place.mkdir(parents=True, exist_ok=True)
    known = list(pages(gold))
    listing = place / "pages.json"
    listing.write_text(
        json.dumps([{"file": str(gold / one.set / "html" / f"{one.id}.html.gz"), "url": one.url} for one in known]),
        encoding="utf-8",
    )
    found: dict[str, Any] = {"pages": known, "engines": {}}
    ours = digest_of(ROOT / "pipelines" / "extract", ROOT / "kernels", HERE)
    for name in ("pomona", "trafilatura", "resiliparse"):
        digest = ours if name == "pomona" else digest_of(HERE / f"run_{name}.py", HERE / "extracting.py")
        saved = place / f"{name}-{digest}.json"
        if fresh or not saved.exists():
            print(f"{name} ...", file=sys.stderr, flush=True)
            requirements = HERE / f"requirements-{name}.txt"
            python = python_of(name, requirements) if requirements.exists() else Path(sys.executable)
            paths = [HERE] if requirements.exists() else [HERE, ROOT]
            environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(map(str, paths))}
            subprocess.run(
                [python, "-W", "ignore", HERE / f"run_{name}.py", listing, saved], check=True, env=environment
            )
        found["engines"] |= json.loads(saved.read_text(encoding="utf-8"))
    saved = place / f"held-out-{ours}.json"
    if fresh or not saved.exists():
        print("training for each fold ...", file=sys.stderr, flush=True)
        learned = digest_of(
            ROOT / "kernels",
            ROOT / "pipelines" / "extract" / "learn",
            HERE / "held_out.py",
            *(ROOT / "pipelines" / "extract" / "page" / f"{name}.py" for name in LEARNED_FROM),
        )
        folder = place / f"folds-{learned}"
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        command = [sys.executable, "-m", "benchmarks.extraction.held_out", gold, stopwords, saved, folder]
        subprocess.run(command, check=True, cwd=ROOT)
    texts = json.loads(saved.read_text(encoding="utf-8"))
    found["engines"][OURS]["texts"] = [texts.get(f"{one.set}/{one.id}", "") for one in known]
    found["first_page_seconds"] = first_page()
    return found


def first_page() -> float:
    """Seconds from the start of a process to its first page's text: the kernels come compiled from their cache."""
    page = (
        "<html><body><article>" + "<p>The river rises in the hills above the town.</p>" * 9 + "</article></body></html>"
    )
    program = f"from pipelines.extract import extract_html; assert extract_html({page.encode()!r}).text"
    seconds: list[float] = []
    for _ in range(4):  # the first may have to compile
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, env={**os.environ, **ONE_THREAD})
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))


def scores(found: dict[str, Any]) -> dict[str, Any]:
    """F1 of each page, by engine; groups of pages; and our gain over the mark with its 95 % interval."""
    from pipelines.extract.learn.gold import f1

    known = found["pages"]
    by_engine = {
        name: np.array([f1(page, text) for page, text in zip(known, engine["texts"], strict=True)])
        for name, engine in found["engines"].items()
    }
    groups: dict[str, list[int]] = defaultdict(list)
    for k, page in enumerate(known):
        groups[page.set].append(k)
        if page.kind and page.set == "wcxb_dev":
            groups[f"{page.set}: {page.kind}"].append(k)
    rows: dict[str, Any] = {}
    for group, members in groups.items():
        at = np.array(members)
        mark = max(BEST, key=lambda name: by_engine[name][at].mean())
        gain = by_engine[OURS][at] - by_engine[mark][at]
        rows[group] = {
            "pages": len(at),
            "f1": {name: float(one[at].mean()) for name, one in by_engine.items()},
            "mark": mark,
            "gain": float(gain.mean()),
            "interval": _interval(gain, [known[k].host for k in members]),
        }
    sets = [group for group in rows if ":" not in group]
    return {
        "groups": rows,
        "mean_gain": float(np.mean([rows[group]["gain"] for group in sets])),
        "documents_per_second": {
            name: len(known) / sum(engine["seconds"]) for name, engine in found["engines"].items()
        },
        "first_page_seconds": found["first_page_seconds"],
    }


def _interval(gain: NDArray[np.float64], hosts: list[str]) -> tuple[float, float]:
    """95 % bootstrap interval of a mean; hosts are drawn, not pages."""
    names, index = np.unique(hosts, return_inverse=True)
    total, count = np.bincount(index, gain), np.bincount(index)
    drawn = np.random.default_rng(0).integers(0, len(names), (SAMPLES, len(names)))
    means = total[drawn].sum(1) / count[drawn].sum(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def told(result: dict[str, Any]) -> str:
    """The result for a reader, as Markdown."""
    engines = list(result["documents_per_second"])
    lines = [
        f"| pages | n | {' | '.join(engines)} | gain | 95 % interval |",
        f"|---|---|{'---|' * len(engines)}---|---|",
    ]
    for group, row in result["groups"].items():
        low, high = row["interval"]
        cells = " | ".join(f"{row['f1'][name]:.3f}" for name in engines)
        lines.append(f"| {group} | {row['pages']} | {cells} | {row['gain']:+.3f} | {low:+.3f} to {high:+.3f} |")
    speed = result["documents_per_second"]
    lines.append(f"| documents/s, one core | | {' | '.join(f'{speed[name]:,.0f}' for name in engines)} | | |")
    lines.append("")
    lines.append(
        f"Mean gain over the sets: {result['mean_gain']:+.3f}. Speed: {speed[OURS] / speed['trafilatura']:.1f} times "
        f"trafilatura's, {speed[OURS] / speed['resiliparse']:.2f} times resiliparse's. "
        f"From the start of a process to its first page's text: {result['first_page_seconds']:.2f} s."
    )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extraction", description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="measure again what was measured before")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    data = os.environ.get("POMONA_DATA")
    if not data:
        print(
            "POMONA_DATA is not set: it names the folder with html_gold, pages whose main text is known",
            file=sys.stderr,
        )
        return 1
    try:
        found = extracted(
            Path(data) / "html_gold", Path(data) / "lists" / "justext_stoplists.json.gz", fresh=asked.fresh
        )
    except (NotInstalled, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    result = scores(found)
    print(json.dumps(result, indent=1) if asked.json else told(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
