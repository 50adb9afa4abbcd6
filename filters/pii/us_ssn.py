"""Social security numbers of the United States, by the rules of the Social Security Administration.

Area 000, 666 and 900 to 999, group 00 and serial 0000 are never given (https://www.ssa.gov/employer/randomization.html).
There is no checksum: three, two and four digits with hyphens are a number; other writings need a word that says so.
Numbers that advertisements and forms show are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from filters.pii.context import Words
from filters.pii.span import Span

__all__ = ["social_security_numbers"]

_FORM: Final = re.compile(
    r"(?<![\w.+-])(?!000|666|9)\d{3}"
    r"(?:(?P<hyphen>-)(?!00)\d\d-|(?P<other>[ .]?)(?!00)\d\d(?P=other))(?!0000)\d{4}(?![\w-])"
)
_WORDS: Final = frozenset({"ssn", "ssns", "s s", "social security", "social number", "socialsecurity"})
_SHOWN: Final = frozenset({"078051120", "219099999", "457555462", "123456789", "111111111", "333333333", "555555555"})


def social_security_numbers(text: str, start: int, end: int) -> Iterator[Span]:
    """The numbers among the groups of digits from ``start`` to ``end``."""
    for match in _FORM.finditer(text, start, end):
        digits = re.sub(r"\D", "", match[0])
        if digits not in _SHOWN and (match["hyphen"] or Words(text, match.start()).any(_WORDS)):
            yield Span("us_ssn", match.start(), match.end(), match[0])
