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

from pipelines.extract.page.names import (
    ATTRIBUTE,
    FNV_OFFSET,
    FNV_PRIME,
    NAMES,
    RAW_JSON,
    RAW_TITLE,
    TAG,
    UNKNOWN,
    Kind,
    Within,
)

TEXT: Final = 0
BREAK: Final = 1
MATHML: Final = 2
TEX: Final = 3
DISPLAY_TEX: Final = 4
IMAGE: Final = 5
DEPTH: Final = 400
"""Open elements: what is nested deeper counts as inside the one at this depth."""

_OFFSET, _PRIME = np.uint64(FNV_OFFSET), np.uint64(FNV_PRIME)
_BLOCK, _VOID, _CLOSES_P, _SPECIAL = int(Kind.BLOCK), int(Kind.VOID), int(Kind.CLOSES_P), int(Kind.SPECIAL)
_FORMATTING, _RAW, _SKIP, _HEAD, _IS_HEADING = (
    int(Kind.FORMATTING),
    int(Kind.RAW),
    int(Kind.SKIP),
    int(Kind.HEAD),
    int(Kind.HEADING),
)
_HIDDEN = int(Within.HIDDEN)
_T = TAG
_P, _LI, _DD, _DT, _A, _BR, _HR, _IMG, _BUTTON = (
    _T["p"], _T["li"], _T["dd"], _T["dt"], _T["a"], _T["br"], _T["hr"], _T["img"], _T["button"],
)  # fmt: skip
_TABLE, _TR, _TD, _TH, _TBODY, _THEAD, _TFOOT, _CAPTION = (
    _T["table"], _T["tr"], _T["td"], _T["th"], _T["tbody"], _T["thead"], _T["tfoot"], _T["caption"],
)  # fmt: skip
_COLGROUP, _COL, _UL, _OL, _DIV, _ADDRESS, _HTML, _BODY, _HEAD_TAG = (
    _T["colgroup"], _T["col"], _T["ul"], _T["ol"], _T["div"], _T["address"], _T["html"], _T["body"], _T["head"],
)  # fmt: skip
_MJX, _STYLE_TAG = _T["mjx-container"], _T["style"]
_SCRIPT, _TITLE, _MATH, _PLAINTEXT, _CUSTOM, _NOSCRIPT, _OBJECT, _XMP, _SVG = (
    _T["script"], _T["title"], _T["math"], _T["plaintext"], _T["custom"], _T["noscript"], _T["object"], _T["xmp"],
    _T["svg"],
)  # fmt: skip
_CLASS, _STYLE, _HIDE, _ARIA_HIDDEN, _ROLE, _TYPE = (
    ATTRIBUTE["class"], ATTRIBUTE["style"], ATTRIBUTE["hidden"], ATTRIBUTE["aria-hidden"], ATTRIBUTE["role"],
    ATTRIBUTE["type"],
)  # fmt: skip
_ALT, _SRC = ATTRIBUTE["alt"], ATTRIBUTE["src"]


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
    run_kind: NDArray[np.int8]  # TEXT, BREAK, MATHML, TEX, DISPLAY_TEX, IMAGE
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
    return Page(*_parse(html, NAMES))


@njit(cache=True, nogil=True, inline="always")
def is_space(byte) -> Any:
    """Whether a byte is ASCII whitespace as HTML has it."""
    return byte == 32 or (9 <= byte <= 13 and byte != 11)


@njit(cache=True, nogil=True)
def _found(table, key) -> Any:
    """Look a name's hash up; -1 where it is not known."""
    size = np.uint64(len(table.keys) - 1)
    slot = key & size
    while table.values[slot] >= 0:
        if table.keys[slot] == key:
            return np.int64(table.values[slot])
        slot = (slot + np.uint64(1)) & size
    return np.int64(-1)


@njit(cache=True, nogil=True)
def _key(html, low, high) -> Any:
    """Hash bytes as they are."""
    state = _OFFSET
    for at in range(low, high):
        state = (state ^ np.uint64(html[at])) * _PRIME
    return state


@njit(cache=True, nogil=True)
def _key_folded(html, low, high) -> Any:
    """Hash bytes with ASCII capitals as small letters."""
    state = _OFFSET
    for at in range(low, high):
        byte = html[at]
        if 65 <= byte <= 90:
            byte += np.uint8(32)
        state = (state ^ np.uint64(byte)) * _PRIME
    return state


