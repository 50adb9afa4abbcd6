"""The trainer's commands, and the functions behind them. torch is imported when a command runs, not before."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from trainer.errors import RequestError, TrainerError
from trainer.recipe import TrainConfig

if TYPE_CHECKING:
    from trainer.summary import Generated, Summary

app = typer.Typer(
    name="trainer", no_args_is_help=True, add_completion=False, help="Train language models on a mixture."
)


def train(
    run: Path,
    config: TrainConfig,
    stages: Sequence[str] | None = None,
    out: Path | None = None,
    resume: bool = True,
    *,
    console: Console | None = None,
) -> Summary:
    """Train on a run folder's tokens; see `trainer.training.train`."""
    from trainer.training import train as run_training

    return run_training(run, config, stages, out, resume, console=console)


def generate(
    checkpoint: Path,
    prompt: str,
    *,
    tokens: int = 100,
    temperature: float = 0.8,
    top_p: float = 0.95,
    seed: int = 0,
    device: str = "auto",
) -> Generated:
    """Continue a text with a saved model; see `trainer.generate.generate`."""
    from trainer.generate import generate as run_generation

    return run_generation(
        checkpoint, prompt, tokens=tokens, temperature=temperature, top_p=top_p, seed=seed, device=device
    )


def evaluate(
    checkpoint: Path,
    tokens: Path,
    *,
    sequence_length: int | None = None,
    batch_size: int = 8,
    max_tokens: int | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Held-out loss (nats a token) of a saved model over a token folder such as `RUN/tokens/heldout`.

    `sequence_length` defaults to the model's longest. Returns checkpoint, tokens (folder), sequence_length,
    read_tokens and loss.

    Raises:
        CheckpointError, DataError: model or tokens cannot be read, or were made with different tokenizers' vocabulary
        sizes.
    """
    from trainer.checkpoint import load_model
    from trainer.device import resolve_device
    from trainer.heldout import HeldOut

    model = load_model(checkpoint, resolve_device(device))
    length = sequence_length or model.config.max_sequence_length
    heldout = HeldOut(tokens, sequence_length=length, batch_size=batch_size, max_tokens=max_tokens)
    vocabulary = heldout.loader.stage.manifest.vocab_size
    if vocabulary > model.config.vocab_size:
        raise RequestError(
            f"{tokens}: tokens of a vocabulary of {vocabulary}, but the model has {model.config.vocab_size}"
        )
    return {
        "checkpoint": str(checkpoint),
        "tokens": str(tokens),
        "sequence_length": length,
        "read_tokens": heldout.tokens,
        "loss": heldout.loss(model),
    }


def read_config(recipe: Path) -> TrainConfig:
    """The `train:` section of a recipe file.

    Raises:
        RequestError: the file is missing, is not YAML, has no such section, or the section is wrong (every field is
        listed).
    """
    import yaml

    try:
        raw = yaml.safe_load(recipe.read_text("utf-8"))
    except FileNotFoundError as error:
        raise RequestError(f"{recipe}: no such recipe") from error
    except yaml.YAMLError as error:
        raise RequestError(f"{recipe}: not valid YAML: {error}") from error
    if not isinstance(raw, dict) or "train" not in raw:
        raise RequestError(f"{recipe}: has no train: section")
    try:
        return TrainConfig.model_validate(raw["train"])
    except ValidationError as error:
        lines = [
            f"  {'.'.join(['train', *map(str, item['loc'])])}: {item['msg']} (found {item['input']!r})"
            for item in error.errors(include_url=False)
        ]
        raise RequestError(f"{recipe}: the train: section is wrong:\n" + "\n".join(lines)) from error


def _stop(error: TrainerError) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(2 if isinstance(error, RequestError) else 1)


_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
_Device = Annotated[str, typer.Option(help="auto, cpu or cuda[:N].")]


@app.command("train")
def train_command(
    recipe: Annotated[Path, typer.Argument(help="Recipe with a train: section.")],
    run: Annotated[Path, typer.Option(help="Run folder that holds tokens/ and tokenizer/.")],
    stage: Annotated[list[str] | None, typer.Option(help="Only this stage (repeatable).")] = None,
    out: Annotated[Path | None, typer.Option(help="Results; default RUN/train.")] = None,
    resume: Annotated[bool, typer.Option(help="Continue from the last checkpoint.")] = True,
    as_json: _Json = False,
) -> None:
    """Train the stages of a recipe.

    Example: python -m trainer train recipes/sample.yaml --run runs/sample
    """
    try:
        summary = train(run, read_config(recipe), stage, out, resume, console=Console(stderr=True, quiet=as_json))
    except TrainerError as error:
        raise _stop(error) from error
    if as_json:
        typer.echo(summary.model_dump_json())


@app.command("generate")
def generate_command(
    checkpoint: Annotated[Path, typer.Argument(help="Model folder or checkpoint.")],
    prompt: Annotated[str, typer.Option(help="Text to continue; - reads standard input.")],
    tokens: Annotated[int, typer.Option(min=1, help="At most so many tokens.")] = 100,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.8,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, help="Nucleus.")] = 0.95,
    seed: int = 0,
    device: _Device = "auto",
    as_json: _Json = False,
) -> None:
    """Continue a text.

    Example: python -m trainer generate runs/sample/train/model --prompt "import os"
    """
    text = sys.stdin.read() if prompt == "-" else prompt
    try:
        result = generate(
            checkpoint, text, tokens=tokens, temperature=temperature, top_p=top_p, seed=seed, device=device
        )
    except TrainerError as error:
        raise _stop(error) from error
    typer.echo(result.model_dump_json() if as_json else result.prompt + result.text)


@app.command("eval")
def eval_command(
    checkpoint: Annotated[Path, typer.Argument(help="Model folder or checkpoint.")],
    tokens: Annotated[Path, typer.Option(help="Token folder, e.g. RUN/tokens/heldout.")],
    sequence_length: Annotated[int | None, typer.Option(min=1, help="Default: the model's longest.")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 8,
    max_tokens: Annotated[int | None, typer.Option(min=1)] = None,
    device: _Device = "auto",
    as_json: _Json = False,
) -> None:
    """Held-out loss of a model.

    Example: python -m trainer eval runs/sample/train/model --tokens runs/sample/tokens/heldout
    """
    try:
        result = evaluate(
            checkpoint,
            tokens,
            sequence_length=sequence_length,
            batch_size=batch_size,
            max_tokens=max_tokens,
            device=device,
        )
    except TrainerError as error:
        raise _stop(error) from error
    typer.echo(
        json.dumps(result) if as_json else f"loss {result['loss']:.4f} nats a token over {result['read_tokens']} tokens"
    )
