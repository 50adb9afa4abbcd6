"""What can be counted of a block: of itself, its surroundings and its page."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.words import PUNCTUATION, SYMBOL, WORD, Words
from pipelines.extract.page.markup import contains
from pipelines.extract.page.names import (
    ATTRIBUTE,
    FNV_OFFSET,
    FNV_PRIME,
    RAW_JSON,
    RAW_TITLE,
    TAG,
    Within,
)
from pipelines.extract.page.parse import Page
from pipelines.extract.page.tables import WORD_BUCKETS, Tables, bucket_of_tags, buckets_of_names, is_letter, is_stop
from pipelines.extract.page.text import Texts

_OFFSET, _PRIME = np.uint64(FNV_OFFSET), np.uint64(FNV_PRIME)
_CLASS, _ID, _ROLE, _PROP = ATTRIBUTE["class"], ATTRIBUTE["id"], ATTRIBUTE["role"], ATTRIBUTE["itemprop"]
_HEADING, _LINK, _STRONG = int(Within.HEADING), int(Within.LINK), int(Within.STRONG)
_H1 = TAG["h1"]
_P_TAG = TAG["p"]
_CONTENT = ATTRIBUTE["content"]
_ARTICLE, _MAIN, _ANCHOR = TAG["article"], TAG["main"], TAG["a"]

FLAGS: Final = tuple(int(flag) for flag in Within if flag not in (Within.HEADING, Within.LINK, Within.STRONG))

OWN: Final = (
    "words", "bytes", "link_share", "links", "punctuation", "commas", "sentences", "ending", "stop_share", "capitals",
    "digits", "word_bytes", "symbols", "separators", "copyright", "digit_first", "breaks", "at_sign", "strong_share",
    "upper_share", "lines", "repeats",
)  # fmt: skip
PLACE: Final = (
    "heading", "depth", "siblings", "sibling_place", "place", "words_before", "words_after", "title_share",
    "title_covered", "after_h1", "since_heading", "since_h1", "page_words", "page_blocks", "page_link_share",
    "page_paragraph_share", "page_articles", "page_main", "says_article", "says_product", "says_forum", "says_list",
)  # fmt: skip
TABLES: Final = (
    "own_names", "own_names_min", "parent_names", "grandparent_names", "path_min", "path_max", "path_sum", "tag_pair",
    "tag_path", "word_mean", "word_min", "word_max", "short_text", "first_word",
)  # fmt: skip
AROUND: Final = tuple(
    f"{where}_{what}"
    for where in ("parent", "grandparent", "third", "fourth")
    for what in ("words", "link_share", "punctuation", "blocks", "page_share")
)
SIMILAR: Final = ("similar", "similar_words", "similar_share", "similar_link_share", "similar_stop_share")
NEAR: Final = tuple(
    f"{where}_{what}"
    for where in ("previous", "second_previous", "next", "second_next")
    for what in ("words", "link_share", "ending", "heading", "stop_share", "same_parent")
)
FLAG_NAMES: Final = tuple(f"in_{Within(flag).name or flag}".lower() for flag in FLAGS)
FIRST: Final = (*OWN, *PLACE, *TABLES, *AROUND, *SIMILAR, *NEAR, *FLAG_NAMES)
"""Names of the features that the first model sees, in order."""


class Seen(NamedTuple):
    """The features of a page's blocks, and what those in context are made from."""

    features: NDArray[np.float32]  # (blocks, len(FIRST))
    words: NDArray[np.int32]  # of each block
    container: NDArray[np.int32]  # (blocks, 4): elements around the block's own: parent and so on, -1 past the root
    similar: NDArray[np.int32]  # number of the group of blocks of the same make


def seen(html: NDArray[np.uint8], page: Page, texts: Texts, words: Words, tables: Tables) -> Seen:
    """Count everything that the first model sees."""
    return Seen(*_seen(html, page, texts, words, tables, np.array(FLAGS, np.int32)))


# What schema.org's and Open Graph's types say of a page, in small letters: article, product, discussion, list.
_SAYS: Final = (
    (b'article"', 0), (b'posting"', 0), (b'product"', 1), (b'offer"', 1), (b"discussionforum", 2), (b'qapage"', 2),
    (b'question"', 2), (b'itemlist"', 3), (b"collectionpage", 3), (b"searchresults", 3),
)  # fmt: skip
_AT_TYPE = np.frombuffer(b"@type", np.uint8)
_SAID = np.zeros((len(_SAYS), 20), np.uint8)
for _row, (_word, _) in zip(_SAID, _SAYS, strict=True):
    _row[: len(_word)] = np.frombuffer(_word, np.uint8)