@njit(cache=True, nogil=True)
def _comment_end(html, at, n) -> Any:
    """Return where the comment that begins at `at` ("<!--") ends."""
    j = at + 4
    if j < n and html[j] == 62:  # <!-->
        return j + 1
    if j + 1 < n and html[j] == 45 and html[j + 1] == 62:  # <!--->
        return j + 2
    while j + 2 < n:
        if html[j] == 45 and html[j + 1] == 45:
            if html[j + 2] == 62:
                return j + 3
            if html[j + 2] == 33 and j + 3 < n and html[j + 3] == 62:
                return j + 4
        j += 1
    return n


@njit(cache=True, nogil=True)
def _raw_end(html, at, n, name_low, name_high) -> Any:
    """Return where the end tag begins that closes a raw element of this name; n where there is none."""
    length = name_high - name_low
    j = at
    while j + 2 + length <= n:
        if html[j] == 60 and html[j + 1] == 47:
            same = True
            for k in range(length):
                if (html[j + 2 + k] | 32) != (html[name_low + k] | 32):
                    same = False
                    break
            if same:
                after = j + 2 + length
                if after >= n or is_space(html[after]) or html[after] == 62 or html[after] == 47:
                    return j
        j += 1
    return n


@njit(cache=True, nogil=True)
def _tag_end(html, at, n) -> Any:
    """Return the position after the ">" of a tag whose name ends at `at`, past quoted values."""
    j = at
    while j < n and html[j] != 62:
        if html[j] == 61:  # =
            j += 1
            while j < n and is_space(html[j]):
                j += 1
            if j < n and (html[j] == 34 or html[j] == 39):
                quote = html[j]
                j += 1
                while j < n and html[j] != quote:
                    j += 1
                j += 1
        else:
            j += 1
    return min(n, j + 1)


@njit(cache=True, nogil=True)
def _attributes(html, at, n, names, count, attr_name, attr_low, attr_high) -> Any:
    """Read the attributes of a tag whose name ends at `at`; known ones are noted.

    Returns the number of noted attributes, the position after the tag, and whether it closes itself.
    """
    j = at
    closed = False
    while j < n:
        while j < n and (is_space(html[j]) or html[j] == 47):
            closed = html[j] == 47
            j += 1
        if j >= n:
            return count, n, closed
        if html[j] == 62:
            return count, j + 1, closed
        closed = False
        low = j
        j += 1  # a "=" may begin a name
        while j < n and not (is_space(html[j]) or html[j] == 61 or html[j] == 62 or html[j] == 47):
            j += 1
        high = j
        while j < n and is_space(html[j]):
            j += 1
        value_low = value_high = j
        if j < n and html[j] == 61:
            j += 1
            while j < n and is_space(html[j]):
                j += 1
            if j < n and (html[j] == 34 or html[j] == 39):
                quote = html[j]
                j += 1
                value_low = j
                while j < n and html[j] != quote:
                    j += 1
                value_high = j
                j += 1
            else:
                value_low = j
                while j < n and not is_space(html[j]) and html[j] != 62:
                    j += 1
                value_high = j
        if high - low <= 12 and count < len(attr_name):
            found = _found(names.attributes, _key_folded(html, low, high))
            if found > 0:
                attr_name[count] = found
                attr_low[count] = value_low
                attr_high[count] = min(value_high, n)
                count += 1
    return count, n, closed


@njit(cache=True, nogil=True)
def contains(html, low, high, word) -> Any:
    """Whether a value contains an ASCII word in small letters."""
    length = len(word)
    for at in range(low, high - length + 1):
        k = 0
        while k < length:
            byte = html[at + k]
            if 65 <= byte <= 90:
                byte += np.uint8(32)
            if byte != word[k]:
                break
            k += 1
        if k == length:
            return True
    return False


@njit(cache=True, nogil=True)
def _hidden_style(html, low, high, none, hidden) -> Any:
    """Whether a style says display:none or visibility:hidden; spaces apart."""
    for at in range(low, high):
        if html[at] != 58:  # :
            continue
        j = at + 1
        while j < high and is_space(html[j]):
            j += 1
        before = at
        while before > low and is_space(html[before - 1]):
            before -= 1
        last = html[before - 1] | 32 if before > low else 0
        if last == 121 and (  # displa-y, visibilit-y
            contains(html, j, min(high, j + 4), none) or contains(html, j, min(high, j + 6), hidden)
        ):
            return True
    return False


