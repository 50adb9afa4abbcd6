"""Character references as the standard library resolves them, whatever their length."""

from __future__ import annotations

import html
import re

_LONG = re.compile(r"&#(?:([0-9]{20,})|[xX]([0-9a-fA-F]{20,}));?")
_MOST_DIGITS = 7


def unescape(text: str) -> str:
    """A text with its character references resolved.

    `html.unescape` raises ValueError for numbers of more than 4,300 digits, which Python refuses to read.
    """
    return html.unescape(_LONG.sub(_short, text)) if "&" in text else text


def _short(found: re.Match[str]) -> str:
    decimal, hexadecimal = found[1], found[2]
    digits = (decimal or hexadecimal).lstrip("0") or "0"
    if len(digits) > _MOST_DIGITS:
        return "\ufffd"  # beyond all characters
    return f"&#{digits};" if decimal else f"&#x{digits};"