_SAID_LENGTH = np.array([len(word) for word, _ in _SAYS])
_SAID_KIND = np.array([kind for _, kind in _SAYS])


@njit(cache=True, nogil=True)
def _says(html, page) -> Any:
    """Whether the page says that it is an article, a product, a discussion, a list: its JSON-LD and og:type."""
    found = np.zeros(4, np.float32)
    for a in range(len(page.name)):
        low, high = page.low[a], page.high[a]
        if page.name[a] == _CONTENT and high - low <= 20:  # <meta property="og:type" content="article">
            _said(html, low, high, 1, found)
        elif page.name[a] == RAW_JSON:
            high = min(high, low + 20_000)
            for at in range(low, high - 5):
                if html[at] == 64 and contains(html, at, at + 5, _AT_TYPE):
                    _said(html, at + 5, min(high, at + 65), 0, found)
    return found


@njit(cache=True, nogil=True)
def _said(html, low, high, quotes, found) -> Any:
    """Note the types that a text names; in JSON a quote ends a type, a meta's content is the type alone."""
    for k in range(len(_SAID_KIND)):
        length = _SAID_LENGTH[k]
        if quotes and _SAID[k, length - 1] == 34:
            length -= 1
        kind = _SAID_KIND[k]
        if found[kind] == 0 and contains(html, low, high, _SAID[k, :length]):
            found[kind] = 1


@njit(cache=True, nogil=True)
def _signature(html, page, element) -> Any:
    """Hash of the tags and classes of an element and the two around it."""
    state = _OFFSET
    for _ in range(3):
        if element < 0:
            break
        state = (state ^ np.uint64(page.tag[element] + 1)) * _PRIME
        for a in range(page.attributes[element], page.attributes[element + 1]):
            if page.name[a] == _CLASS:
                for at in range(page.low[a], min(page.high[a], page.low[a] + 200)):
                    byte = html[at]
                    if not 48 <= byte <= 57:  # numbered classes are of one make
                        state = (state ^ np.uint64(byte)) * _PRIME
        element = page.parent[element]
    return state


@njit(cache=True, nogil=True)
def _groups(keys) -> Any:
    """Number equal keys alike, from 0 on in order of their first."""
    n = len(keys)
    order = np.argsort(keys, kind="mergesort")
    group = np.empty(n, np.int32)
    count = 0
    for k in range(n):
        if k == 0 or keys[order[k]] != keys[order[k - 1]]:
            count += 1
        group[order[k]] = count - 1
    return group, count


@njit(cache=True, nogil=True)
def _title_words(html, page) -> Any:
    """Hashes of the words of the page's title, folded by ASCII only."""
    keys = np.zeros(64, np.uint64)
    count = 0
    for a in range(len(page.name)):
        if page.name[a] != RAW_TITLE:
            continue
        at, high = page.low[a], min(page.high[a], page.low[a] + 400)
        while at < high and count < 32:
            while at < high and not (is_letter(html[at]) or 48 <= html[at] <= 57):
                at += 1
            start = at
            state = _OFFSET
            while at < high and (is_letter(html[at]) or 48 <= html[at] <= 57):
                byte = html[at]
                if 65 <= byte <= 90:
                    byte += np.uint8(32)
                state = (state ^ np.uint64(byte)) * _PRIME
                at += 1
            if at - start >= 3:
                keys[count] = state
                count += 1
        break
    return keys, count


