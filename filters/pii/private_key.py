"""Private keys: the data between the lines of PEM and in PuTTY's files.

The lines around the data stay, and a line alone, as in code that looks for one, is no key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from filters.pii.span import Span

__all__ = ["MARKS", "private_keys"]

MARKS: Final = ("PRIVATE KEY", "PuTTY-User-Key-File-")
"""One of them is in every text with a finding."""

_PEM: Final = re.compile(
    r"-----BEGIN ((?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)?)-----"
    r"(?P<body>(?:[^-]|-(?!----)){1,20000}+)-----END \1-----"
)
_OPEN_PEM: Final = re.compile(  # without an end: what follows and can be a part of one
    r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
    r"(?P<body>(?:\s|\\n|[\"'+,#*/]|[A-Za-z0-9+/=]{16,}+){1,20000}+)"
)
_PUTTY: Final = re.compile(
    r"PuTTY-User-Key-File-\d:(?:(?!PuTTY-User).){0,4000}?Private-Lines: \d+\r?\n"
    r"(?P<body>(?:[A-Za-z0-9+/=]{4,}+\r?\n?)+)",
    re.DOTALL,
)
_DATA: Final = re.compile(r"[A-Za-z0-9+/=]{16,}")
_FEWEST: Final = 64


def private_keys(text: str) -> Iterator[Span]:
    """The data of every private key."""
    for pattern in (_PEM, _OPEN_PEM, _PUTTY):
        for found in pattern.finditer(text):
            data = list(_DATA.finditer(text, *found.span("body")))
            if sum(len(piece.group()) for piece in data) >= _FEWEST:
                start, end = data[0].start(), data[-1].end()
                yield Span("private_key", start, end, text[start:end])