@njit(cache=True, nogil=True)
def _drawn(html, low, high, names) -> Any:
    """Whether a class says that this was drawn from a formula."""
    at = low
    while at < high:
        while at < high and is_space(html[at]):
            at += 1
        start = at
        while at < high and not is_space(html[at]):
            at += 1
        if at > start and _found(names.drawn, _key(html, start, at)) > 0:
            return True
    return False


@njit(cache=True, nogil=True)
def _image_of_formula(html, element_low, element_high, attr_name, attr_low, attr_high, words) -> Any:
    """Number of the alt attribute of an image that shows a formula, -1 for other images.

    Classes tex, latex, mwe-math*; sources latex.php, codecogs.com, tex.cgi (OpenWebMath, 2310.06786, section 3.1).
    """
    alt, shows = -1, False
    for k in range(element_low, element_high):
        low, high = attr_low[k], attr_high[k]
        if attr_name[k] == _ALT:
            alt = k
        elif attr_name[k] == _CLASS:
            if contains(html, low, high, words[0]):
                shows = True
            for word in (words[1], words[2]):  # whole classes
                length = len(word)
                for at in range(low, high - length + 1):
                    if (at == low or is_space(html[at - 1])) and (at + length == high or is_space(html[at + length])):
                        shows |= contains(html, at, at + length, word)
        elif attr_name[k] == _SRC and not contains(html, low, min(high, low + 5), words[6]):
            far = min(high, low + 500)
            shows |= (
                contains(html, low, far, words[3])
                or contains(html, low, far, words[4])
                or contains(html, low, far, words[5])
            )
    return alt if shows and alt >= 0 and attr_high[alt] > attr_low[alt] else -1


@njit(cache=True, nogil=True)
def _cut(values, count) -> Any:
    return values[:count].copy()