@njit(cache=True, nogil=True)
def _seen(html, page, texts, words, tables, flags) -> Any:
    blocks, elements = len(page.block_element), len(page.tag)
    own_n, place_n, tables_n, around_n, similar_n, near_n = 22, 22, 14, 20, 5, 24
    place_0 = own_n
    tables_0 = place_0 + place_n
    around_0 = tables_0 + tables_n
    similar_0 = around_0 + around_n
    near_0 = similar_0 + similar_n
    flags_0 = near_0 + near_n
    out = np.zeros((blocks, flags_0 + len(flags)), np.float32)
    data, offsets = texts.batch
    name_score, word_score = tables.names, tables.words

    # Elements: what their names say, handed down.
    name_offsets, name_buckets = buckets_of_names(html, page)
    own_mean = np.zeros(elements, np.float32)
    own_min = np.zeros(elements, np.float32)
    path_min = np.zeros(elements, np.float32)
    path_max = np.zeros(elements, np.float32)
    path_sum = np.zeros(elements, np.float32)
    main = articles = 0
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
        articles += page.tag[e] == _ARTICLE
        main += page.tag[e] == _MAIN

    # Blocks: their own counts.
    count_words = np.zeros(blocks, np.int32)
    link_words = np.zeros(blocks, np.int32)
    stop_words = np.zeros(blocks, np.int32)
    punctuation = np.zeros(blocks, np.int32)
    ending = np.zeros(blocks, np.int8)
    title, title_count = _title_words(html, page)
    title_hits = np.zeros(blocks, np.int32)
    title_cover = np.zeros(blocks, np.int32)
    spelled = np.empty(blocks, np.uint64)
    says = _says(html, page)
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
        row = out[b, tables_0 : tables_0 + tables_n]
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

    same, kinds_of_text = _groups(spelled)
    copies = np.zeros(kinds_of_text, np.int32)
    for b in range(blocks):
        copies[same[b]] += 1
    for b in range(blocks):
        out[b, 21] = min(20, copies[same[b]])

    # Elements: sums of what is inside them.
    inside = np.zeros((elements, 4), np.int64)  # words, link words, punctuation, blocks
    for b in range(blocks):
        element = page.block_element[b]
        inside[element, 0] += count_words[b]
        inside[element, 1] += link_words[b]
        inside[element, 2] += punctuation[b]
        inside[element, 3] += 1
    for e in range(elements - 1, 0, -1):  # a parent comes before what is in it
        for k in range(4):
            inside[page.parent[e], k] += inside[e, k]
    total_words = max(1, inside[0, 0])

    # Groups of blocks of one make.
    keys = np.empty(blocks, np.uint64)
    for b in range(blocks):
        keys[b] = _signature(html, page, page.block_element[b])
    similar, groups = _groups(keys)
    group = np.zeros((groups, 4), np.int64)
    for b in range(blocks):
        g = similar[b]
        group[g, 0] += 1
        group[g, 1] += count_words[b]
        group[g, 2] += link_words[b]
        group[g, 3] += stop_words[b]

    container = np.full((blocks, 4), -1, np.int32)
    before_words = 0
    heading_at = h1_at = -1
    siblings_seen = np.zeros(elements, np.int32)
    paragraph_words = 0
    for b in range(blocks):
        if page.tag[page.block_element[b]] == _P_TAG:
            paragraph_words += count_words[b]
    for b in range(blocks):
        element = page.block_element[b]
        w = np.float32(max(1, count_words[b]))
        row = out[b]
        heading = page.within[page.run_element[page.block_run[b]]] & _HEADING != 0
        level = 0
        if heading:
            outer = page.run_element[page.block_run[b]]
            while outer > 0 and not _H1 <= page.tag[outer] <= _H1 + 5:
                outer = page.parent[outer]
            level = page.tag[outer] - _H1 + 1 if outer > 0 else 0
        parent = max(0, page.parent[element])
        k = place_0
        row[k] = level
        row[k + 1] = page.depth[element]
        row[k + 2] = np.log1p(np.float32(inside[parent, 3]))
        row[k + 3] = siblings_seen[parent] / max(1, inside[parent, 3])
        siblings_seen[parent] += 1
        row[k + 4] = b / blocks
        row[k + 5] = before_words / total_words
        row[k + 6] = np.log1p(np.float32(total_words - before_words - count_words[b]))
        row[k + 7] = title_hits[b] / w
        row[k + 8] = title_cover[b] / max(1, title_count)
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
        before_words += count_words[b]

        outer = element
        k = around_0
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
        k = similar_0
        group_words = max(1, group[g, 1])
        row[k] = np.log1p(np.float32(group[g, 0]))
        row[k + 1] = np.log1p(np.float32(group[g, 1] / group[g, 0]))
        row[k + 2] = group[g, 1] / total_words
        row[k + 3] = group[g, 2] / group_words
        row[k + 4] = group[g, 3] / group_words

        k = near_0
        for step in (-1, -2, 1, 2):
            other = b + step
            if 0 <= other < blocks:
                row[k] = np.log1p(np.float32(count_words[other]))
                row[k + 1] = link_words[other] / max(1, count_words[other])
                row[k + 2] = ending[other]
                row[k + 3] = page.within[page.block_element[other]] & _HEADING != 0
                row[k + 4] = stop_words[other] / max(1, count_words[other])
                row[k + 5] = page.parent[page.block_element[other]] == page.parent[element]
            else:
                for j in range(6):
                    row[k + j] = -1
            k += 6
        within = page.within[page.run_element[page.block_run[b]]]
        for j in range(len(flags)):
            row[flags_0 + j] = within & flags[j] != 0
    return out, count_words, container, similar
