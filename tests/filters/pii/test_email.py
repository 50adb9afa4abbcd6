from __future__ import annotations

import pytest

from filters.pii import find
from filters.pii.top_level_domains import TOP_LEVEL_DOMAINS

FOUND = {
    "Write to jane.doe+news@mail.firma.co.uk, or call.": ["jane.doe+news@mail.firma.co.uk"],
    "(o'brien@x.org) <a_b@c-d.de>; e=f@g.io": ["o'brien@x.org", "a_b@c-d.de", "f@g.io"],
    "联系我bob@qq.com谢谢 👩‍💻 x@y.fr": ["bob@qq.com", "x@y.fr"],
    "müller@bücher.de x@xn--bcher-kva.de": ["müller@bücher.de", "x@xn--bcher-kva.de"],
    "a@b.com@c.org": ["a@b.com"],
    "info@etisalat.xn--mgbaam7a8h, x@hebrew.xn--9dbq2a": ["info@etisalat.xn--mgbaam7a8h", "x@hebrew.xn--9dbq2a"],
}
LEFT_ALONE = [
    "a@b, @handle, icon@2x.png, x@@y.com, a..b@c.d",
    "jane@example.com, joe@mail.example.org, x@y.example, root@host.local, me@site.test, a@b.invalid",
    "a@test.xn--kgbechtv, a@test.xn--hgbk6aj7f53bba, a@b.xn--4dbrk0ce5721b",  # made for tests; with a mark of direction
    "python 3 @property.setter, user@host:~/dir",
]


@pytest.mark.parametrize(("text", "expected"), FOUND.items())
def test_found(text: str, expected: list[str]) -> None:
    assert [(span.kind, span.value) for span in find(text)] == [("email", value) for value in expected]


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_left_alone(text: str) -> None:
    assert find(text) == []


def test_top_level_domains_are_names_in_ascii_that_decode() -> None:
    assert all(one.isascii() and one == one.lower() for one in TOP_LEVEL_DOMAINS)
    for one in TOP_LEVEL_DOMAINS:
        if one.startswith("xn--"):
            assert one.encode().decode("idna").isprintable(), one  # no marks of direction in it
    assert {"com", "de", "hotel", "xn--p1ai", "xn--mgbaam7a8h"} <= TOP_LEVEL_DOMAINS
