"""Run both systems one after the other, with and without extraction; print documents a second and what was decided."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.corpus.documents import extracted
from benchmarks.corpus.made import make
from benchmarks.corpus.pages import CorpusError
from benchmarks.environments import BENCH, ROOT, NotInstalled, code, digest_of, python_of
from benchmarks.fineweb import agreement, decisions
from benchmarks.fineweb.decisions import STAGES
from benchmarks.fineweb.words import kept_with_our_words
from benchmarks.recipe import fineweb
from benchmarks.warm import warm
from benchmarks.watch import ONE_THREAD, CommandFailed, Cost, watched

HERE = Path(__file__).parent
WITH, WITHOUT = "with", "without"
BEYOND = ("05", "06", "07", "08")
"""Steps of a build that datatrove's example has no counterpart of: decontamination, tokens and mixture."""


def pomona(corpus: Path, place: Path, extraction: str, workers: int) -> dict[str, Any]:
    """Measure one `pomona build`; without extraction it finds that step finished in its store."""
    run, store = place / "run", place / "store"
    for folder in (run, store):
        shutil.rmtree(folder, ignore_errors=True)
    recipe = fineweb(corpus, corpus / "recipe.yaml")
    command: list[str | Path] = [sys.executable, "-m", "pipelines.cli", "build", recipe, "--out", run]
    command += ["--workers", str(workers), "--json"]
    if extraction == WITHOUT:
        shutil.copytree(extracted(corpus)[0], store)
        command += ["--store", store]
    cost = watched(command, place / "run.log", environment=ONE_THREAD, cwd=ROOT)
    if extraction == WITHOUT and not any(step["reused"] for step in cost.said["steps"]):
        raise CommandFailed("the extraction was not reused: the code changed since it was made; run again")
    steps = {step["name"]: step["seconds"] for step in cost.said["steps"] if not step["reused"]}
    beyond = sum(seconds for name, seconds in steps.items() if name.startswith(BEYOND))
    return {**_cost(cost), "steps": steps, "like_seconds": cost.seconds - beyond}


def datatrove(corpus: Path, place: Path, extraction: str, workers: int) -> dict[str, Any]:
    """Measure the stages of datatrove's example."""
    from filters.language import model_path

    python = python_of("datatrove-fineweb", HERE / "requirements-datatrove.txt")
    out = place / "out"
    shutil.rmtree(out, ignore_errors=True)
    command: list[str | Path] = [python, HERE / "run_datatrove.py", "--out", out, "--workers", str(workers)]
    command += ["--model", model_path()]
    if extraction == WITH:
        command += ["--warc", corpus / "warc"]
    else:
        command += ["--documents", extracted(corpus)[1][0].parent]
    cost = watched(command, place / "out.log", environment=ONE_THREAD, cwd=place)
    return {**_cost(cost), "steps": dict(cost.said["seconds"]), "like_seconds": cost.seconds}


def _cost(cost: Cost) -> dict[str, Any]:
    return {"seconds": cost.seconds, "cpu_seconds": cost.cpu_seconds, "peak_bytes": cost.peak_bytes}


def benchmark(pages: int, workers: int, *, fresh: bool, kinds: tuple[str, ...]) -> dict[str, Any]:
    """The whole comparison; what was measured before is taken from its file unless `fresh`."""
    corpus = make(pages)
    _, parts = extracted(corpus)
    warm()
    place = BENCH / "fineweb" / f"{corpus.name}-{workers}"
    result: dict[str, Any] = {
        "pages": pages,
        "documents": sum(pq.read_metadata(path).num_rows for path in parts),
        "workers": workers,
        "runs": {},
        "agreement": {},
    }
    ours_is = code()
    # datatrove's runs last: one counts until its script, its environment or the texts that it is given are others.
    theirs_is = digest_of(HERE / "run_datatrove.py", HERE / "requirements-datatrove.txt")
    folders: dict[tuple[str, str], Path] = {}
    for extraction in kinds:
        given = "" if extraction == WITH else f"-{parts[0].parent.parent.name.rpartition('-')[2]}"
        folders["pomona", extraction] = place / f"pomona-{extraction}-{ours_is}"
        folders["datatrove", extraction] = place / f"datatrove-{extraction}-{theirs_is}{given}"
        for name, measure in (("pomona", pomona), ("datatrove", datatrove)):
            folder = folders[name, extraction]
            folder.mkdir(parents=True, exist_ok=True)
            saved = folder / "cost.json"
            if fresh or not saved.exists():
                print(f"{name}, {extraction} extraction ...", file=sys.stderr, flush=True)
                saved.unlink(missing_ok=True)
                saved.write_text(json.dumps(measure(corpus, folder, extraction, workers)), encoding="utf-8")
            result["runs"][f"{name}-{extraction}"] = json.loads(saved.read_text(encoding="utf-8"))
    texts = decisions.texts_of(parts)
    alike: Mapping[str, bool] | None = None
    for extraction in (WITHOUT, WITH):  # equal texts first: they tell which difference is the extraction's
        if extraction in kinds:
            ours = decisions.of_pomona(folders["pomona", extraction] / "run", texts)
            theirs = decisions.of_datatrove(folders["datatrove", extraction] / "out")
            result["agreement"][extraction] = _compared(ours, theirs, alike)
            if extraction == WITHOUT:
                alike = agreement.alike(ours, theirs)
    return result


