"""A page as flat arrays: elements, attributes, and blocks of text, from one pass over its bytes.

The tree rules are those of the HTML Living Standard (13.2) as far as they decide what text stands in which element:
void and raw elements, implied ends of p, li, dt, dd, cells and rows, end tags that match nothing, formatting elements
closed across blocks. Left out: foster parenting, formatting reopened after a block, frames.

A block is a run of text with no border of a block-level element in it: what a reader sees as one paragraph, heading,
list item or cell.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.extract.page.markup import (
    alt_of_formula,
    comment_end,
    contains,
    folded_key_of,
    has_class,
    hidden_style,
    is_space,
    number_of,
    raw_end,
    read_attributes,
    says_drawn,
    seek,
    tag_end,
)
from pipelines.extract.page.names import (
    ATTRIBUTE,
    NAMES,
    RAW_JSON,
    RAW_TITLE,
    TAG,
    UNKNOWN,
    Kind,
    Within,
)
from pipelines.extract.page.tree import end_tag_closes, start_tag_closes

TEXT: Final = 0
BREAK: Final = 1
MATHML: Final = 2
TEX: Final = 3
DISPLAY_TEX: Final = 4
IMAGE: Final = 5
ASCIIMATH: Final = 6
DEPTH: Final = 400
"""Open elements: what is nested deeper counts as inside the one at this depth."""

_BLOCK, _VOID, _RAW, _SKIP, _HEAD = int(Kind.BLOCK), int(Kind.VOID), int(Kind.RAW), int(Kind.SKIP), int(Kind.HEAD)
_HIDDEN = int(Within.HIDDEN)
_T = TAG
_BR, _IMG, _DIV, _HTML, _BODY, _HEAD_TAG, _MJX = (
    _T["br"], _T["img"], _T["div"], _T["html"], _T["body"], _T["head"], _T["mjx-container"],
)  # fmt: skip
_SCRIPT, _STYLE_TAG, _TITLE, _MATH, _CUSTOM, _NOSCRIPT, _XMP, _SVG = (
    _T["script"], _T["style"], _T["title"], _T["math"], _T["custom"], _T["noscript"], _T["xmp"], _T["svg"],
)  # fmt: skip
_CLASS, _STYLE, _HIDE, _ARIA_HIDDEN, _ROLE, _TYPE = (
    ATTRIBUTE["class"], ATTRIBUTE["style"], ATTRIBUTE["hidden"], ATTRIBUTE["aria-hidden"], ATTRIBUTE["role"],
    ATTRIBUTE["type"],
)  # fmt: skip


class Page(NamedTuple):
    """A page's elements (0 is the document itself), their attributes, runs of text, and blocks of runs."""

    tag: NDArray[np.int16]
    parent: NDArray[np.int32]
    start: NDArray[np.int32]  # where the element's tag begins
    depth: NDArray[np.int16]
    within: NDArray[np.int32]  # flags of Within, its own and those of all around it
    attributes: NDArray[np.int32]  # n + 1: those of element e are attributes[e] to attributes[e + 1]
    name: NDArray[np.int16]  # of an attribute
    low: NDArray[np.int32]
    high: NDArray[np.int32]
    run_kind: NDArray[np.int8]  # TEXT, BREAK, MATHML, TEX, DISPLAY_TEX, IMAGE, ASCIIMATH
    run_element: NDArray[np.int32]
    run_low: NDArray[np.int32]
    run_high: NDArray[np.int32]
    block_element: NDArray[np.int32]
    block_run: NDArray[np.int32]  # n + 1: runs of block b are block_run[b] to block_run[b + 1]


def parse(html: NDArray[np.uint8]) -> Page:
    """Parse a page.

    Args:
        html: its text as UTF-8.
    """
    return Page(*_parse(html, html[: len(html) & -8].view(np.uint64), NAMES))


@njit(cache=True, nogil=True)
def _cut(values, count) -> Any:
    return values[:count].copy()


