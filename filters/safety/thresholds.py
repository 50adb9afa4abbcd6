"""From margins to flags: calibration, the point from which on a text is flagged, and how good the flags are.

The point is where F1 is best among the texts that it is chosen on, and no lower than lets so many clean ones through.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from filters.safety.examples import Examples
from filters.safety.fit import area_under_curve, logistic, platt

__all__ = ["calibration_error", "contrast", "figures", "line"]

CLEAN_FLAGGED: Final = 0.003
"""Share of the clean texts that a category may flag."""
RUDE_FLAGGED: Final = 0.03
"""Share of the rude texts that may be flagged as hate. Other bad categories may be taken for each other."""
CONTRAST_FLAGGED: Final = 0.05
"""Share of the clean texts that only sound unsafe ("kill a process") that a category may flag."""
LEAST: Final = 0.2
"""The lowest probability that may count as flagged, however well it would do."""


def contrast(known: Examples, category: str) -> NDArray[np.bool_]:
    """The clean texts that only sound as if they were of a category.

    XSTest's safe prompts, for the category that five of the six types of their unsafe contrasts are of.
    """
    return (known.sets == "xstest safe") & (category == "illegal_activities")


def line(
    margins: NDArray[np.float64],
    labels: NDArray[np.int8],
    clean: NDArray[np.bool_],
    rude: NDArray[np.bool_],
    sounding: NDArray[np.bool_],
) -> tuple[float, float, float]:
    """Slope and shift of the calibration, and the probability from which on a text is flagged.

    Args:
        margins: of texts that the model had not seen.
        labels: 1, 0, or -1 for unknown.
        clean: texts that are in no category.
        rude: texts that are rude and not in this one.
        sounding: clean texts that only sound as if they were.
    """
    sure = labels >= 0
    truth = labels[sure] == 1
    slope, shift = platt(margins[sure], truth)
    values = logistic(slope * margins + shift)
    order = np.argsort(-values[sure], kind="stable")
    hits = np.cumsum(truth[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + truth.sum())
    most = np.quantile(values[clean], 1 - CLEAN_FLAGGED)
    if rude.any():
        most = max(most, np.quantile(values[rude], 1 - RUDE_FLAGGED))
    if sounding.any():
        most = max(most, np.quantile(values[sounding], 1 - CONTRAST_FLAGGED))
    allowed = values[sure][order] > most
    best = values[sure][order][int(np.argmax(np.where(allowed, f1, -1)))]
    return slope, shift, float(np.clip(max(best, most), LEAST, 0.9))


def figures(values: NDArray[np.float64], labels: NDArray[np.int8]) -> dict[str, float]:
    """What 0.5 finds of the texts whose label is known, and the area under the curve."""
    sure = labels >= 0
    truth, values = labels[sure] == 1, values[sure]
    flagged = values >= 0.5
    hits = int((flagged & truth).sum())
    return {
        "positives": int(truth.sum()),
        "negatives": int((~truth).sum()),
        "precision": hits / max(1, int(flagged.sum())),
        "recall": hits / max(1, int(truth.sum())),
        "auc": area_under_curve(values, truth),
    }


def calibration_error(values: NDArray[np.float64], labels: NDArray[np.int8]) -> float:
    """How far probabilities are from shares, over ten bins of equal width, weighted by their texts."""
    sure = labels >= 0
    truth, values = labels[sure] == 1, values[sure]
    bins = np.minimum((values * 10).astype(int), 9)
    gaps = [
        abs(values[bins == one].mean() - truth[bins == one].mean()) * (bins == one).mean()
        for one in range(10)
        if (bins == one).any()
    ]
    return float(sum(gaps))
