"""What a mixture says of its decontamination: benchmarks with digests, method, sums, items found, measured recall."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.ledger import Account
from pipelines.recipe import Decontaminate

PAGES = 200
"""Documents of the corpus that items are planted in."""
MATCHED = 1000
"""Items found that a certificate names, those in most documents first; the step's output `matched` has all."""


def made(
    index: Any,
    benchmarks: Sequence[Any],
    settings: Decontaminate,
    account: Account,
    matched: pa.Table,
    common: int,
    pages: Sequence[str],
) -> dict[str, Any]:
    """Make the certificate of a run's decontamination.

    Args:
        index: `decontam.Index` that was scanned with, None where the recipe names no benchmark.
        benchmarks: those in it.
        settings: of the recipe.
        account: the step's sums.
        matched: items found (`decontaminate.MATCHED_SCHEMA`).
        common: n-grams set aside as in common use.
        pages: texts of the corpus, to measure recall in.
    """
    if index is None:
        return {"checked": False, "why": "the recipe names no benchmark"}
    return {
        "checked": True,
        "method": index.method.model_dump(),
        "action": settings.model_dump(include={"action", "margin", "most_cuts", "least_left"}),
        "common": {"documents": settings.common, "ngrams": common},
        "documents": account.as_dict(),
        "benchmarks": listed(index, matched),
        "items_found": matched.num_rows,
        "found": found(matched),
        "recall": measured(index, benchmarks, pages, settings.recall),
    }


def listed(index: Any, matched: pa.Table) -> list[dict[str, Any]]:
    """Return each benchmark with its digest, its items, and how many of these cannot be checked or were found.

    `with_solution` counts the items that are found together with their solution, answer or tests alone.
    """
    blind = dict(_counted(index.not_checkable))
    solved = Counter(name for name, _ in index.with_solution)
    seen = dict(_counted(matched))
    return [
        {
            **one,
            "not_checkable": blind.get(one["name"], 0),
            "with_solution": solved[one["name"]],
            "found": seen.get(one["name"], 0),
        }
        for one in index.benchmarks.to_pylist()
    ]


def found(matched: pa.Table) -> list[dict[str, Any]]:
    """Return the items found in most documents."""
    order = [("documents", "descending"), ("benchmark", "ascending"), ("item", "ascending")]
    return matched.drop_columns(["key"]).sort_by(order).slice(0, MATCHED).to_pylist()


def measured(index: Any, benchmarks: Sequence[Any], pages: Sequence[str], items: int) -> dict[str, Any] | None:
    """Plant items in pages and scan; None where no item was asked for or can be checked."""
    from decontam.recall import chosen, recall

    planted = chosen(index, benchmarks, items) if items and pages else []
    if not planted:
        return None
    forms = {
        form: {"planted": one.planted, "found": one.found, "recall": round(one.share, 4)}
        for form, one in recall(index, planted, pages).items()
    }
    return {"items": len(planted), "pages": len(pages), "forms": forms}


def _counted(table: pa.Table) -> list[tuple[str, int]]:
    counts: Any = pc.value_counts(table["benchmark"])
    return [(one["values"], one["counts"]) for one in counts.to_pylist()]
