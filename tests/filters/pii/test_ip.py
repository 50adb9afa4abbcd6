from __future__ import annotations

import pytest

from filters.pii import find

FOUND = {
    "ping 8.8.8.8, http://93.184.216.34:80/ and root@47.1.2.3:/home": ["8.8.8.8", "93.184.216.34", "47.1.2.3"],
    "8.8.8.8 - - [10/Oct] and 10.0.0.1": ["8.8.8.8"],
    "5.10.20.30 - - [10/Oct/2024] GET": ["5.10.20.30"],
    "the host 12.6.2.2 and 112.6.2.2": ["12.6.2.2", "112.6.2.2"],
    "dns 2001:4860:4860::8888 or [2606:4700::1111]:443.": ["2001:4860:4860::8888", "2606:4700::1111"],
    "2a00:1450:4001:81b::200e, 2600::": ["2a00:1450:4001:81b::200e", "2600::"],
    "mapped ::ffff:8.8.4.4.": ["::ffff:8.8.4.4"],
    "server address version 4.4.4.4": ["4.4.4.4"],
    "例えば93.184.216.34です🙂 93.184.216.35": ["93.184.216.34", "93.184.216.35"],
}
LEFT_ALONE = [
    "10.1.2.3 172.16.0.1 192.168.0.1 127.0.0.1 169.254.1.1 100.64.0.1 0.0.0.0 224.0.0.1 255.255.255.255",
    "192.0.2.1 198.51.100.7 203.0.113.9 198.18.0.1",
    "::1 fe80::1 fc00::1 2001:db8::1 ff02::1 :: ::ffff:10.0.0.1 3fff::1",
    "std::vector a::b 12:30:45 00:1a:2b:3c:4d:5e C::D 2024:05:06 2001:12:30",
    "256.1.1.1 1.2.3 1.2.3.4.5 01.2.3.4 8.8.8.8x",
    "version 1.2.3.4, v1.2.3.4, firmware is at 2.3.4.5, upgrade to 4.3.2.1, section 1.2.3.4, § 1.2.3.4",
    "Chrome/91.0.44.124 openresty/1.9.7.1 lib-1.2.3.4.tar.gz numpy==1.2.3.4 1.2.3.4-beta 1.2.3.4 or later",
    "1.2.4.1 Introduction\n1.2.4.2 Results\n36.4.5.1. Arrays\n",
    "changed in 3.6.23.2 to, 2013-01-09|3.7.15.2|2012-12-19, Exposee IV, (4.9.1.1)",
]


@pytest.mark.parametrize(("text", "expected"), FOUND.items())
def test_found(text: str, expected: list[str]) -> None:
    spans = find(text)
    assert [(span.kind, span.value) for span in spans] == [("ip", value) for value in expected]
    assert all(text[span.start : span.end] == span.value for span in spans)


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_left_alone(text: str) -> None:
    assert find(text) == []
