"""The fields that every source of a recipe has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator

from pipelines import storage


def _place(value: Any) -> Path:
    if not isinstance(value, str | Path) and not hasattr(value, "path"):
        raise ValueError(f"expected a path or an address, found {value!r}")
    try:
        return storage.at(value)
    except storage.StorageError as error:
        raise ValueError(str(error)) from error


Location = Annotated[Path, PlainValidator(_place), PlainSerializer(str, when_used="json")]
"""A file or folder, on this machine or at an address such as `s3://bucket/folder`."""


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
