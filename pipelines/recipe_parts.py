"""What a recipe says of duplicates below and above documents: one model a type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "BloomUse",
    "FilesUse",
    "LinesUse",
    "ParagraphsUse",
    "PartUse",
    "RepositoriesUse",
    "Scoped",
    "SemanticUse",
    "SubstringsUse",
]


class Scoped(BaseModel):
    """Which documents a method looks at, and whose copies stay.

    `kinds`, `sources` and `languages` restrict; empty means all. The others pass as they are, and count for nothing.
    `prefer` names sources whose copies stay, the best first; those not named come after them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    prefer: tuple[str, ...] = ()


class LinesUse(Scoped):
    """Lines that the corpus repeats.

    `preset` "ccnet" leaves the first of each, "llama3" drops all that occur more than 6 times in 30 million documents;
    the other fields change it (see `dedup.lines`). `scale` takes `most` for a full bucket and lowers it in proportion
    where a bucket has fewer documents, never below 1.
    """

    type: Literal["lines"] = "lines"
    preset: Literal["ccnet", "llama3"] = "ccnet"
    normalise: Literal["ccnet", "none"] | None = None
    most: Annotated[int | None, Field(ge=1)] = None
    keep: Literal["first", "none"] | None = None
    bucket: Annotated[int | None, Field(ge=0)] = None
    min_chars: Annotated[int, Field(ge=1)] = 10
    scale: bool = False

    @property
    def changes(self) -> Mapping[str, Any]:
        """The fields of the preset that are changed."""
        given = {name: getattr(self, name) for name in ("normalise", "most", "keep", "bucket")}
        return {name: value for name, value in given.items() if value is not None}


class ParagraphsUse(LinesUse):
    """Paragraphs that the corpus repeats: what empty lines part."""

    type: Literal["paragraphs"] = "paragraphs"  # type: ignore[assignment]


class SubstringsUse(Scoped):
    """Passages of at least `min_tokens` tokens that occur before, word for word (see `dedup.substrings`)."""

    type: Literal["substrings"] = "substrings"
    min_tokens: Annotated[int, Field(ge=10, le=10_000)] = 50
    profile: Literal["formal", "words"] = "formal"


class BloomUse(Scoped):
    """Paragraphs and documents whose n-grams were seen before, by a Bloom filter, as DCLM does (see `dedup.bloom`).

    The filter is sized for the n-grams of the input, which are counted first, or for `ngrams` where that is given; then
    `when_full` says what happens once it errs twice as often as wished. `groups` of documents have a filter each.
    """

    type: Literal["bloom"] = "bloom"
    ngram: Annotated[int, Field(ge=1, le=1000)] = 13
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.8
    false_positive_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    level: Literal["paragraph", "document", "both"] = "both"
    ngrams: Annotated[int | None, Field(ge=1)] = None
    when_full: Literal["stop", "tell"] = "stop"
    groups: Annotated[int, Field(ge=1)] = 1
    memory_gb: Annotated[float, Field(gt=0)] = 4.0


class SemanticUse(Scoped):
    """Documents that say the same, by their embeddings (see `dedup.semantic`).

    Embeddings are a column `embedding` (a list of numbers) beside `id` in Parquet files, or made by an `encoder`. What
    stays is chosen by `prefer`, then by the product of the signals `quality` and `difficulty` (where they are given;
    the greatest stays), then by id. A cluster of more than `largest` documents is divided.
    """

    type: Literal["semantic"] = "semantic"
    embeddings: tuple[Path, ...] = ()
    encoder: str | None = None
    quality: str | None = None
    difficulty: str | None = None
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.95
    clusters: Annotated[int, Field(ge=0)] = 0
    sample: Annotated[int, Field(ge=1)] = 100_000
    rounds: Annotated[int, Field(ge=1, le=1000)] = 10
    seed: Annotated[int, Field(ge=0)] = 0
    largest: Annotated[int, Field(ge=2)] = 4096

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if bool(self.embeddings) == (self.encoder is not None):
            raise ValueError("give either 'embeddings' or 'encoder', not both and not neither")
        return self


class FilesUse(Scoped):
    """Source files whose content is that of another, white space apart; the one of most stars stays."""

    type: Literal["files"] = "files"
    kinds: tuple[str, ...] = ("code",)


class RepositoriesUse(Scoped):
    """Repositories that are mostly the same files, forks above all; looked for before duplicates of documents.

    Of those whose sets of files have a Jaccard similarity of `threshold` or more the one of most stars stays, then of
    most commits (as their records' metadata say), then most files, then the first name. Those of fewer than `min_files`
    different files are left alone. `prefer` does not apply.
    """

    type: Literal["repositories"] = "repositories"
    kinds: tuple[str, ...] = ("code",)
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    min_files: Annotated[int, Field(ge=1)] = 3


PartUse = Annotated[
    LinesUse | ParagraphsUse | SubstringsUse | BloomUse | SemanticUse | FilesUse | RepositoriesUse,
    Field(discriminator="type"),
]
