r"""Which bracket closes which in LaTeX, and which `\end` ends which `\begin`, found in one pass over a text.

A search from each opening bracket on would take time in the square of a text with many that nothing closes.
"""

from __future__ import annotations

import functools
import re
from array import array
from bisect import bisect_left
from collections.abc import Mapping

_BRACKET = re.compile(r"\\.|[{}\[\]]", re.DOTALL)
_ENVIRONMENT = re.compile(r"\\(begin|end)\s*\{([^{}\\]+)\}")
_SPACE = re.compile(r"[ \t]*\n?[ \t]*")
_REMEMBERED = 48
"""Texts whose brackets are remembered: a text, and the arguments inside arguments that are read meanwhile."""


def braced(text: str, at: int, opening: str = "{") -> tuple[str, int] | None:
    """What stands between a bracket at a position (spaces apart) and the one that closes it, and the place after it.

    None where there is no bracket, or none that closes it. Brackets after a backslash do not count, and a square
    bracket is not closed beyond the braces that it stands in.
    """
    begin = _SPACE.match(text, at)
    at = begin.end() if begin else at
    if not text.startswith(opening, at):
        return None
    starts, ends = _pairs(text)
    index = bisect_left(starts, at)
    if index == len(starts) or starts[index] != at:
        return None
    return text[at + 1 : ends[index]], ends[index] + 1


def environment(text: str, at: int, name: str) -> tuple[int, int] | None:
    r"""Where an environment ends whose `\begin{name}` ends at a position: the place of its `\end` and that after it."""
    return _environments(text).get((at, name))


@functools.lru_cache(_REMEMBERED)
def _pairs(text: str) -> tuple[array[int], array[int]]:
    """The places of the brackets that are closed, ascending, and of those that close them."""
    open_: list[tuple[str, int]] = []
    pairs: list[tuple[int, int]] = []
    for match in _BRACKET.finditer(text):
        sign = match[0]
        if sign in "{[":
            open_.append((sign, match.start()))
        elif sign == "]":
            if open_ and open_[-1][0] == "[":
                pairs.append((open_.pop()[1], match.start()))
        elif sign == "}":
            while open_ and open_[-1][0] == "[":
                open_.pop()
            if open_:
                pairs.append((open_.pop()[1], match.start()))
    pairs.sort()
    return array("q", [pair[0] for pair in pairs]), array("q", [pair[1] for pair in pairs])


@functools.lru_cache(_REMEMBERED)
def _environments(text: str) -> Mapping[tuple[int, str], tuple[int, int]]:
    open_: dict[str, list[int]] = {}
    found: dict[tuple[int, str], tuple[int, int]] = {}
    for match in _ENVIRONMENT.finditer(text):
        name = match[2].strip()
        if match[1] == "begin":
            open_.setdefault(name, []).append(match.end())
        elif open_.get(name):
            found[open_[name].pop(), name] = (match.start(), match.end())
    return found
