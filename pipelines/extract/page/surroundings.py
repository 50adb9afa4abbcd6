"""What stands around a block: its place on the page, the elements that it is in, those of its make, those near it."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from pipelines.extract.page.feature_names import AROUND_AT, FLAGS_AT, NEAR_AT, PLACE_AT, SIMILAR_AT
from pipelines.extract.page.groups import numbered, signature
from pipelines.extract.page.names import TAG, Within
from pipelines.extract.page.says import kinds_of_page

_HEADING = int(Within.HEADING)
_H1, _P_TAG, _ARTICLE, _MAIN = TAG["h1"], TAG["p"], TAG["article"], TAG["main"]


@njit(cache=True, nogil=True)
def look_around(html, page, counts, flags, out) -> Any:
    """Write the other columns of each block; return the elements around it and the number of its group."""
    blocks, elements = len(page.block_element), len(page.tag)
    says = kinds_of_page(html, page)
    main = articles = 0
    for e in range(elements):
        articles += page.tag[e] == _ARTICLE
        main += page.tag[e] == _MAIN

    # Elements: sums of what is inside them.
    inside = np.zeros((elements, 4), np.int64)  # words, link words, punctuation, blocks
    for b in range(blocks):
        element = page.block_element[b]
        inside[element, 0] += counts.words[b]
        inside[element, 1] += counts.link_words[b]
        inside[element, 2] += counts.punctuation[b]
        inside[element, 3] += 1
    for e in range(elements - 1, 0, -1):  # a parent comes before what is in it
        for k in range(4):
            inside[page.parent[e], k] += inside[e, k]
    total_words = max(1, inside[0, 0])

    # Groups of blocks of one make.
    keys = np.empty(blocks, np.uint64)
    for b in range(blocks):
        keys[b] = signature(html, page, page.block_element[b])
    similar, groups = numbered(keys)
    group = np.zeros((groups, 4), np.int64)
    for b in range(blocks):
        g = similar[b]
        group[g, 0] += 1
        group[g, 1] += counts.words[b]
        group[g, 2] += counts.link_words[b]
        group[g, 3] += counts.stop_words[b]

    container = np.full((blocks, 4), -1, np.int32)
    before_words = 0
    heading_at = h1_at = -1
    siblings_seen = np.zeros(elements, np.int32)
    paragraph_words = 0
    for b in range(blocks):
        if page.tag[page.block_element[b]] == _P_TAG:
            paragraph_words += counts.words[b]
    for b in range(blocks):
        element = page.block_element[b]
        w = np.float32(max(1, counts.words[b]))
        row = out[b]
        heading = page.within[page.run_element[page.block_run[b]]] & _HEADING != 0
        level = 0
        if heading:
            outer = page.run_element[page.block_run[b]]
            while outer > 0 and not _H1 <= page.tag[outer] <= _H1 + 5:
                outer = page.parent[outer]
            level = page.tag[outer] - _H1 + 1 if outer > 0 else 0
        parent = max(0, page.parent[element])
        k = PLACE_AT
        row[k] = level
        row[k + 1] = page.depth[element]
        row[k + 2] = np.log1p(np.float32(inside[parent, 3]))
        row[k + 3] = siblings_seen[parent] / max(1, inside[parent, 3])
        siblings_seen[parent] += 1
        row[k + 4] = b / blocks
        row[k + 5] = before_words / total_words
        row[k + 6] = np.log1p(np.float32(total_words - before_words - counts.words[b]))
        row[k + 7] = counts.title_hits[b] / w
        row[k + 8] = counts.title_covered[b]
        if level == 1:
            h1_at = b
        row[k + 9] = h1_at >= 0
        row[k + 10] = min(50, b - heading_at) if heading_at >= 0 else 60
        row[k + 11] = min(200, b - h1_at) if h1_at >= 0 else -1
        if heading:
            heading_at = b
        row[k + 12] = np.log1p(np.float32(total_words))
        row[k + 13] = np.log1p(np.float32(blocks))
        row[k + 14] = inside[0, 1] / total_words
        row[k + 15] = paragraph_words / total_words
        row[k + 16] = min(20, articles)
        row[k + 17] = min(2, main)
        for j in range(4):
            row[k + 18 + j] = says[j]
        before_words += counts.words[b]

        outer = element
        k = AROUND_AT
        for level in range(4):
            outer = page.parent[outer] if outer > 0 else -1
            container[b, level] = outer
            if outer < 0:
                for j in range(5):
                    row[k + j] = -1
            else:
                inner_words = max(1, inside[outer, 0])
                row[k] = np.log1p(np.float32(inside[outer, 0]))
                row[k + 1] = inside[outer, 1] / inner_words
                row[k + 2] = inside[outer, 2] / inner_words
                row[k + 3] = np.log1p(np.float32(inside[outer, 3]))
                row[k + 4] = inside[outer, 0] / total_words
            k += 5

        g = similar[b]
        k = SIMILAR_AT
        group_words = max(1, group[g, 1])
        row[k] = np.log1p(np.float32(group[g, 0]))
        row[k + 1] = np.log1p(np.float32(group[g, 1] / group[g, 0]))
        row[k + 2] = group[g, 1] / total_words
        row[k + 3] = group[g, 2] / group_words
        row[k + 4] = group[g, 3] / group_words

        k = NEAR_AT
        for step in (-1, -2, 1, 2):
            other = b + step
            if 0 <= other < blocks:
                row[k] = np.log1p(np.float32(counts.words[other]))
                row[k + 1] = counts.link_words[other] / max(1, counts.words[other])
                row[k + 2] = counts.ending[other]
                row[k + 3] = page.within[page.block_element[other]] & _HEADING != 0
                row[k + 4] = counts.stop_words[other] / max(1, counts.words[other])
                row[k + 5] = page.parent[page.block_element[other]] == page.parent[element]
            else:
                for j in range(6):
                    row[k + j] = -1
            k += 6
        within = page.within[page.run_element[page.block_run[b]]]
        for j in range(len(flags)):
            row[FLAGS_AT + j] = within & flags[j] != 0
    return container, similar
