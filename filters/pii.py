"""Personal data in text: e-mail addresses and public IP addresses, found, counted and replaced.

Found means validated: an e-mail address has the form of RFC 5322's dot-atoms with a domain name that could be one, an
IP address parses (``ipaddress``) and lies in no block that IANA's special-purpose registries (RFC 6890) set aside as
private, shared, local, documentation, benchmarking, multicast or reserved. Numbers that look like an IPv4 address and
are the number of a version or a section are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filters.batch import Batch
from filters.family import Family
from kernels.strings import TextBatch, text_batch

__all__ = ["FAMILY", "PLACEHOLDERS", "Span", "find", "redact"]

PLACEHOLDERS: Final = {"email": "<EMAIL_ADDRESS>", "ip": "<IP_ADDRESS>"}


@dataclass(frozen=True)
class Span:
    """Where something personal stands in a text."""

    kind: str
    """``email`` or ``ip``."""
    start: int
    """Position of the first code point."""
    end: int
    """Position after the last code point."""
    value: str
    """What stands there: ``text[start:end]``."""


# Which texts are worth reading at all: every text with a finding matches one of these, and RE2 runs them over the bytes
# of the column.
_CANDIDATES: Final = (
    rb"[0-9A-Za-z\x80-\xff]@[0-9A-Za-z\x80-\xff]",
    rb"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
    rb"[0-9A-Fa-f]*:[0-9A-Fa-f]*:",
)

_LETTER: Final = (
    "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"  # Latin: in Chinese an address stands among Han letters
)
_LOCAL: Final = re.compile(rf"[{_LETTER}0-9_](?:[{_LETTER}0-9_.%+'-]{{0,62}}[{_LETTER}0-9_%+-])?$")
_LABEL: Final = rf"[{_LETTER}0-9](?:[{_LETTER}0-9-]{{0,61}}[{_LETTER}0-9])?"
_DOMAIN: Final = re.compile(
    rf"(?:{_LABEL}\.){{1,10}}(?:xn--[A-Za-z0-9-]{{1,58}}[A-Za-z0-9]|[{_LETTER}]{{2,63}})(?![{_LETTER}0-9])"
)
# "icon@2x.png" names a file; none of these is a top-level domain.
_FILE_ENDINGS: Final = frozenset(
    """
    bmp css gif html ico jpeg jpg js json pdf png svg tiff webp xml
    """.split()  # noqa: SIM905
)

_IPV4: Final = re.compile(r"(?<![0-9A-Za-z_.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z_]|\.[0-9])")
_IPV6: Final = re.compile(
    r"(?<![0-9A-Za-z_:.])(?:[0-9A-Fa-f:]{2,29}:(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9A-Fa-f:]{2,39})(?![0-9A-Za-z_:])"
)

_NOT_PUBLIC_4: Final = tuple(
    IPv4Network(block)
    for block in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4"),
    )
)
_UNICAST_6: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))

# Words among the three before a number that say what it is; an address wins.
_NUMBER_WORDS: Final = frozenset(
    """
    appendix article build chapter clause driver edition figure firmware item paragraph patch rel
    release rev revision rfc sdk sec section software table update upgrade v ver version
    """.split()  # noqa: SIM905
)
_ADDRESS_WORDS: Final = frozenset(
    """
    address addresses addr client connect dns gateway host ip ipv ips peer ping server ssh subnet
    traceroute
    """.split()  # noqa: SIM905
)
_WORD: Final = re.compile(r"[^\W\d_]+")
_BEFORE_VERSION: Final = re.compile(
    r"(?:\b[A-Z]\w*/|(?<![\w./:@-])[a-z][\w-]*/|[A-Za-z][\w.]*-|[=<>~!^]=\s*|§\s*)$"
)  # Chrome/1.2.3.4, lib-1.2.3.4, ==1.2.3.4
_AFTER_VERSION: Final = re.compile(
    r"[-+ ]?(?:alpha|beta|rc|snapshot|release|dev)\b|[ ,]+(?:or|and) (?:later|newer|above|earlier)\b", re.IGNORECASE
)
_HEADING: Final = re.compile(r" +[A-Z]")
_HIGHEST_SECTION: Final = 30


def find(text: str) -> list[Span]:
    """Find e-mail addresses and public IPv4 and IPv6 addresses.

    Returns:
        Spans in the order of the text, not overlapping; positions are code points.
    """
    spans: list[Span] = []
    end = 0
    for span in sorted((*_emails(text), *_ips(text)), key=lambda span: (span.start, -span.end)):
        if span.start >= end:
            spans.append(span)
            end = span.end
    return spans


def redact(text: pa.Array[Any] | pa.ChunkedArray[Any], kinds: Collection[str] = tuple(PLACEHOLDERS)) -> pa.Array[Any]:
    """Replace what ``find`` finds by a placeholder, ``<EMAIL_ADDRESS>`` or ``<IP_ADDRESS>``.

    Args:
        text: string or large_string array (any type that ``kernels.strings.text_batch`` takes). Clean texts cost one
            regular expression over the column; only texts that may hold something are read in Python.
        kinds: which kinds of span to replace; all by default.

    Returns:
        An array (one piece, where ``text`` was chunked) of the same length, order and type. Nulls stay null; redacting
        twice changes nothing more.
    """
    batch = text_batch(text)
    rows: list[int] = []
    replaced: list[bytes] = []
    for row, original in _candidates(batch):
        spans = [span for span in find(original) if span.kind in kinds]
        if spans:
            rows.append(row)
            replaced.append(_replace(original, spans).encode("utf-8", "surrogateescape"))
    whole: Any = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
    if not rows:
        return whole
    mask = np.zeros(len(whole), np.bool_)
    mask[rows] = True
    # Through bytes: a text with bytes that are not UTF-8 keeps them.
    clean: Any = _binary(batch)
    result: Any = pc.replace_with_mask(clean, _array(mask), pa.array(replaced, pa.large_binary()))
    if whole.null_count:
        result = pc.if_else(whole.is_valid(), result, pa.scalar(None, pa.large_binary()))
    return _retyped(result, whole.type)


def _array(values: Any) -> Any:
    return pa.array(values)


def _matches(column: Any, pattern: Any) -> NDArray[np.bool_]:
    return pc.match_substring_regex(column, pattern).to_numpy(zero_copy_only=False)


def _replace(text: str, spans: list[Span]) -> str:
    parts: list[str] = []
    at = 0
    for span in spans:
        parts += (text[at : span.start], PLACEHOLDERS[span.kind])
        at = span.end
    return "".join((*parts, text[at:]))


def _binary(batch: TextBatch) -> Any:
    """The batch as an Arrow array of bytes, without copying."""
    data: Any = batch.data
    offsets: Any = batch.offsets
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_binary(), len(batch.offsets) - 1, buffers)


def _retyped(column: Any, kind: pa.DataType) -> Any:
    if kind in (pa.large_string(), pa.large_binary()):
        return column.view(kind)
    if kind == pa.string():
        return column.cast(pa.binary()).view(kind)
    return column.view(pa.large_string()).cast(kind)


def _candidates(batch: TextBatch) -> Iterator[tuple[int, str]]:
    """Row and text of those that may hold something; a byte that is not UTF-8 becomes a surrogate, as in file names."""
    column = _binary(batch)
    possible = np.zeros(len(column), np.bool_)
    for pattern in _CANDIDATES:
        possible |= _matches(column, pattern)
    for row in np.flatnonzero(possible).tolist():
        yield row, column[row].as_py().decode("utf-8", "surrogateescape")


def _emails(text: str) -> Iterator[Span]:
    at = text.find("@")
    while at >= 0:
        domain = _DOMAIN.match(text, at + 1)
        local = _LOCAL.search(text[max(0, at - 64) : at]) if domain else None
        if domain and local and ".." not in local[0] and domain[0].rsplit(".", 1)[1].lower() not in _FILE_ENDINGS:
            start = at - len(local[0])
            yield Span("email", start, domain.end(), text[start : domain.end()])
        at = text.find("@", at + 1)


def _ips(text: str) -> Iterator[Span]:
    for match in _IPV4.finditer(text):
        if _is_public_4(match[0]) and not _is_number(text, match):
            yield Span("ip", match.start(), match.end(), match[0])
    if text.count(":") < 2:
        return
    for match in _IPV6.finditer(text):
        value = match[0] if match[0].endswith("::") else match[0].rstrip(":")
        if value.count(":") > 1 and _is_public_6(value):
            yield Span("ip", match.start(), match.start() + len(value), value)


def _is_public_4(value: str) -> bool:
    try:
        address = IPv4Address(value)
    except AddressValueError:
        return False
    return not any(address in network for network in _NOT_PUBLIC_4)


def _is_public_6(value: str) -> bool:
    try:
        address = IPv6Address(value)
    except AddressValueError:
        return False
    if address.ipv4_mapped is not None:
        return _is_public_4(str(address.ipv4_mapped))
    return address in _UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)


def _is_number(text: str, match: re.Match[str]) -> bool:
    """Whether what surrounds four numbers says that they number a version or a section."""
    line = text[max(text.rfind("\n", 0, match.start()) + 1, match.start() - 48) : match.start()]
    if _BEFORE_VERSION.search(line) or _AFTER_VERSION.match(text, match.end()):
        return True
    near = [word.lower() for word in _WORD.findall(line)[-3:]]
    if _ADDRESS_WORDS.intersection(near):
        return False
    if _NUMBER_WORDS.intersection(near):
        return True
    if line.strip() or not _HEADING.match(text, match.end()):
        return False
    numbers = {
        int(part) for part in match[0].split(".")
    }  # "1.2.4.1 Introduction"; 8.8.8.8 and 1.1.1.1 are well-known addresses
    return len(numbers) > 1 and max(numbers) <= _HIGHEST_SECTION


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    counts = {kind: np.zeros(len(batch), np.int64) for kind in PLACEHOLDERS}
    for row, text in _candidates(batch.texts):
        for span in find(text):
            counts[span.kind][row] += 1
    return counts


FAMILY = Family("pii", {"email": "e-mail addresses", "ip": "public IP addresses"}, _measure)
