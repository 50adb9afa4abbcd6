"""Public IP addresses: those that parse and that IANA's special-purpose registries (RFC 6890) do not set aside.

Set aside are private, shared, local, documentation (RFC 5737, RFC 3849), benchmarking, multicast and reserved blocks.
Numbers that look like an IPv4 address and are the number of a version or a section are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from filters.pii.context import without_placeholders
from filters.pii.span import Span

__all__ = ["ipv4", "ipv6"]

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
_SMALL: Final = 50
"""Four numbers no greater number a section or a version oftener than a host: one address in seven hundred is so."""
_WELL_KNOWN: Final = frozenset({"8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "4.4.4.4", "4.2.2.1", "4.2.2.2"})
_IN_ADDRESS: Final = re.compile(r"(?:://|@|\[)$")
_BEHIND_ADDRESS: Final = re.compile(r":\d|/\d\d?\b| - \S+ \[")  # a port, a block, a line of a web server's log


def ipv4(text: str, start: int, end: int) -> Iterator[Span]:
    """The address of four numbers that begins at ``start``, if there is one."""
    match = _IPV4.match(text, start)
    if match and _is_public_4(match[0]) and not _is_number(text, match):
        yield Span("ip", match.start(), match.end(), match[0])


def ipv6(text: str, start: int, end: int) -> Iterator[Span]:
    """The address with colons that begins at ``start``, if there is one."""
    match = _IPV6.match(text, start)
    if match:
        value = match[0] if match[0].endswith("::") else match[0].rstrip(":")
        if value.count(":") > 1 and _is_public_6(value):
            yield Span("ip", start, start + len(value), value)


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
    line = text[max(0, match.start() - 48) : match.start()].rpartition("\n")[2]
    if _BEFORE_VERSION.search(line) or _AFTER_VERSION.match(text, match.end()):
        return True
    near = [word.lower() for word in _WORD.findall(without_placeholders(line))[-3:]]
    if _ADDRESS_WORDS.intersection(near):
        return False
    if _NUMBER_WORDS.intersection(near):
        return True
    if max(map(int, match[0].split("."))) > _SMALL or match[0] in _WELL_KNOWN:
        return False
    return not (_IN_ADDRESS.search(line) or _BEHIND_ADDRESS.match(text, match.end()))
