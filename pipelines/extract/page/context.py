"""What the models have said so far of the blocks around a block, of those of its make, and of what encloses it."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.extract.page.choice import expected
from pipelines.extract.page.feature_names import FIRST
from pipelines.extract.page.features import Seen
from pipelines.extract.page.parse import Page

CONTEXT: Final = (
    "p", "p_previous", "p_second_previous", "p_third_previous", "p_next", "p_second_next", "p_third_next",
    "p_window3", "p_window10", "p_parent", "p_grandparent", "p_third", "p_fourth", "p_similar", "p_before", "p_after",
    "p_page", "p_page_max", "p_rank", "since_likely", "until_likely", "p_container_best", "p_mass_before",
    "p_section", "p_heading", "p_cut", "p_over_cut", "likely_words", "unsure_words", "likely_length", "likely_links",
    "likely_stops", "likely_makes", "in_half", "in_most", "most_words", "p_most", "depth_in_most",
)  # fmt: skip
"""Names of the features that later stages see besides those of the first, in order."""
_WIDTH: Final = len(CONTEXT)
_WINDOWS: Final = (3, 10)
_HEADING, _LINKS, _STOPS = FIRST.index("heading"), FIRST.index("link_share"), FIRST.index("stop_share")
_HALF: Final = 0.5
_MOST: Final = 0.9
"""Shares of a page's main text: the innermost elements that hold so much of it are looked at."""


def in_context(found: Seen, page: Page, p: NDArray[np.float32], wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the features of both sets for the blocks `wanted`, given all blocks' probabilities so far.

    The result is (wanted, len(FIRST) + len(CONTEXT)).
    """
    return _in_context(found, page, p, wanted)


@njit(cache=True, nogil=True)
def _innermost(mass, least) -> Any:
    """The last element, in the page's order, with at least so much in it: what holds more lies around it."""
    for e in range(len(mass) - 1, -1, -1):
        if mass[e] >= least:
            return e
    return 0


@njit(cache=True, nogil=True)
def _sections(headings) -> Any:
    """First and last + 1 block of the section that each block is in: from a heading to the next."""
    n = len(headings)
    low = np.zeros(n, np.int32)
    high = np.full(n, n, np.int32)
    start = 0
    for b in range(n):
        if headings[b] > 0:
            start = b
        low[b] = start
    stop = n
    for b in range(n - 1, -1, -1):
        high[b] = stop
        if headings[b] > 0:
            stop = b
    return low, high


@njit(cache=True, nogil=True)
def _in_context(found, page, p, wanted) -> Any:
    first = found.features
    blocks, width = first.shape
    out = np.empty((len(wanted), width + _WIDTH), np.float32)
    groups = 0
    for b in range(blocks):
        groups = max(groups, found.similar[b] + 1)
    around = np.zeros((len(page.parent), 2), np.float64)  # words × p, words; with what is further in
    alike = np.zeros((groups, 2), np.float64)
    sums = np.zeros(blocks + 1, np.float64)
    weights = np.zeros(blocks + 1, np.float64)
    highest = np.float32(0)
    likely = likely_blocks = unsure = links = stops = 0.0
    makes = np.zeros(groups, np.bool_)
    for b in range(blocks):
        w = found.words[b] + 1.0
        sums[b + 1] = sums[b] + w * p[b]
        weights[b + 1] = weights[b] + w
        highest = max(highest, p[b])
        alike[found.similar[b], 0] += w * p[b]
        alike[found.similar[b], 1] += w
        around[page.block_element[b], 0] += w * p[b]
        around[page.block_element[b], 1] += w
        if p[b] > 0.5:
            likely += w
            likely_blocks += 1
            links += w * first[b, _LINKS]
            stops += w * first[b, _STOPS]
            makes[found.similar[b]] = True
        if 0.1 < p[b] < 0.9:
            unsure += w
    for e in range(len(page.parent) - 1, 0, -1):  # a parent comes before what is in it
        around[page.parent[e], 0] += around[e, 0]
        around[page.parent[e], 1] += around[e, 1]
    mass, total = sums[blocks], weights[blocks]
    kinds = makes.sum()
    half, most = _innermost(around[:, 0], _HALF * mass), _innermost(around[:, 0], _MOST * mass)
    order, _, _, value = expected(p, found.words)
    at = np.argmax(value)
    cut = p[order[at - 1]] if at > 0 else np.float32(1)
    section_low, section_high = _sections(first[:, _HEADING])
    since = np.empty(blocks, np.float32)
    until = np.empty(blocks, np.float32)
    last = -1000
    for b in range(blocks):
        since[b] = min(100, b - last)
        if p[b] > 0.5 and found.words[b] >= 5:
            last = b
    last = blocks + 1000
    for b in range(blocks - 1, -1, -1):
        until[b] = min(100, last - b)
        if p[b] > 0.5 and found.words[b] >= 5:
            last = b
    for at in range(len(wanted)):
        b = wanted[at]
        w = found.words[b] + 1.0
        own = w * p[b]
        row = out[at]
        row[:width] = first[b]
        row = out[at, width:]
        row[0] = p[b]
        for j in range(3):
            row[1 + j] = p[b - 1 - j] if b - 1 - j >= 0 else -1
            row[4 + j] = p[b + 1 + j] if b + 1 + j < blocks else -1
        for j in range(2):
            low, high = max(0, b - _WINDOWS[j]), min(blocks, b + _WINDOWS[j] + 1)
            rest = weights[high] - weights[low] - w
            row[7 + j] = (sums[high] - sums[low] - own) / rest if rest > 0 else -1
        best = 0.0
        for level in range(4):
            e = found.container[b, level]
            if e < 0:
                row[9 + level] = -1
            else:
                rest = around[e, 1] - w
                row[9 + level] = (around[e, 0] - own) / rest if rest > 0.5 else p[b]
                best = max(best, around[e, 0] / max(1.0, mass))
        rest = alike[found.similar[b], 1] - w
        row[13] = (alike[found.similar[b], 0] - own) / rest if rest > 0.5 else p[b]
        row[14] = sums[b] / weights[b] if b else -1
        row[15] = (mass - sums[b + 1]) / (total - weights[b + 1]) if b + 1 < blocks else -1
        row[16] = mass / total
        row[17] = highest
        row[18] = p[b] / max(highest, np.float32(1e-6))
        row[19] = since[b]
        row[20] = until[b]
        row[21] = best
        row[22] = sums[b] / max(mass, 1e-6)
        low, high = section_low[b], section_high[b]
        rest = weights[high] - weights[low] - w
        row[23] = (sums[high] - sums[low] - own) / rest if rest > 0.5 else p[b]
        row[24] = p[low] if first[low, _HEADING] > 0 else -1
        row[25] = cut
        row[26] = p[b] - cut
        row[27] = likely / total
        row[28] = unsure / total
        row[29] = np.log1p(likely / max(1.0, likely_blocks))
        row[30] = links / max(1.0, likely)
        row[31] = stops / max(1.0, likely)
        row[32] = kinds / max(1.0, likely_blocks)
        element = page.block_element[b]
        levels = 0
        inside_half = inside_most = False
        while element >= 0:
            if element == half:
                inside_half = True
            if element == most:
                inside_most = True
                break
            levels += 1
            element = page.parent[element]
        row[33] = inside_half
        row[34] = inside_most
        row[35] = around[most, 1] / total
        row[36] = around[most, 0] / around[most, 1]
        row[37] = levels if inside_most else -1
    return out
