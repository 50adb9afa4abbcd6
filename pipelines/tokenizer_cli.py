"""`pomona tokenizer`: what a tokenizer spends on each language, and SentencePiece models as tokenizer.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="Report what a tokenizer spends on each language; take over SentencePiece models.",
    epilog="Example: pomona tokenizer report runs/sample",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")]


@app.command(epilog="Example: pomona tokenizer report runs/sample --stage core")
def report(
    what: Annotated[Path, typer.Argument(help="A run, or a tokenizer.json.")],
    stage: Annotated[str | None, typer.Option(help="Of the run. [default: its first]")] = None,
    texts: Annotated[
        Path | None, typer.Option(help="For a tokenizer.json: Parquet or JSON Lines with `text`, perhaps `language`.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell tokens per word, bytes per token and documents that do not come back, by language."""
    from pipelines.fertility import of_file, of_run
    from pipelines.recipe_errors import RecipeError

    if what.is_file():
        if texts is None or stage is not None:
            raise RecipeError([f"{what} is a file: give --texts FILE with it, and no --stage"])
        rows = of_file(what, texts)
    else:
        if texts is not None:
            raise RecipeError([f"--texts goes with a tokenizer.json, but {what} is no file"])
        rows = of_run(what, stage)
    if as_json:
        derived = [
            {"tokens_per_word": round(row.tokens_per_word, 4), "bytes_per_token": round(row.bytes_per_token, 4)}
            for row in rows
        ]
        print(json.dumps([row._asdict() | more for row, more in zip(rows, derived, strict=True)]))
        return
    print(f"{'language':<10}{'documents':>11}{'tokens':>14}{'tokens/word':>13}{'bytes/token':>13}{'lossy':>8}")
    for row in rows:
        print(
            f"{row.language:<10}{row.documents:>11,}{row.tokens:>14,}{row.tokens_per_word:>13.2f}"
            f"{row.bytes_per_token:>13.2f}{row.lossy:>8,}"
        )


@app.command("import", epilog="Example: pomona tokenizer import llama.model --out tokenizer.json")
def import_(
    model: Annotated[Path, typer.Argument(help="A SentencePiece model of type BPE.")],
    out: Annotated[Path, typer.Option(help="The tokenizer.json to write.")],
    as_json: Json = False,
) -> None:
    """Write a SentencePiece BPE model as a tokenizer.json, for `tokenizer: {file: ...}`."""
    from pipelines.recipe_errors import RecipeError
    from pipelines.sentencepiece_model import converted
    from pipelines.storage import read_bytes, sha256, write_bytes

    if not model.is_file():
        raise RecipeError([f"MODEL {model}: no such file"])
    try:
        made = converted(read_bytes(model))
    except ValueError as error:
        raise RecipeError([f"{model}: {error}"]) from error
    write_bytes(out, made.to_str().encode())
    told = {"path": str(out), "sha256": sha256(out), "tokens": made.get_vocab_size()}
    print(json.dumps(told) if as_json else f"{told['tokens']:,} tokens\nrecipe  tokenizer: {{file: {out}}}")
