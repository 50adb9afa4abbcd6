"""Signals ``safety``: how much of a text is hate, violence, adult material and nine more, by category, 0 to 1.

0.5 or more means flagged. Each category is the larger of what its classifier says (``model.py``) and what its list
says (``lists.py``); ``taxonomy.yaml`` says which has which, and what was measured of it. What addresses say is
measured apart (``domains.py``), as it is no property of a text. A head on a sentence encoder's embeddings
(``encoder.py``) can stand in place of the classifiers: its card is the reference of the family.

    filters.safety.measure(pa.array(["some text"]))["hate_speech"]

The preset ``safety`` drops what is flagged. Its bounds are the flag itself; which of them a corpus wants is another
question: documents that are dropped for safety are also what a model could learn to refuse from (``action: tag``),
and single sentences can be blanked in place of the document (``safety_sentences``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.batch import Batch
from filters.family import Family, Measure
from filters.rule import Rule
from filters.safety.lists import list_scores
from filters.safety.model import probabilities
from filters.safety.taxonomy import Category, Subcategory, categories, taxonomy
from kernels.sentence_spans import sentence_spans

__all__ = ["FAMILY", "FLAGGED", "RULES", "Category", "Subcategory", "categories", "measure", "taxonomy"]

FLAGGED: Final = 0.5
"""The value from which on a text is flagged."""

_NOTHING: Final[Mapping[str, NDArray[np.float64]]] = MappingProxyType({})


def measure(text: pa.Array[Any] | pa.ChunkedArray[Any]) -> pa.Table:
    """Measure texts.

    Args:
        text: strings; a null counts as an empty text.

    Returns:
        One row a text, in order; one float64 column a category, named as in ``categories()``, the first
        ``hate_speech``; 0 to 1, 0.5 or more means flagged. A text without words is 0 throughout.
    """
    import filters

    found = filters.measure(text, ["safety"])
    return found.rename_columns([name.partition(".")[2] for name in found.column_names])


def _measure(batch: Batch, instead: Mapping[str, NDArray[np.float64]] = _NOTHING) -> Mapping[str, NDArray[Any]]:
    found = {name: np.zeros(len(batch)) for name in categories()}
    sentences = sentence_spans(batch.texts, batch.found)
    for values in ({**probabilities(batch, sentences), **instead}, list_scores(batch, sentences)):
        for name, column in values.items():
            found[name] = np.maximum(found[name], column)
    return found


def _with_encoder(card: Path) -> Measure:
    from filters.safety.encoder import opened

    asked = opened(card)
    return lambda batch: _measure(batch, asked(batch))


def _check(card: Path) -> None:
    from filters.safety.encoder import check

    check(card)


def _libraries(card: Path) -> tuple[str, ...]:
    from filters.safety.encoder import libraries

    return libraries(card)


FAMILY = Family(
    "safety",
    {one.name: one.covers for one in taxonomy()},
    _measure,
    with_reference=_with_encoder,
    check=_check,
    reference_libraries=_libraries,
    pinned=True,
)

RULES = tuple(
    Rule(name=f"safety-{name.replace('_', '-')}", signal=f"safety.{name}", max=float(np.nextafter(FLAGGED, 0)))
    for name in categories()
)
