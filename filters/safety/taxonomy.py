"""The taxonomy: 12 categories and 51 subcategories, and how each is judged (``taxonomy.yaml``).

Apple's report (arXiv 2407.21075, section 7) counts as many and names five; those five are under its names. The other
seven categories and all subcategories are ours.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Category", "Subcategory", "categories", "taxonomy"]

Judge = Literal["classifier", "list", "domains"]


class Subcategory(BaseModel):
    """A part of a category."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    covers: str
    judged: tuple[Judge, ...] = ()
    """What may find it; by nothing where empty: it is named so that nobody believes it is looked for."""
    measured: bool = False
    """Whether labelled texts of this very subcategory are among those that the figures are from."""


class Category(BaseModel):
    """A category, which is one column of ``filters.safety.measure``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    named_by: Literal["AFM", "Pomona"]
    covers: str
    measured: bool
    labels: str = Field(description="the labelled texts that stand for it; empty where there are none")
    domains: tuple[str, ...] = Field(default=(), description="lists of UT1 that are about it")
    subcategories: tuple[Subcategory, ...]


@cache
def taxonomy() -> tuple[Category, ...]:
    """The categories in the order of the columns."""
    with files("filters.safety").joinpath("taxonomy.yaml").open(encoding="utf-8") as stream:
        return tuple(Category.model_validate(one) for one in yaml.safe_load(stream)["categories"])


def categories() -> tuple[str, ...]:
    """The names of the categories, which are the columns."""
    return tuple(one.name for one in taxonomy())
