"""Measure how cost grows, plan from it, and write docs/scale.md."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.corpus.pages import CorpusError
from benchmarks.environments import ROOT
from benchmarks.scale import page
from benchmarks.scale.plan import Asked, planned
from benchmarks.watch import CommandFailed

RESULT = Path(__file__).parent / "result.json"
PAGE = ROOT / "docs" / "scale.md"


def write(result: dict[str, Any], asked: Asked) -> None:
    """Write the figures and the tables of the page."""
    page.figures(result, PAGE.parent / "images")
    sections = {"growth": page.growth(result), "plan": page.told(planned(result, asked))}
    PAGE.write_text(page.rewritten(PAGE.read_text(encoding="utf-8"), sections), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("run", "plan", "page"), default="run")
    parser.add_argument("--base", type=int, default=2000, help="pages of the smallest corpus (default: 2000)")
    parser.add_argument("--factors", default="1,3,10", help="sizes as multiples of it (default: 1,3,10)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="measure again what was measured before")
    parser.add_argument(
        "--keep-page", action="store_true", help="print only; leave result.json and docs/scale.md alone"
    )
    parser.add_argument("--result", type=Path, default=RESULT, help="measured rates (default: result.json beside this)")
    parser.add_argument("--tokens", type=float, default=Asked.tokens)
    parser.add_argument("--price-per-core-hour", type=float, default=Asked.price)
    parser.add_argument("--cores", type=int, default=Asked.cores)
    parser.add_argument("--cores-per-machine", type=int, default=Asked.cores_a_machine)
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    wanted = Asked(asked.tokens, asked.price_per_core_hour, asked.cores, asked.cores_per_machine)
    try:
        if asked.what == "run":
            from benchmarks.scale.measure import measure

            sizes = [asked.base * int(factor) for factor in asked.factors.split(",")]
            result = measure(sizes, asked.workers, fresh=asked.fresh)
            if not asked.keep_page:
                asked.result.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        else:
            result = json.loads(asked.result.read_text(encoding="utf-8"))
        plan = planned(result, wanted)
        if asked.what != "plan" and not asked.keep_page:
            write(result, wanted)
    except (CorpusError, CommandFailed, FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    if asked.json:
        print(json.dumps({"result": result, "plan": dataclasses.asdict(plan)}, indent=1))
    else:
        print("" if asked.what == "plan" else page.growth(result) + "\n")
        print(page.told(plan))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
