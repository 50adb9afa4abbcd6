"""Bands and rows of locality-sensitive hashing, and the curve they give.

With ``bands`` bands of ``rows`` values, two texts of Jaccard similarity s share a band with probability 1 - (1 -
s^rows)^bands (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["candidate_probability", "choose"]


def candidate_probability(similarity: ArrayLike, bands: int, rows: int) -> NDArray[np.float64]:
    """Return the probability that texts of these similarities (0 to 1) share at least one band."""
    s = np.asarray(similarity, np.float64)
    return 1.0 - (1.0 - s**rows) ** bands


def choose(
    threshold: float,
    permutations: int = 128,
    false_positive_weight: float = 0.5,
    false_negative_weight: float = 0.5,
) -> tuple[int, int]:
    """Choose bands and rows for a threshold, as datasketch's MinHashLSH does.

    Minimises the weighted areas under the candidate curve below the threshold (false positives: work for verification)
    and above the curve beyond it (false negatives: duplicates lost). Since candidates are verified, weigh false
    negatives more.

    Args:
        threshold: Jaccard similarity from which two texts count as duplicates, between 0 and 1.
        permutations: bands times rows is at most this.
        false_positive_weight: weight of the first area, 0 or more.
        false_negative_weight: weight of the second; the two sum to 1.

    Returns:
        (bands, rows).

    Raises:
        ValueError: an argument is out of range.
    """
    from datasketch import MinHashLSH  # brings scipy: only who asks for a choice pays for its import

    weights = (false_positive_weight, false_negative_weight)
    if not 0.0 < threshold < 1.0:
        raise ValueError(f"threshold: found {threshold}, expected a similarity between 0 and 1")
    if permutations < 2:
        raise ValueError(f"permutations: found {permutations}, expected 2 or more")
    if min(weights) < 0.0 or abs(sum(weights) - 1.0) > 1e-9:
        raise ValueError(f"weights: found {weights}, expected two numbers of 0 or more that sum to 1")
    lsh = MinHashLSH(threshold=threshold, num_perm=permutations, weights=weights)
    return int(lsh.b), int(lsh.r)
