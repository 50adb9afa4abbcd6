"""Which open elements a tag closes: the tree rules of the HTML Living Standard (13.2.6), as far as they move text.

The open elements are a stack of element numbers; `stack[0]` is the document, `stack[top]` the innermost.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any

from numba import njit

from pipelines.extract.page.names import TAG, Kind

_CLOSES_P, _SPECIAL, _FORMATTING, _IS_HEADING = (
    int(Kind.CLOSES_P),
    int(Kind.SPECIAL),
    int(Kind.FORMATTING),
    int(Kind.HEADING),
)
_T = TAG
_P, _LI, _DD, _DT, _A, _BUTTON, _UL, _OL, _DIV, _ADDRESS = (
    _T["p"], _T["li"], _T["dd"], _T["dt"], _T["a"], _T["button"], _T["ul"], _T["ol"], _T["div"], _T["address"],
)  # fmt: skip
_TABLE, _TR, _TD, _TH, _TBODY, _THEAD, _TFOOT, _CAPTION, _COLGROUP, _COL = (
    _T["table"], _T["tr"], _T["td"], _T["th"], _T["tbody"], _T["thead"], _T["tfoot"], _T["caption"], _T["colgroup"],
    _T["col"],
)  # fmt: skip
_HTML, _BODY, _CUSTOM, _OBJECT = _T["html"], _T["body"], _T["custom"], _T["object"]


@njit(cache=True, nogil=True)
def end_tag_closes(here, kind, stack, top, tag, kinds) -> Any:
    """Take what an end tag closes off the stack, or out of its middle.

    Returns the stack's top, the depth that stays open, and whether the tag is a </p> that stands for an empty one.
    """
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
        elif kind & _IS_HEADING and kinds[open_tag] & _IS_HEADING:
            found = j
            break
        elif kinds[open_tag] & _SPECIAL and not kind & _SPECIAL and here != _CUSTOM:
            blocked = True
            if not kind & _FORMATTING:
                break
        j -= 1
    target, lone = top, False
    if found > 0 and blocked:  # a formatting element ends inside a block that goes on
        for k in range(found, top):
            stack[k] = stack[k + 1]
        top -= 1
        target = top
    elif found > 0:
        target = found - 1
    else:
        lone = here == _P
    return top, target, lone


@njit(cache=True, nogil=True)
def start_tag_closes(here, kind, stack, top, tag, kinds) -> Any:
    """Return the stack's top, and the depth that stays open at a start tag.

    The depth is -1 for a second <html> or <body>, which opens nothing.
    """
    target = top
    if kind & _CLOSES_P:
        for j in range(top, 0, -1):
            open_tag = tag[stack[j]]
            if open_tag == _P:
                target = j - 1
                break
            if open_tag in (_TD, _TH, _CAPTION, _TABLE, _BUTTON, _OBJECT):
                break
    if kind & _IS_HEADING and target > 0 and kinds[tag[stack[target]]] & _IS_HEADING:
        target -= 1
    if here in (_LI, _DD, _DT):
        for j in range(target, 0, -1):
            open_tag = tag[stack[j]]
            if open_tag == here or (here != _LI and open_tag in (_DD, _DT)):
                target = j - 1
                break
            if kinds[open_tag] & _SPECIAL and open_tag not in (_ADDRESS, _DIV, _P):
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
        for j in range(top, 0, -1):
            if tag[stack[j]] == here:
                return top, -1
    return top, target
