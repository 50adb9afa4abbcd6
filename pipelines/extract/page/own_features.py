"""What a block's own text and names say of it."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.words import PUNCTUATION, SYMBOL, WORD
from pipelines.extract.page.feature_names import OWN, TABLES, TABLES_AT
from pipelines.extract.page.groups import numbered
from pipelines.extract.page.names import FNV_OFFSET, FNV_PRIME, TAG, Within
from pipelines.extract.page.says import title_words
from pipelines.extract.page.tables import WORD_BUCKETS, bucket_of_tags, buckets_of_names, is_stop

_OFFSET, _PRIME = np.uint64(FNV_OFFSET), np.uint64(FNV_PRIME)
_LINK, _STRONG, _ANCHOR = int(Within.LINK), int(Within.STRONG), TAG["a"]
_TABLES_END, _REPEATS = TABLES_AT + len(TABLES), OWN.index("repeats")


class Counts(NamedTuple):
    """What the surroundings of blocks are summed from: a number for each block."""

    words: NDArray[np.int32]
    link_words: NDArray[np.int32]
    stop_words: NDArray[np.int32]
    punctuation: NDArray[np.int32]
    ending: NDArray[np.int8]  # 2: as a sentence ends, 1: within one, 0: neither
    title_hits: NDArray[np.int32]  # words that the page's title has
    title_covered: NDArray[np.float64]  # share of the title's words


class Scores(NamedTuple):
    """What the learned table says of the names of each element, alone and handed down from the root."""

    mean: NDArray[np.float32]
    least: NDArray[np.float32]
    path_min: NDArray[np.float32]
    path_max: NDArray[np.float32]
    path_sum: NDArray[np.float32]


@njit(cache=True, nogil=True)
def _scores(html, page, name_score) -> Any:
    elements = len(page.tag)
    name_offsets, name_buckets = buckets_of_names(html, page)
    own_mean = np.zeros(elements, np.float32)
    own_min = np.zeros(elements, np.float32)
    path_min = np.zeros(elements, np.float32)
    path_max = np.zeros(elements, np.float32)
    path_sum = np.zeros(elements, np.float32)
    for e in range(elements):
        total = low = high = np.float32(0)
        count = name_offsets[e + 1] - name_offsets[e]
        for k in range(name_offsets[e], name_offsets[e + 1]):
            score = name_score[name_buckets[k]]
            total += score
            low = min(low, score)
            high = max(high, score)
        if count:
            own_mean[e] = total / count
        own_min[e] = low
        outer = page.parent[e]
        if outer >= 0:
            path_min[e] = min(path_min[outer], low)
            path_max[e] = max(path_max[outer], high)
            path_sum[e] = path_sum[outer] + own_mean[e]
    return Scores(own_mean, own_min, path_min, path_max, path_sum)


@njit(cache=True, nogil=True)
def count_blocks(html, page, texts, words, tables, out) -> Any:
    """Write the columns OWN and TABLES of each block; return Counts."""
    blocks = len(page.block_element)
    data, offsets = texts.batch
    name_score, word_score = tables.names, tables.words
    own_mean, own_min, path_min, path_max, path_sum = _scores(html, page, name_score)
    count_words = np.zeros(blocks, np.int32)
    link_words = np.zeros(blocks, np.int32)
    stop_words = np.zeros(blocks, np.int32)
    punctuation = np.zeros(blocks, np.int32)
    ending = np.zeros(blocks, np.int8)
    title, title_count = title_words(html, page)
    title_hits = np.zeros(blocks, np.int32)
    title_cover = np.zeros(blocks)
    spelled = np.empty(blocks, np.uint64)
    for b in range(blocks):
        piece = texts.block_piece[b]
        last_piece = texts.block_piece[b + 1]
        n_words = n_link = n_strong = n_stop = n_punct = n_comma = n_sentence = n_symbol = n_digit = 0
        n_capital = n_upper = separators = copyright = at_sign = word_bytes = 0
        score_sum = np.float32(0)
        score_low = np.float32(9)
        score_high = np.float32(-9)
        text_state = _OFFSET
        first_score = np.float32(0)
        covered = np.uint64(0)
        scored = 0
        for t in range(words.offsets[b], words.offsets[b + 1]):
            start, kind = words.starts[t], words.kinds[t]
            while piece + 1 < last_piece and texts.piece_start[piece + 1] <= start:
                piece += 1
            within = page.within[texts.piece_element[piece]]
            byte = data[start]
            if kind == WORD:
                n_words += 1
                word_bytes += words.ends[t] - start
                n_link += within & _LINK != 0
                n_strong += within & _STRONG != 0
                key = words.hashes[t]
                n_stop += is_stop(tables.stops, key)
                text_state = (text_state ^ key) * _PRIME
                if scored < 40:
                    score = word_score[np.int64(key % np.uint64(WORD_BUCKETS))]
                    if scored == 0:
                        first_score = score
                    score_sum += score
                    score_low = min(score_low, score)
                    score_high = max(score_high, score)
                    scored += 1
                if 48 <= byte <= 57:
                    n_digit += 1
                elif 65 <= byte <= 90:
                    n_capital += 1
                    upper = words.ends[t] - start > 1
                    for k in range(start + 1, words.ends[t]):
                        upper &= 65 <= data[k] <= 90
                    n_upper += upper
                if title_count and words.ends[t] - start >= 3 and n_words <= 60:
                    state = _OFFSET
                    for k in range(start, words.ends[t]):
                        small = data[k]
                        if 65 <= small <= 90:
                            small += np.uint8(32)
                        state = (state ^ np.uint64(small)) * _PRIME
                    for k in range(title_count):
                        if title[k] == state:
                            title_hits[b] += 1
                            covered |= np.uint64(1) << np.uint64(k)
                            break
            elif kind == PUNCTUATION:
                n_punct += 1
                if byte == 44:
                    n_comma += 1
                elif byte == 46 or byte == 33 or byte == 63 or byte == 0xE3 or byte == 0xEF:
                    n_sentence += 1
                elif byte == 0xC2 and data[start + 1] in (0xB7, 0xBB):
                    separators += 1
            elif kind == SYMBOL:
                n_symbol += 1
                if byte == 124 or byte == 47:
                    separators += 1
                elif byte == 0xC2 and data[start + 1] == 0xA9:
                    copyright += 1
                elif byte == 64:
                    at_sign += 1
        while covered:
            covered &= covered - np.uint64(1)
            title_cover[b] += 1
        title_cover[b] /= max(1, title_count)
        length = offsets[b + 1] - offsets[b]
        last = data[offsets[b + 1] - 1] if length else np.uint8(0)
        before = data[offsets[b + 1] - 3] if length > 2 else np.uint8(0)
        if last in (46, 33, 63) or (before == 0xE3 and last == 0x82) or (before == 0xEF and last in (0x81, 0x9F)):
            ending[b] = 2
        elif last in (58, 44, 59, 34, 41):
            ending[b] = 1
        links = breaks = 0
        seen_link = -1
        for k in range(texts.block_piece[b], last_piece):
            element = texts.piece_element[k]
            if page.within[element] & _LINK:
                anchor = element
                while anchor > 0 and page.tag[anchor] != _ANCHOR:
                    anchor = page.parent[anchor]
                links += anchor != seen_link
                seen_link = anchor
        for k in range(offsets[b], offsets[b + 1]):
            breaks += data[k] == 10
        spelled[b] = text_state
        count_words[b], link_words[b], stop_words[b], punctuation[b] = n_words, n_link, n_stop, n_punct
        w = np.float32(max(1, n_words))
        row = out[b]
        row[0] = np.log1p(np.float32(n_words))
        row[1] = np.log1p(np.float32(length))
        row[2] = n_link / w
        row[3] = links
        row[4] = n_punct / w
        row[5] = n_comma / w
        row[6] = n_sentence / w
        row[7] = ending[b]
        row[8] = n_stop / w
        row[9] = n_capital / w
        row[10] = n_digit / w
        row[11] = word_bytes / w
        row[12] = n_symbol / w
        row[13] = separators
        row[14] = copyright
        row[15] = length > 0 and 48 <= data[offsets[b]] <= 57
        row[16] = breaks
        row[17] = at_sign
        row[18] = n_strong / w
        row[19] = n_upper / w
        row[20] = page.block_run[b + 1] - page.block_run[b]
        element = page.block_element[b]
        parent = page.parent[element] if element > 0 else -1
        grand = page.parent[parent] if parent > 0 else -1
        row = out[b, TABLES_AT:_TABLES_END]
        inner = page.run_element[page.block_run[b]]
        # Names of inline elements inside the block count as the block's own.
        row[0] = own_mean[element] if own_mean[element] != 0 else own_mean[inner]
        row[1] = min(own_min[element], own_min[inner])
        row[2] = own_mean[parent] if parent >= 0 else 0
        row[3] = own_mean[grand] if grand >= 0 else 0
        row[4] = path_min[inner]
        row[5] = path_max[inner]
        row[6] = path_sum[inner]
        tag_0 = page.tag[element]
        tag_1 = page.tag[parent] if parent >= 0 else 0
        tag_2 = page.tag[grand] if grand >= 0 else 0
        row[7] = name_score[bucket_of_tags(1, tag_0, tag_1, 0)]
        row[8] = name_score[bucket_of_tags(2, tag_0, tag_1, tag_2)]
        row[9] = score_sum / max(1, scored)
        row[10] = score_low if scored else 0
        row[11] = score_high if scored else 0
        if 0 < n_words <= 6:
            row[12] = word_score[np.int64((text_state ^ (text_state >> np.uint64(33))) % np.uint64(WORD_BUCKETS))]
        row[13] = first_score

    same, kinds_of_text = numbered(spelled)
    copies = np.zeros(kinds_of_text, np.int32)
    for b in range(blocks):
        copies[same[b]] += 1
    for b in range(blocks):
        out[b, _REPEATS] = min(20, copies[same[b]])
    return Counts(count_words, link_words, stop_words, punctuation, ending, title_hits, title_cover)
