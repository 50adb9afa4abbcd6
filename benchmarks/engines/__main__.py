"""Run the measurements in turn, several times, and print medians and ratios."""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.corpus.documents import extracted
from benchmarks.corpus.made import make
from benchmarks.corpus.pages import CorpusError
from benchmarks.engines.prepared import repeated
from benchmarks.environments import BENCH, ROOT, code
from benchmarks.recipe import fineweb
from benchmarks.warm import warm
from benchmarks.watch import ONE_THREAD, CommandFailed, Cost, side_by_side, watched

LIMITS = {"local 1": 1.10, "local 2": 1.15, "ray": 1.5, "beam": 3.0}
"""Most times the reference's seconds that each may take."""


class Saved:
    """Measurements kept in files as they are made, so that a measurement that was cut off goes on where it was."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str, turn: int, measure: Callable[[Path], dict[str, float]]) -> dict[str, float]:
        """Take a measurement, or make it in an empty folder."""
        file = self.folder / f"{name.replace(' ', '-')}-{turn}.json"
        if not file.exists():
            print(f"{name}, turn {turn + 1} ...", file=sys.stderr, flush=True)
            work = self.folder / "work"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            found = measure(work)
            shutil.rmtree(work)
            file.write_text(json.dumps(found), encoding="utf-8")
        return json.loads(file.read_text(encoding="utf-8"))


def _place(corpus: Path) -> Path:
    return BENCH / "engines" / f"{corpus.name}-{code()}"


def _python(module: str, *arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-W", "ignore", "-m", module, *arguments]


def overhead(corpus: Path, seconds: float, turns: int) -> dict[str, Any]:
    """Measure `local` beside the bare kernels, on one core and on two."""
    recipe = fineweb(corpus, corpus / "recipe.yaml")
    _, parts = extracted(corpus)
    place = _place(corpus)
    times = _times(recipe, parts, seconds, place)
    inputs = repeated(parts, times, place / f"x{times}")
    saved = Saved(place / f"x{times}" / "overhead")
    half = len(inputs) // 2
    measures: dict[str, Callable[[Path], dict[str, float]]] = {
        "bare 1": lambda work: _bare(recipe, [inputs], work),
        "local 1": lambda work: _steps(recipe, inputs, 1, work),
        "bare 2": lambda work: _bare(recipe, [inputs[:half], inputs[half:]], work),
        "local 2": lambda work: _steps(recipe, inputs, 2, work),
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in measures}
    for turn in range(turns):  # in turn, so that a busy hour of the machine is everyone's
        for name, measure in measures.items():
            runs[name].append(saved.get(name, turn, measure))
    return {"times": times, "runs": runs, **_medians(runs, {"local 1": "bare 1", "local 2": "bare 2"})}


def _times(recipe: Path, parts: list[Path], seconds: float, place: Path) -> int:
    """How often the documents have to be repeated for `local` to take so long; found once, from two short runs."""
    file = place / f"times-for-{seconds:g}.json"
    if not file.exists():
        once = _work(_steps(recipe, parts, 1, place / "first"))
        more = max(2, round(seconds / once / 4))
        longer = _work(_steps(recipe, repeated(parts, more, place / "calibration"), 1, place / "first"))
        slope = max((longer - once) / (more - 1), longer / more / 4)
        file.write_text(json.dumps(max(1, round((seconds - once) / slope) + 1)), encoding="utf-8")
        shutil.rmtree(place / "calibration")
        shutil.rmtree(place / "first")
    return json.loads(file.read_text(encoding="utf-8"))


def _bare(recipe: Path, halves: list[list[Path]], work: Path) -> dict[str, float]:
    commands = [
        _python("benchmarks.engines.bare", "--recipe", recipe, "--out", work / str(number), *parts)
        for number, parts in enumerate(halves)
    ]
    logs = [work / f"bare-{number}.log" for number in range(len(halves))]
    costs = side_by_side(commands, logs, environment=ONE_THREAD, cwd=ROOT)
    return {
        "seconds": max(cost.seconds for cost in costs),
        "startup": max(cost.seconds - cost.said["seconds"] for cost in costs),
        "cpu_seconds": sum(cost.cpu_seconds for cost in costs),
        "peak_bytes": sum(cost.peak_bytes for cost in costs),
        "documents": sum(cost.said["documents"] for cost in costs),
        "kept": sum(cost.said["kept"] for cost in costs),
    }


def _steps(recipe: Path, parts: list[Path], workers: int, work: Path) -> dict[str, float]:
    shutil.rmtree(work / "steps", ignore_errors=True)
    command = _python("benchmarks.engines.steps", "--recipe", recipe, "--out", work / "steps")
    command += ["--workers", str(workers), *parts]
    cost = watched(command, work / "steps.log", environment=ONE_THREAD, cwd=ROOT)
    return {**_cost(cost), "documents": cost.said["documents"], "kept": cost.said["kept"]}


def _cost(cost: Cost) -> dict[str, float]:
    return {
        "seconds": cost.seconds,
        "startup": cost.said.get("startup", cost.seconds - cost.said["seconds"]),
        "cpu_seconds": cost.cpu_seconds,
        "peak_bytes": cost.peak_bytes,
    }


def engines(
    corpus: Path, names: tuple[str, ...], workers: int, turns: int, kinds: tuple[str, ...], extractor: str | None
) -> dict[str, Any]:
    """Measure a whole build on each engine, with extraction and without."""
    recipe = fineweb(corpus, corpus / f"recipe{'-' + extractor if extractor else ''}.yaml", extractor=extractor)
    store, _ = extracted(corpus)
    result: dict[str, Any] = {}
    for kind in kinds:
        by = f"-{extractor}" if extractor and kind == "with" else ""
        saved = Saved(_place(corpus) / f"build-{kind}-{workers}{by}")
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for turn in range(turns if kind == "without" else 1):  # with extraction a turn takes long and says little
            for name in names:
                given = store if kind == "without" else None
                runs[name].append(
                    saved.get(
                        name, turn, lambda work, name=name, given=given: _build(recipe, given, name, workers, work)
                    )
                )
        result[kind] = {"runs": runs, **_medians(runs, {name: "local" for name in names if name != "local"})}
    return result


def _build(recipe: Path, store: Path | None, engine: str, workers: int, work: Path) -> dict[str, float]:
    command = _python("benchmarks.building", recipe, "--out", work / "run", "--engine", engine)
    command += ["--workers", str(workers)]
    if store is not None:
        shutil.copytree(store, work / "store")
        command += ["--store", work / "store"]
    cost = watched(command, work / "build.log", environment=ONE_THREAD, cwd=ROOT)
    if store is not None and not cost.said["reused"]:
        raise CommandFailed("the extraction was not reused: the code changed since it was made; run again")
    return {**_cost(cost), "work": cost.said["seconds"]}


def _medians(runs: Mapping[str, list[dict[str, float]]], against: Mapping[str, str]) -> dict[str, Any]:
    """Medians of each measurement over the turns, and ratios of seconds: those of each turn, then their median."""
    medians = {
        name: {key: statistics.median(one[key] for one in turns) for key in turns[0]} for name, turns in runs.items()
    }
    ratios: dict[str, dict[str, float]] = {}
    for name, reference in against.items():
        if name in runs and reference in runs:
            pairs = list(zip(runs[name], runs[reference], strict=True))
            ratios[name] = {
                "wall": statistics.median(_work(one) / _work(other) for one, other in pairs),
                "cpu": statistics.median(one["cpu_seconds"] / other["cpu_seconds"] for one, other in pairs),
            }
    return {"medians": medians, "ratios": ratios}


def _work(run: Mapping[str, float]) -> float:
    return run.get("work", run["seconds"] - run["startup"])


def told(result: Mapping[str, Any]) -> str:
    """The result for a reader."""
    lines: list[str] = []
    if "overhead" in result:
        found = result["overhead"]
        documents = found["medians"]["bare 1"]["documents"]
        lines.append(f"overhead of `local`: {documents:,.0f} documents (each {found['times']} times), no extraction")
        lines += _table(found)
    for kind in ("with", "without"):
        if kind in result.get("engines", {}):
            pages, workers = result["pages"], result["workers"]
            lines.append(f"a build of {pages:,} pages on each engine, {workers} workers, {kind} extraction")
            lines += _table(result["engines"][kind])
    return "\n".join(lines)


def _table(found: Mapping[str, Any]) -> list[str]:
    lines = [
        f"  {'':10}{'seconds':>10}{'start-up':>10}{'CPU s':>10}{'peak MiB':>10}{'wall ratio':>12}{'CPU ratio':>11}"
    ]
    for name, one in found["medians"].items():
        ratio = found["ratios"].get(name)
        line = f"  {name:10}{_work(one):10.1f}{one['startup']:10.1f}{one['cpu_seconds']:10.1f}"
        line += f"{one['peak_bytes'] / 2**20:10,.0f}"
        if ratio:
            verdict = "within" if ratio["wall"] <= LIMITS[name] else "beyond"
            line += f"{ratio['wall']:12.3f}{ratio['cpu']:11.3f}  {verdict} {LIMITS[name]:g}"
        lines.append(line)
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("--pages", type=int, default=20_000, help="pages of the corpus (default: 20000)")
    parser.add_argument(
        "--seconds", type=float, default=300, help="what `local` should take on one core (default: 300)"
    )
    parser.add_argument("--turns", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--workers", type=int, default=2, help="workers of the engines (default: 2)")
    parser.add_argument("--part", choices=("overhead", "engines"), help="only this part")
    parser.add_argument("--engine", action="append", choices=("ray", "beam"), help="only this one beside local")
    parser.add_argument("--only", choices=("with", "without"), help="builds only with, or only without extraction")
    parser.add_argument("--extractor", help="what reads pages, to make a build longer (default: the recipe's, auto)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    try:
        corpus = make(asked.pages)
        warm()
        result: dict[str, Any] = {"pages": asked.pages, "workers": asked.workers}
        if asked.part != "engines":
            result["overhead"] = overhead(corpus, asked.seconds, asked.turns)
        if asked.part != "overhead":
            names = ("local", *(asked.engine or ("ray", "beam")))
            kinds = (asked.only,) if asked.only else ("with", "without")
            result["engines"] = engines(corpus, names, asked.workers, asked.turns, kinds, asked.extractor)
    except (CorpusError, CommandFailed, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(result, indent=1) if asked.json else told(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
