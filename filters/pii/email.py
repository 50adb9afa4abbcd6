"""E-mail addresses: RFC 5322's dot-atoms with a domain under a top-level domain that exists.

Domains set aside for examples and tests (RFC 2606, RFC 6761) belong to nobody and are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from filters.pii.span import Span
from filters.pii.top_level_domains import TOP_LEVEL_DOMAINS

__all__ = ["emails"]

_LETTER: Final = (
    "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"  # Latin: in Chinese an address stands among Han letters
)
_LOCAL: Final = re.compile(rf"[{_LETTER}0-9_](?:[{_LETTER}0-9_.%+'-]{{0,62}}[{_LETTER}0-9_%+-])?$")
_LABEL: Final = rf"[{_LETTER}0-9](?:[{_LETTER}0-9-]{{0,61}}[{_LETTER}0-9])?"
_DOMAIN: Final = re.compile(
    rf"(?:{_LABEL}\.){{1,10}}(?:xn--[A-Za-z0-9-]{{1,58}}[A-Za-z0-9]|[{_LETTER}]{{2,63}})(?![{_LETTER}0-9])"
)
_EXAMPLE: Final = re.compile(r"(?:^|\.)example\.(?:com|net|org|edu)$", re.IGNORECASE)


def emails(text: str, at: int, end: int) -> Iterator[Span]:
    """The address around the @ at ``at``, if there is one."""
    domain = _DOMAIN.match(text, at + 1)
    local = _LOCAL.search(text[max(0, at - 64) : at]) if domain else None
    if domain and local and ".." not in local[0] and _exists(domain[0]):
        start = at - len(local[0])
        yield Span("email", start, domain.end(), text[start : domain.end()])


def _exists(domain: str) -> bool:
    """Whether a domain can be somebody's: "icon@2x.png" names a file, "a@host.local" nothing beyond its network."""
    top = domain.rsplit(".", 1)[1].lower()
    if not top.isascii():
        top = "xn--" + top.encode("punycode").decode()
    return top in TOP_LEVEL_DOMAINS and _EXAMPLE.search(domain) is None
