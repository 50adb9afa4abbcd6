from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import filters
from filters.pii import KINDS, PLACEHOLDERS, find, redact

PIECES = [
    "jane.doe+news@mail.firma.co.uk",
    "联系我bob@qq.com谢谢 👩‍💻 x@y.fr",
    "ping 8.8.8.8",
    "dns 2001:4860:4860::8888",
    "call me at (415) 752-5275",
    "+46 (0)8 928 571 38",
    "4539 1488 0343 6467",
    "DE02 1203 0000 0000 2020 51",
    "460-89-9847",
    "390.533.447-05",
    "NHS 943 476 5919",
    "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
    "Hauptstraße 12, 10115 Berlin",
    "AKIAQ3EGRIPXYTBL4M7Z",
    "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n" * 3 + "-----END PRIVATE KEY-----",
    "tel",
    "version 1.2.3.4",
    "2004-04-16 11:34",
    " ",
    "\n",
    "-",
    "7",
    "12",
]
"""What is personal, what looks so, and what makes one of the other where it stands beside it."""


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_redact(kind: pa.DataType) -> None:
    texts = ["mail a@b.com or c@d.org", None, "clean", "", "at 8.8.8.8", "é x@y.fr é"]
    clean = ["mail <EMAIL_ADDRESS> or <EMAIL_ADDRESS>", None, "clean", "", "at <IP_ADDRESS>", "é <EMAIL_ADDRESS> é"]
    column = pa.array(texts, pa.string()).cast(kind)
    found = redact(column)
    assert found.type == kind
    assert found.to_pylist() == clean
    assert redact(found).to_pylist() == clean
    assert redact(column.slice(1, 4)).to_pylist() == clean[1:5]
    assert redact(pa.chunked_array([column, column.slice(2)])).to_pylist() == clean + clean[2:]
    assert redact(pa.chunked_array([], kind)).to_pylist() == []


def test_clean_texts_are_not_touched() -> None:
    column = pa.array(["clean", "also"])
    assert redact(column) is column


def test_bytes_that_are_no_text_stay() -> None:
    column = pa.array([b"\xff\xfe a@b.com \xe2\x82", b"\xff"], pa.binary()).view(pa.string())
    assert redact(column).view(pa.binary()).to_pylist() == [b"\xff\xfe <EMAIL_ADDRESS> \xe2\x82", b"\xff"]


TEXTS = st.lists(st.sampled_from(PIECES) | st.text("ab1:.@ 8é🙂\n", max_size=12), max_size=6).map("".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, max_size=5))
def test_columns_do_as_single_texts(texts: list[str]) -> None:
    column = pa.array(texts, pa.string())
    counts = filters.measure(column, ["pii"]).to_pydict()
    for kind in KINDS:
        assert counts[f"pii.{kind}"] == [sum(span.kind == kind for span in find(text)) for text in texts]
    clean = redact(column).to_pylist()
    assert clean == [redact(pa.array([text], pa.string()))[0].as_py() for text in texts]
    for text, after in zip(texts, clean, strict=True):
        spans = find(text)
        assert all(text[span.start : span.end] == span.value for span in spans)
        assert all(one.end <= other.start for one, other in pairwise(spans))
        assert (text == after) == (not spans)
        assert find(after) == []


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join), st.sets(st.sampled_from(sorted(KINDS))), st.booleans()
)
def test_redacting_twice_changes_nothing(text: str, kinds: set[str], numbered: bool) -> None:
    once = redact(pa.array([text]), kinds, numbered=numbered)
    assert redact(once, kinds, numbered=numbered).equals(once)
    assert not [span for span in find(once[0].as_py()) if span.kind in kinds]


def test_only_the_kinds_asked_for_are_redacted() -> None:
    text = pa.array(["jane@gmail.com from host 8.8.8.8"])
    assert redact(text, ("email",)).to_pylist() == ["<EMAIL_ADDRESS> from host 8.8.8.8"]
    assert redact(text, ("ip",)).to_pylist() == ["jane@gmail.com from host <IP_ADDRESS>"]
    assert redact(text, ()).to_pylist() == text.to_pylist()


def test_every_kind_has_a_placeholder_and_a_signal() -> None:
    assert list(PLACEHOLDERS) == list(KINDS) == list(filters.family("pii").signals)


def test_equal_values_get_equal_numbers() -> None:
    text = "a@b.com, A@B.com, c@d.org; 4539 1488 0343 6467 or 4539-1488-0343-6467"
    column = pa.array([text, "c@d.org"])
    assert redact(column, numbered=True).to_pylist() == [
        "<EMAIL_ADDRESS_1>, <EMAIL_ADDRESS_1>, <EMAIL_ADDRESS_2>; <CREDIT_CARD_1> or <CREDIT_CARD_1>",
        "<EMAIL_ADDRESS_1>",
    ]


def test_placeholders_of_ones_own() -> None:
    text = pa.array(["a@b.com 8.8.8.8"])
    assert redact(text, placeholders={"email": "<MAIL>"}).to_pylist() == ["<MAIL> <IP_ADDRESS>"]
    with pytest.raises(ValueError, match=r"placeholder of email: found 'a@b\.com', expected a name in capitals"):
        redact(text, placeholders={"email": "a@b.com"})
    with pytest.raises(ValueError, match="found the kind 'mail', expected one of private_key"):
        redact(text, ("mail",))


def test_a_placeholder_says_nothing_of_its_neighbour() -> None:
    once = redact(pa.array(["phone (415) 752-5275 7000123, ip 8.8.8.8 3.2.1.4"]), ("phone", "ip"))
    assert redact(once, ("phone", "ip")).equals(once)
