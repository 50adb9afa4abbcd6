"""Which column of a table holds what, and the layouts of the tools that people come from."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Column = Annotated[str, Field(min_length=1)]


class Columns(BaseModel):
    """A column for each part of a document; a dot leads into a struct or object ("metadata.url")."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Column = "text"
    id: Annotated[Column | None, Field(description="The record's name in its own data set; kept as metadata.")] = None
    uri: Annotated[Column | None, Field(description="The record's address.")] = None
    language: Annotated[Column | None, Field(description="Kept as metadata: the language is measured.")] = None
    license: Annotated[Column | None, Field(description="An SPDX identifier or a Creative Commons address.")] = None
    date: Annotated[Column | None, Field(description="When the record was fetched.")] = None
    metadata: Annotated[tuple[Column, ...], Field(description="Columns that are kept beside the text.")] = ()

    def named(self) -> dict[str, str]:
        """The single columns that are mapped, by what they hold; without the metadata."""
        said: dict[str, str | None] = self.model_dump(exclude={"metadata"})
        return {part: column for part, column in said.items() if column is not None}


LAYOUTS: Mapping[str, Columns] = {
    # dolma, docs/data-format.md: id, text, source, added, created, version, metadata; attributes lie in other files.
    "dolma": Columns(
        id="id",
        uri="metadata.url",
        license="metadata.license",
        date="added",
        metadata=("source", "created", "version", "metadata"),
    ),
    # datatrove, pipeline/writers/disk_base.py `_default_adapter`: text, id, media, metadata.
    "datatrove": Columns(
        id="id",
        uri="metadata.url",
        language="metadata.language",
        license="metadata.license",
        date="metadata.date",
        metadata=("metadata",),
    ),
    # huggingface.co/datasets/HuggingFaceFW/fineweb (and fineweb-edu, fineweb-2): datatrove's metadata as columns.
    "fineweb": Columns(
        id="id",
        uri="url",
        language="language",
        date="date",
        metadata=("dump", "file_path", "language_score", "language_script", "score", "int_score"),
    ),
}
"""Layouts by name. Their columns other than `text` are read where they are there."""


def missing(column: str, known: Collection[str]) -> str:
    """What to say of a column that is not there: the nearest ones that are."""
    lower = {name.lower(): name for name in known}
    near = [lower[name] for name in difflib.get_close_matches(column.lower(), lower, 3, 0.6)]
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"no column {column!r} among {', '.join(sorted(known)[:20]) or 'none'}{hint}"
