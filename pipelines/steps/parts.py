"""Duplicates below and above documents: which step each part of a recipe's `dedup_parts` is."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.recipe_parts import BloomUse, LinesUse, PartUse, SemanticUse
from pipelines.steps import bloom, lines, semantic, substrings
from pipelines.steps.step import Finished, Steps


def after(uses: Sequence[PartUse]) -> list[PartUse]:
    """Return what is looked for after duplicates of whole documents, in the recipe's order."""
    return list(uses)


def run(steps: Steps, use: PartUse, documents: Finished, measured: Finished) -> Finished:
    """Run the step of one part; `measured` has the signals of its documents, and of others."""
    if isinstance(use, LinesUse):
        return lines.run(steps, use, documents)
    if isinstance(use, BloomUse):
        return bloom.run(steps, use, documents)
    if isinstance(use, SemanticUse):
        return semantic.run(steps, use, documents, measured)
    return substrings.run(steps, use, documents)
