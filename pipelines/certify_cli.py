"""`pomona certify`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

EPILOG = "Example: pomona certify runs/sample --benchmark human-eval"


def certify(
    mixture: Annotated[
        str, typer.Argument(help="A mixture: a run's folder, its `mixture`, or one stage in it.", show_default=False)
    ],
    benchmark: Annotated[
        list[str],
        typer.Option(help="A JSONL or Parquet file, a folder of `datasets`, a package, or YAML as in a recipe."),
    ],
    field: Annotated[
        list[str] | None, typer.Option(help="Which field of a file holds an item's, such as `question=prompt`.")
    ] = None,
    method: Annotated[str, typer.Option(help="default, afm, gpt3, llama, qwen2 or decon.")] = "default",
    samples: Annotated[int, typer.Option(min=0, help="Passages to show.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")] = False,
) -> None:
    """Check a mixture against benchmarks without building it again. Exit code 0: none found; 1: items were found."""
    from rich.console import Console

    from pipelines import certify as checks
    from pipelines.certify_text import render

    found = checks.certify(mixture, benchmark, field or (), method, samples)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        render(found, Console(highlight=False))
    raise typer.Exit(1 if found["documents_hit"] else 0)
