"""Duplicates below and above documents: which step each part of a recipe's `dedup_parts` is."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.recipe_parts import (
    BloomUse,
    FilesUse,
    LinesUse,
    PartUse,
    RepositoriesUse,
    SemanticUse,
)
from pipelines.steps import bloom, files, lines, repositories, semantic, substrings
from pipelines.steps.step import Finished, Steps


def before(uses: Sequence[PartUse]) -> list[PartUse]:
    """Return what is looked for before duplicates of documents: repositories, while their files are all there."""
    return [use for use in uses if isinstance(use, RepositoriesUse)]


def after(uses: Sequence[PartUse]) -> list[PartUse]:
    """Return what is looked for after duplicates of documents, in the recipe's order."""
    return [use for use in uses if not isinstance(use, RepositoriesUse)]


def run(steps: Steps, use: PartUse, documents: Finished, measured: Finished) -> Finished:
    """Run the step of one part; `measured` has the signals of its documents, and of others."""
    if isinstance(use, LinesUse):
        return lines.run(steps, use, documents)
    if isinstance(use, BloomUse):
        return bloom.run(steps, use, documents)
    if isinstance(use, SemanticUse):
        return semantic.run(steps, use, documents, measured)
    if isinstance(use, FilesUse):
        return files.run(steps, use, documents)
    if isinstance(use, RepositoriesUse):
        return repositories.run(steps, use, documents)
    return substrings.run(steps, use, documents)