def _compared(
    ours: decisions.Run, theirs: Mapping[str, decisions.Decision], alike: Mapping[str, bool] | None
) -> dict[str, Any]:
    python = python_of("datatrove-fineweb", HERE / "requirements-datatrove.txt")
    same_words = kept_with_our_words(agreement.disputed(ours, theirs), python)
    return agreement.compare(ours, theirs, same_words, alike)


def told(result: Mapping[str, Any]) -> str:
    """The result for a reader."""
    lines: list[str] = []
    for extraction in (WITH, WITHOUT):
        ours, theirs = (result["runs"].get(f"{name}-{extraction}") for name in ("pomona", "datatrove"))
        if ours is None or theirs is None:
            continue
        count = result["pages"] if extraction == WITH else result["documents"]
        lines.append(f"{extraction} extraction: {count:,} documents, {result['workers']} workers each")
        lines.append(f"  {'':34}{'seconds':>10}{'CPU s':>10}{'documents/s':>13}{'peak MiB':>10}{'pomona is':>14}")
        for name, run, seconds in (
            ("datatrove", theirs, theirs["seconds"]),
            ("pomona build, all of it", ours, ours["seconds"]),
            ("pomona, the steps that both have", ours, ours["like_seconds"]),
        ):
            ratio = "" if run is theirs else f"{theirs['seconds'] / seconds:,.1f} times"
            cpu, size = run["cpu_seconds"], run["peak_bytes"] / 2**20
            lines.append(f"  {name:34}{seconds:10,.1f}{cpu:10,.1f}{count / seconds:13,.1f}{size:10,.0f}{ratio:>14}")
        for name, run in (("datatrove", theirs), ("pomona", ours)):
            lines.append(f"  {name}: " + ", ".join(f"{step} {seconds:.1f} s" for step, seconds in run["steps"].items()))
        lines += _agreement(result["agreement"][extraction])
    return "\n".join(lines)


def _agreement(found: Mapping[str, Any]) -> list[str]:
    lines = [
        f"  kept or dropped alike: {found['kept_or_dropped_alike']:.2%} of {found['pages']:,}; "
        f"in the same stage: {found['same_stage']:.2%}",
        f"  {'pomona ↓  datatrove →':24}" + "".join(f"{stage:>11}" for stage in STAGES),
    ]
    for stage, row in zip(STAGES, found["table"], strict=True):
        lines.append(f"  {stage:24}" + "".join(f"{count:11,}" for count in row))
    lines += [f"  {count:6,}  {reason}" for reason, count in found["reasons"].items()]
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fineweb", description=__doc__)
    parser.add_argument("--pages", type=int, default=20_000, help="pages of the corpus (default: 20000)")
    parser.add_argument("--workers", type=int, default=2, help="workers of each system (default: 2)")
    parser.add_argument("--only", choices=(WITH, WITHOUT), help="only with, or only without extraction")
    parser.add_argument("--fresh", action="store_true", help="measure again what was measured before")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    kinds = (asked.only,) if asked.only else (WITH, WITHOUT)
    try:
        result = benchmark(asked.pages, asked.workers, fresh=asked.fresh, kinds=kinds)
    except (CorpusError, CommandFailed, NotInstalled, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(result, indent=1) if asked.json else told(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
