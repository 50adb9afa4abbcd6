r"""TeX between delimiters in a text: `$$…$$`, `\(…\)`, `\[…\]`, and the beginnings of displayed environments.

The same as by the regular expression

    \$\$[^$]{1,2000}\$\$ | \\\(.{1,500}?\\\) | \\\[.{1,2000}?\\\] | \\begin\{(?:equation|align)

but in time of the text's length: the expression looks 2,000 characters ahead from each delimiter that nothing closes.
"""

from __future__ import annotations

import re

_OPENING = re.compile(r"\$\$|\\[(\[]|\\begin\{(?:equation|align)")
_INLINE, _DISPLAYED = 500, 2000


def delimited(text: str) -> int:
    """The number of formulas between delimiters."""
    count = at = 0
    closing = {"\\)": -1, "\\]": -1}  # where each is next, so that no stretch is searched twice
    while (found := _OPENING.search(text, at)) is not None:
        start, opening = found.end(), found[0]
        end = start if opening.startswith("\\begin") else -1
        if opening == "$$":
            dollar = text.find("$", start + 1) if text[start : start + 1] != "$" else -1
            if 0 <= dollar - start <= _DISPLAYED and text.startswith("$$", dollar):
                end = dollar + 2
        elif end < 0:
            mark, most = ("\\)", _INLINE) if opening == "\\(" else ("\\]", _DISPLAYED)
            if closing[mark] < start + 1:
                place = text.find(mark, start + 1)
                closing[mark] = place if place >= 0 else len(text) + most + 1
            if closing[mark] - start <= most:
                end = closing[mark] + 2
        count += end >= 0
        at = end if end >= 0 else found.start() + 1
    return count
