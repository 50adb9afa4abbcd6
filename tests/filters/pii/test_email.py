from __future__ import annotations

import pytest

from filters.pii import find

FOUND = {
    "Write to jane.doe+news@mail.firma.co.uk, or call.": ["jane.doe+news@mail.firma.co.uk"],
    "(o'brien@x.org) <a_b@c-d.de>; e=f@g.io": ["o'brien@x.org", "a_b@c-d.de", "f@g.io"],
    "联系我bob@qq.com谢谢 👩‍💻 x@y.fr": ["bob@qq.com", "x@y.fr"],
    "müller@bücher.de x@xn--bcher-kva.de": ["müller@bücher.de", "x@xn--bcher-kva.de"],
    "a@b.com@c.org": ["a@b.com"],
}
LEFT_ALONE = [
    "a@b, @handle, icon@2x.png, x@@y.com, a..b@c.d",
    "jane@example.com, joe@mail.example.org, x@y.example, root@host.local, me@site.test, a@b.invalid",
    "python 3 @property.setter, user@host:~/dir",
]


@pytest.mark.parametrize(("text", "expected"), FOUND.items())
def test_found(text: str, expected: list[str]) -> None:
    assert [(span.kind, span.value) for span in find(text)] == [("email", value) for value in expected]


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_left_alone(text: str) -> None:
    assert find(text) == []
