"""Adaptive bounds: percentiles of a reference corpus, language by language.

FineWeb-2 (arXiv 2506.20920, section 3.3) sets its filters' thresholds from each language's own distribution on a
reference corpus; among its methods is a fixed percentile. The reference is a source of the recipe, so that it is
measured as everything else is, line rules included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.recipe import Adaptive
from pipelines.steps.step import Finished, RunFailed
from pipelines.storage import read_table

LANGUAGE = "language.language"


class References:
    """The signals of reference sources, read from the finished measuring when first asked for, and once."""

    def __init__(self, extracted: Sequence[Finished], measured: Finished) -> None:
        self._extracted = {done.source: done for done in extracted}
        self._measured = measured
        self._read: dict[tuple[str, str], Mapping[str, np.ndarray]] = {}

    def __call__(self, signal: str, bound: Adaptive) -> Mapping[str, float]:
        """Return the percentile of a signal for each language with at least `bound.least` documents in the reference.

        It is a value that was measured (the smallest with at least that share of the documents at or below it), so that
        no rounding of an interpolation can show. In a dry run whose measuring is not done there is none. Raises
        RunFailed where the reference has no document at all.
        """
        if self._measured.planned:
            return {}
        values = self._values(bound.of, signal)
        if not values:
            raise RunFailed(
                f"filters.rules: the reference {bound.of!r} has no document with the signal {signal}, so that no "
                f"percentile can be taken; see the ledger of 01-extract-{bound.of}, or give the bound as a number"
            )
        return {
            language: float(np.quantile(found, bound.percentile / 100, method="inverted_cdf"))
            for language, found in sorted(values.items())
            if len(found) >= bound.least
        }

    def _values(self, source: str, signal: str) -> Mapping[str, np.ndarray]:
        """Return the finite values of a signal by language, sorted; memory is one column of the reference."""
        if (source, signal) not in self._read:
            parts = zip(self._extracted[source].parts("documents"), self._measured.parts("signals"), strict=True)
            tables: list[pa.Table] = []
            for documents, signals in parts:
                ids = read_table(documents, ["id"])["id"]
                table = read_table(signals, ["id", LANGUAGE, signal])
                mine = pc.is_in(table["id"], value_set=ids.combine_chunks())
                tables.append(table.filter(mine).select([LANGUAGE, signal]))
            self._read[(source, signal)] = _by_language(pa.concat_tables(tables), signal)
        return self._read[(source, signal)]


def _by_language(table: pa.Table, signal: str) -> dict[str, np.ndarray]:
    table = table.filter(pc.fill_null(pc.is_finite(table[signal]), False))
    languages: Any = table[LANGUAGE].cast(pa.string())
    values = table[signal].cast(pa.float64())
    return {
        language: np.sort(values.filter(pc.equal(languages, language)).to_numpy())
        for language in pc.unique(languages.drop_null()).to_pylist()
    }