_WORDS = (b"mwe-math", b"tex", b"latex", b"latex.php", b"codecogs.com", b"tex.cgi", b"data:", b"math")
_WORD_ARRAYS = tuple(np.frombuffer(word, np.uint8) for word in _WORDS)
_NONE, _HIDDEN_WORD = np.frombuffer(b"none", np.uint8), np.frombuffer(b"hidden", np.uint8)
_MATH_TYPE, _ASCIIMATH_TYPE, _DISPLAY, _LD_JSON, _TRUE = (
    np.frombuffer(b"math/", np.uint8),
    np.frombuffer(b"math/asciimath", np.uint8),
    np.frombuffer(b"mode=display", np.uint8),
    np.frombuffer(b"ld+json", np.uint8),
    np.frombuffer(b"true", np.uint8),
)
_CDATA = np.frombuffer(b"[cdata[", np.uint8)


@njit(cache=True, nogil=True)
def _container(element, tag, parent, kinds) -> Any:
    """Return the nearest element, this one or around it, that is displayed as a block."""
    while element > 0 and not kinds[tag[element]] & _BLOCK:
        element = parent[element]
    return element


@njit(cache=True, nogil=True)
def _parse(html, words, names) -> Any:
    n = len(html)
    tags = 0
    values = 0
    for byte in html:
        tags += byte == 60
        values += byte == 61
    size = tags + 2
    tag = np.empty(size, np.int16)
    parent = np.empty(size, np.int32)
    start = np.empty(size, np.int32)
    depth = np.empty(size, np.int16)
    within = np.empty(size, np.int32)
    end = 0
    attributes = np.empty(size + 1, np.int32)
    attr_name = np.empty(values + 2 * tags + 2, np.int16)
    attr_low = np.empty(values + 2 * tags + 2, np.int32)
    attr_high = np.empty(values + 2 * tags + 2, np.int32)
    run_kind = np.empty(2 * size, np.int8)
    run_element = np.empty(2 * size, np.int32)
    run_low = np.empty(2 * size, np.int32)
    run_high = np.empty(2 * size, np.int32)
    block_element = np.empty(size + 1, np.int32)
    block_run = np.empty(size + 2, np.int32)

    tag[0], parent[0], start[0], depth[0], within[0], attributes[0] = UNKNOWN, -1, 0, 0, 0, 0
    attributes[1] = 0  # for a page without a start tag
    elements, attrs, runs, blocks = 1, 0, 0, 0
    block_run[0] = 0
    stack = np.empty(DEPTH + 1, np.int32)
    stack[0] = 0
    top = 0
    begin = 0  # first run of the block that is open
    full = False  # whether the open block has more than spaces
    breaks = 0  # line breaks in a row
    skip = 0  # depth of the stack below which text is not text; 0 where it is
    head = False
    titled = False
    unclosed_math = unclosed_noscript = False
    noscript = 0  # where the <noscript> ends that this is in
    # For each tag where its end tag was last looked for in vain, so that no stretch is searched twice.
    endless_low = np.zeros(len(names.kinds), np.int32)
    endless_high = np.zeros(len(names.kinds), np.int32)

    at = 0
    while at < n:
        # Text up to the next tag.
        low = at
        blank = True
        while at < n and is_space(html[at]):
            at += 1
        while at < n:
            found = seek(html, words, at, n, 60)
            blank &= found == at
            at = found
            if at + 1 < n:
                after = html[at + 1]
                if (97 <= (after | 32) <= 122) or after == 47 or after == 33 or after == 63:
                    break
            if at < n:
                blank = False
                at += 1
        if at > low and skip == 0:
            if head and not blank:
                head = False
                while top > 0 and tag[stack[top]] != _HEAD_TAG:
                    top -= 1
                top = max(0, top - 1)
            if not head and (not blank or runs > begin):
                run_kind[runs], run_element[runs], run_low[runs], run_high[runs] = TEXT, stack[top], low, at
                runs += 1
                if not blank:
                    full = True
                    breaks = 0
        if at >= n:
            break
        begin_tag = at
        after = html[at + 1] if at + 1 < n else np.uint8(0)
        if after == 33 or after == 63:  # <! <?
            if at + 3 < n and html[at + 2] == 45 and html[at + 3] == 45:
                at = comment_end(html, words, at, n)
            elif contains(html, at + 2, min(n, at + 9), _CDATA):
                at += 9  # its text is text, its end is cut when it is read
            else:
                while at < n and html[at] != 62:
                    at += 1
                at += 1
            continue
        closing = after == 47
        closed = False
        name_low = at + (2 if closing else 1)
        if closing and (name_low >= n or not (97 <= (html[name_low] | 32) <= 122)):  # </ and no name: a comment
            while at < n and html[at] != 62:
                at += 1
            at += 1
            continue
        name_high = name_low
        hyphen = False
        while name_high < n and not (is_space(html[name_high]) or html[name_high] == 62 or html[name_high] == 47):
            hyphen |= html[name_high] == 45
            name_high += 1
        here = number_of(names.tags, folded_key_of(html, name_low, name_high))
        if here < 0:
            here = _CUSTOM if hyphen else UNKNOWN
        kind = names.kinds[here]
        target = top  # depth of the stack after this tag closed what it closes
        flush = False

        if closing:
            at = tag_end(html, words, name_high, n)
            if here == _BR:
                kind = 0  # </br> is a line break, below
            elif here in (_HTML, _BODY):
                continue
            elif here == _HEAD_TAG:
                head = False
            if here != _BR:
                top, target, flush = end_tag_closes(here, kind, stack, top, tag, names.kinds)
                for k in range(target + 1, top + 1):
                    flush |= names.kinds[tag[stack[k]]] & _BLOCK != 0
                top = target
                if skip > top:
                    skip = 0
                if flush:
                    if full:
                        blocks += 1
                        block_run[blocks] = runs
                    else:
                        runs = begin
                    begin, full, breaks = runs, False, 0
                continue
        else:
            attributes[elements] = attrs
            attrs, at, closed = read_attributes(html, words, name_high, n, names, attrs, attr_name, attr_low, attr_high)
            attributes[elements + 1] = attrs
            if head and not kind & _HEAD:
                head = False
                while top > 0 and tag[stack[top]] != _HEAD_TAG:
                    top -= 1
                top = max(0, top - 1)
            top, target = start_tag_closes(here, kind, stack, top, tag, names.kinds)
            if target < 0:
                continue
            for k in range(target + 1, top + 1):
                flush |= names.kinds[tag[stack[k]]] & _BLOCK != 0
            top = target
            if skip > top:
                skip = 0
            flush |= kind & _BLOCK != 0

        if flush:
            if full:
                blocks += 1
                block_run[blocks] = runs
            else:
                runs = begin
            begin, full, breaks = runs, False, 0

        if here == _BR:
            if skip == 0 and not head:
                breaks += 1
                if breaks == 2 and full:  # an empty line ends a block
                    blocks += 1
                    block_run[blocks] = runs
                    begin, full = runs, False
                elif full:
                    run_kind[runs], run_element[runs], run_low[runs], run_high[runs] = BREAK, stack[top], at, at
                    runs += 1
            continue

        # A start tag: a new element.
        element = elements
        elements += 1
        outer = stack[top]
        tag[element], parent[element], start[element] = here, outer, begin_tag
        depth[element] = min(top + 1, 32000)
        flags = within[outer] | names.within[here]
        drawn = kind & _SKIP != 0 and here != _HEAD_TAG
        for k in range(attributes[element], attrs):
            known = attr_name[k]
            low, high = attr_low[k], attr_high[k]
            if known == _CLASS:
                drawn |= here != _MJX and says_drawn(html, low, high, names)
            elif known == _HIDE:
                flags |= _HIDDEN
            elif known == _ARIA_HIDDEN:
                if contains(html, low, high, _TRUE):
                    flags |= _HIDDEN
            elif known == _STYLE:
                if hidden_style(html, low, high, _NONE, _HIDDEN_WORD):
                    flags |= _HIDDEN
            elif known == _ROLE:
                role = number_of(names.roles, folded_key_of(html, low, high))
                if role > 0:
                    flags |= role
        within[element] = flags
        if here == _NOSCRIPT and at >= noscript and not unclosed_noscript:
            noscript = raw_end(html, words, at, n, name_low, name_high)
            if noscript == n:
                noscript = 0
                unclosed_noscript = True
        if here == _HEAD_TAG and blocks == 0 and not full:
            head = True

        if here == _MATH and skip == 0 and not head and not unclosed_math:
            end = raw_end(html, words, at, n, name_low, name_high)
            if end == n:
                unclosed_math = True
        if here == _MATH and skip == 0 and not head and not unclosed_math:
            end = min(n, end + 7)
            run_kind[runs], run_element[runs], run_low[runs], run_high[runs] = MATHML, element, begin_tag, end
            runs += 1
            full, breaks = True, 0
            at = end
            continue
        if kind & _RAW and not (here == _TITLE and skip > 0):
            low = at
            bound = noscript if at < noscript else n  # to a browser with scripts all of <noscript> is one raw text
            if endless_low[here] <= at and bound <= endless_high[here]:
                high = bound
            else:
                high = raw_end(html, words, at, bound, name_low, name_high)
            if high == bound:
                if here not in (_SCRIPT, _STYLE_TAG, _TITLE):  # without an end it would hold the rest of the page
                    endless_low[here], endless_high[here] = at, bound
                    continue
                at = bound
            else:
                at = tag_end(html, words, high + 2, n)
            if here == _TITLE:
                if not titled and attrs < len(attr_name):
                    titled = True
                    attr_name[attrs], attr_low[attrs], attr_high[attrs] = RAW_TITLE, low, high
                    attrs += 1
                    attributes[element + 1] = attrs
            elif here == _SCRIPT:
                for k in range(attributes[element], attributes[element + 1]):
                    if attr_name[k] == _TYPE:
                        if contains(html, attr_low[k], min(attr_high[k], attr_low[k] + 5), _MATH_TYPE) and not head:
                            display = contains(html, attr_low[k], attr_high[k], _DISPLAY)
                            if skip == 0:
                                ascii_math = contains(html, attr_low[k], attr_high[k], _ASCIIMATH_TYPE)
                                run_kind[runs] = ASCIIMATH if ascii_math else DISPLAY_TEX if display else TEX
                                run_element[runs], run_low[runs], run_high[runs] = element, low, high
                                runs += 1
                                full, breaks = True, 0
                        elif attrs < len(attr_name) and contains(html, attr_low[k], attr_high[k], _LD_JSON):
                            attr_name[attrs], attr_low[attrs], attr_high[attrs] = RAW_JSON, low, high
                            attrs += 1
                            attributes[element + 1] = attrs
                            break
            elif here == _XMP and skip == 0:
                run_kind[runs], run_element[runs], run_low[runs], run_high[runs] = TEXT, element, low, high
                runs += 1
                full = True
            continue
        if here == _IMG and skip == 0 and not head:
            alt = alt_of_formula(
                html, attributes[element], attributes[element + 1], attr_name, attr_low, attr_high, _WORD_ARRAYS
            )
            if alt >= 0:
                display = False
                around = outer
                for _ in range(2):  # <div class="math"><p><img ...>
                    if tag[around] == _DIV:
                        for k in range(attributes[around], attributes[around + 1]):
                            if attr_name[k] == _CLASS:
                                display |= has_class(html, attr_low[k], attr_high[k], _WORD_ARRAYS[7])
                    around = max(0, parent[around])
                run_kind[runs], run_element[runs] = DISPLAY_TEX if display else IMAGE, element
                run_low[runs], run_high[runs] = attr_low[alt], attr_high[alt]
                runs += 1
                full, breaks = True, 0
        if kind & _VOID or (closed and here in (UNKNOWN, _SVG)):
            continue
        if top < DEPTH:
            top += 1
            stack[top] = element
            if drawn and skip == 0:
                skip = top
    if full:
        blocks += 1
        block_run[blocks] = runs
    for b in range(blocks):
        block_element[b] = _container(run_element[block_run[b]], tag, parent, names.kinds)
    return (
        _cut(tag, elements),
        _cut(parent, elements),
        _cut(start, elements),
        _cut(depth, elements),
        _cut(within, elements),
        _cut(attributes, elements + 1),
        _cut(attr_name, attrs),
        _cut(attr_low, attrs),
        _cut(attr_high, attrs),
        _cut(run_kind, runs),
        _cut(run_element, runs),
        _cut(run_low, runs),
        _cut(run_high, runs),
        _cut(block_element, blocks),
        _cut(block_run, blocks + 1),
    )
