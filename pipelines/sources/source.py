"""The fields that every source of a recipe has."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class SourceFields(BaseModel):
    """Base of the sources' configurations: unknown fields are mistakes, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9][a-z0-9_.-]*$",
            max_length=64,
            description="The source's name in ids, ledger rows and weights.",
        ),
    ]