_WORDS = (b"mwe-math", b"tex", b"latex", b"latex.php", b"codecogs.com", b"tex.cgi", b"data:")
_WORD_ARRAYS = tuple(np.frombuffer(word, np.uint8) for word in _WORDS)
_NONE, _HIDDEN_WORD = np.frombuffer(b"none", np.uint8), np.frombuffer(b"hidden", np.uint8)
_MATH_TYPE, _DISPLAY, _LD_JSON, _TRUE = (
    np.frombuffer(b"math/", np.uint8),
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
def _parse(html, names) -> Any:
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
    unclosed_math = False
    noscript = 0  # where the <noscript> ends that this is in

    at = 0
    while at < n:
        # Text up to the next tag.
        low = at
        blank = True
        while at < n:
            byte = html[at]
            if byte == 60:
                if at + 1 < n:
                    after = html[at + 1]
                    if (97 <= (after | 32) <= 122) or after == 47 or after == 33 or after == 63:
                        break
                blank = False
            elif blank and not is_space(byte):
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
                at = _comment_end(html, at, n)
            elif contains(html, at + 2, min(n, at + 9), _CDATA):
                at += 9  # its text is text, its end is cut when it is read
            else:
                while at < n and html[at] != 62:
                    at += 1
                at += 1
            continue
        closing = after == 47
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
        here = _found(names.tags, _key_folded(html, name_low, name_high))
        if here < 0:
            here = _CUSTOM if hyphen else UNKNOWN
        kind = names.kinds[here]
        target = top  # depth of the stack after this tag closed what it closes
        flush = False

        if closing:
            at = _tag_end(html, name_high, n)
            if here == _BR:
                kind = 0  # </br> is a line break, below
            elif here in (_HTML, _BODY):
                continue
            elif here == _HEAD_TAG:
                head = False
            if here != _BR:
                j = top
                found = -1
                blocked = False
                while j > 0:
                    open_tag = tag[stack[j]]
                    if open_tag == here:
                        found = j
                        break
                    if here == _TABLE:
                        j -= 1
                        continue
                    if here in (_TR, _TBODY, _THEAD, _TFOOT, _TD, _TH, _CAPTION):
                        if open_tag == _TABLE:
                            break
                    elif open_tag in (_TD, _TH, _CAPTION, _TABLE, _OBJECT) or (here == _LI and open_tag in (_UL, _OL)):
                        break
                    elif kind & _IS_HEADING and names.kinds[open_tag] & _IS_HEADING:
                        found = j
                        break
                    elif names.kinds[open_tag] & _SPECIAL and not kind & _SPECIAL and here != _CUSTOM:
                        blocked = True
                        if not kind & _FORMATTING:
                            break
                    j -= 1
                if found > 0 and blocked:  # a formatting element ends inside a block that goes on
                    for k in range(found, top):
                        stack[k] = stack[k + 1]
                    top -= 1
                    target = top
                elif found > 0:
                    target = found - 1
                elif here == _P:
                    flush = True
            if here != _BR:
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
            attrs, at, closed = _attributes(html, name_high, n, names, attrs, attr_name, attr_low, attr_high)
            attributes[elements + 1] = attrs
            if head and not kind & _HEAD:
                head = False
                while top > 0 and tag[stack[top]] != _HEAD_TAG:
                    top -= 1
                top = max(0, top - 1)
            # What this start tag closes.
            target = top
            if kind & _CLOSES_P:
                for j in range(top, 0, -1):
                    open_tag = tag[stack[j]]
                    if open_tag == _P:
                        target = j - 1
                        break
                    if open_tag in (_TD, _TH, _CAPTION, _TABLE, _BUTTON, _OBJECT):
                        break
            if kind & _IS_HEADING and target > 0 and names.kinds[tag[stack[target]]] & _IS_HEADING:
                target -= 1
            if here in (_LI, _DD, _DT):
                for j in range(target, 0, -1):
                    open_tag = tag[stack[j]]
                    if open_tag == here or (here != _LI and open_tag in (_DD, _DT)):
                        target = j - 1
                        break
                    if names.kinds[open_tag] & _SPECIAL and open_tag not in (_ADDRESS, _DIV, _P):
                        break
            elif here in (_TR, _TD, _TH, _TBODY, _THEAD, _TFOOT, _CAPTION, _COLGROUP, _COL):
                for j in range(target, 0, -1):
                    open_tag = tag[stack[j]]
                    if open_tag == _TABLE:
                        target = j
                        break
                    if here in (_TR, _TD, _TH) and open_tag in (_TBODY, _THEAD, _TFOOT):
                        target = j
                        break
                    if here in (_TD, _TH) and open_tag == _TR:
                        target = j
                        break
            elif here in (_BUTTON, _A):
                for j in range(target, 0, -1):
                    open_tag = tag[stack[j]]
                    if open_tag == here:
                        if here == _BUTTON or j == target:
                            target = j - 1
                        else:
                            for k in range(j, target):
                                stack[k] = stack[k + 1]
                            top -= 1
                            target -= 1
                        break
                    if open_tag in (_TD, _TH, _CAPTION, _TABLE):
                        break
            elif here in (_BODY, _HTML):
                repeated = False
                for j in range(top, 0, -1):
                    repeated |= tag[stack[j]] == here
                if repeated:
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
                drawn |= here != _MJX and _drawn(html, low, high, names)
            elif known == _HIDE:
                flags |= _HIDDEN
            elif known == _ARIA_HIDDEN:
                if contains(html, low, high, _TRUE):
                    flags |= _HIDDEN
            elif known == _STYLE:
                if _hidden_style(html, low, high, _NONE, _HIDDEN_WORD):
                    flags |= _HIDDEN
            elif known == _ROLE:
                role = _found(names.roles, _key_folded(html, low, high))
                if role > 0:
                    flags |= role
        within[element] = flags
        if here == _NOSCRIPT and at >= noscript:
            noscript = _raw_end(html, at, n, name_low, name_high)
            if noscript == n:
                noscript = 0
        if here == _HEAD_TAG and blocks == 0 and not full:
            head = True

        if here == _MATH and skip == 0 and not head and not unclosed_math:
            end = _raw_end(html, at, n, name_low, name_high)
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
            high = _raw_end(html, at, bound, name_low, name_high)
            if high == bound:
                if here not in (_SCRIPT, _STYLE_TAG, _TITLE):  # without an end it would hold the rest of the page
                    continue
                at = bound
            else:
                at = _tag_end(html, high + 2, n)
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
                                run_kind[runs] = DISPLAY_TEX if display else TEX
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
            alt = _image_of_formula(
                html, attributes[element], attributes[element + 1], attr_name, attr_low, attr_high, _WORD_ARRAYS
            )
            if alt >= 0:
                run_kind[runs], run_element[runs] = IMAGE, element
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
