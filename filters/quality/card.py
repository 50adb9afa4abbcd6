"""Cards of quality models: what a model is, what it was made of, how good it was on data held out, who may use it.

A card is a JSON file beside the model's files and names the SHA-256 of each. A recipe names the card and its SHA-256,
which therefore stands for every byte of the model: nothing of it can change unseen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

__all__ = ["BINS", "Card", "Data", "Member", "QualityModelError", "checked", "digest", "read_card", "write_card"]

BINS: Final = 20
"""Ranks of an ensemble, 0 to 19 (Nemotron-CC, arXiv 2412.02595, section 2.2)."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class QualityModelError(ValueError):
    """A model of quality that cannot be used; the message names the file, what was found and what to do."""


class Part(BaseModel):
    """A part of a card: unknown fields are mistakes, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Part):
    """What a model was trained on: a digest of the file, and how many rows were learned from and held out."""

    file: str
    sha256: Digest
    rows: int
    trained: int
    held_out: int
    positives: int | None = None
    groups: int | None = None


class Member(Part):
    """A model of an ensemble: its card, relative to the ensemble's, and the lower bounds of ranks 1 to 19."""

    card: str
    sha256: Digest
    bounds: tuple[float, ...] = Field(min_length=BINS - 1, max_length=BINS - 1)


class Card(Part):
    """A quality model.

    Attributes:
        name: of its signal, ``quality.NAME``.
        kind: ``ngram`` (a linear model over words and their n-grams), ``encoder`` (a linear head on embeddings), or
            ``ensemble`` (ranks of others, the highest of them).
        files: SHA-256 of each file of the model, by its path relative to the card.
        low: least score.
        high: highest score.
        licence: of the model's file, as an SPDX expression or in words.
        data: what it was trained on; None where that is not known.
        training: method and options, as the command took them.
        metrics: on what was held out.
        members: of an ensemble, by name.
    """

    format: Literal["pomona-quality-1"] = "pomona-quality-1"
    name: Name
    kind: Literal["ngram", "encoder", "ensemble"]
    about: str = ""
    files: Mapping[str, Digest] = {}
    low: float = 0.0
    high: float = 1.0
    licence: str
    data: Data | None = None
    training: Mapping[str, Any] = {}
    metrics: Mapping[str, float] = {}
    members: Mapping[Name, Member] = {}

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.kind == "ensemble") != bool(self.members) or bool(self.files) == bool(self.members):
            raise ValueError("an ensemble has members and no files; a model has files and no members")
        if "bin" in (self.name, *self.members):
            raise ValueError("the name 'bin' is taken by the ensemble's rank")
        return self

    @property
    def signals(self) -> dict[str, str]:
        """The signals that it is asked for as, and what each says."""
        if not self.members:
            return {self.name: f"score by {self.kind} model, {self.low:g} to {self.high:g}"}
        named: dict[str, str] = {}
        for member in self.members:
            named[member] = f"score by the model {member}"
            named[f"{member}_bin"] = f"its rank among a sample's, 0 to {BINS - 1}"
        return {**named, "bin": f"highest rank, 0 to {BINS - 1}"}


def read_card(path: Path) -> Card:
    """Read a card.

    Raises:
        FileNotFoundError: there is none.
        QualityModelError: it is no card.
    """
    advice = "`pomona quality train LABELS.parquet --out FOLDER` makes a model and its card"
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f"quality: there is no card {path}; {advice}") from None
    except ValueError as error:
        raise QualityModelError(
            f"quality: {path}: found no JSON ({error}), expected a model's card; {advice}"
        ) from error
    try:
        return Card.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the card"
        raise QualityModelError(
            f"quality: {path}: {where}: {first['msg']}, found {str(first['input'])[:80]!r}; {advice}"
        ) from error


def checked(path: Path) -> Card:
    """Read a card and compare every file that it names, those of an ensemble's members too.

    Raises:
        FileNotFoundError: a file is missing.
        QualityModelError: the card is none, or a file has changed.
    """
    card = read_card(path)
    for name, expected in card.files.items():
        _compare(path.parent / name, expected, path)
    for member in card.members.values():
        other = path.parent / member.card
        _compare(other, member.sha256, path)
        if checked(other).members:
            raise QualityModelError(f"quality: {path}: its member {member.card} is an ensemble, expected a model")
    return card


def write_card(path: Path, card: Card) -> str:
    """Write a card; return its SHA-256, which a recipe names."""
    path.write_text(json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return digest(path)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compare(file: Path, expected: str, card: Path) -> None:
    if not file.is_file():
        raise FileNotFoundError(f"quality: there is no file {file}, which the card {card} names; put it back")
    if (found := digest(file)) != expected:
        raise QualityModelError(
            f"quality: {file} has changed: found SHA-256 {found}, expected {expected} by the card {card}; put the"
            " right file back, or train again"
        )
