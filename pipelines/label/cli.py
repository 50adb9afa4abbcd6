"""`pomona label`: have a language model grade texts, for `pomona quality train`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

EPILOG = "Example: pomona label pages.parquet --endpoint http://localhost:8000/v1 --model qwen --out labels.parquet"


def label(
    texts: Annotated[Path, typer.Argument(help="Parquet with a column `text`, or a folder of such files.")],
    out: Annotated[Path, typer.Option(help="Parquet file of labels to write.")],
    endpoint: Annotated[str | None, typer.Option(help="Address that speaks OpenAI's protocol, up to /v1.")] = None,
    model: Annotated[str | None, typer.Option(help="The model's name at the endpoint.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Ask this trained model instead of an endpoint.")] = None,
    prompt: Annotated[
        Path | None, typer.Option(help="File with another wording; {text} is where the text goes.")
    ] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Grade so many texts. [default: all]")] = None,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    max_requests: Annotated[int | None, typer.Option(min=0, help="Ask no more questions than this.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=0, help="Ask no more once so many tokens were used.")] = None,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Questions on their way at once.")] = 4,
    retries: Annotated[int, typer.Option(min=0, help="Times that a question is asked again.")] = 5,
    characters: Annotated[int, typer.Option(min=1, help="Shown of each text.")] = 6000,
    key_env: Annotated[str, typer.Option(help="Environment variable that holds the key.")] = "OPENAI_API_KEY",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")] = False,
) -> None:
    """Grade texts from 0 to 5 by a language model. A stopped command goes on where it was; no answer is asked twice."""
    from pipelines.label.graders import Checkpoint, Endpoint, Grader
    from pipelines.label.grading import read_prompt
    from pipelines.label.label import Budget, read_texts
    from pipelines.label.label import label as grade
    from pipelines.recipe_errors import RecipeError

    if (endpoint is None) == (checkpoint is None) or (endpoint is not None and model is None):
        raise RecipeError(["give either --endpoint with --model, or --checkpoint"])
    wording, table = read_prompt(prompt), read_texts(texts, sample, seed)
    grader: Grader
    if checkpoint is not None:
        grader, parallel = Checkpoint(checkpoint, name=model or ""), 1
    else:
        grader = Endpoint(endpoint or "", model or "", key_env, retries=retries)
    with Progress(console=Console(stderr=True), disable=as_json) as bars:
        task = bars.add_task("graded", total=None)
        sums = grade(
            table,
            grader,
            wording,
            out,
            budget=Budget(max_requests, max_tokens),
            parallel=parallel,
            characters=characters,
            told=lambda done, total: bars.update(task, completed=done, total=total),
        )
    if as_json:
        print(json.dumps({"labels": str(out), **asdict(sums)}))
    else:
        print(f"{sums.texts} texts: {sums.graded} graded, {sums.failed} failed, {sums.not_asked} not asked")
        print("\n".join(f"{count:>8}  score {score}" for score, count in sums.scores.items()))
        print("\n".join(f"{count:>8}  {reason}" for reason, count in sums.reasons.items()))
        print(f"labels  {out}")
    if sums.texts and not sums.graded:
        raise typer.Exit(1)
