from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import filters
from filters.pii import PLACEHOLDERS, find, redact

FOUND = {
    "Write to jane.doe+news@mail.example.co.uk, or call.": ["jane.doe+news@mail.example.co.uk"],
    "(o'brien@x.org) <a_b@c-d.de>; e=f@g.io": ["o'brien@x.org", "a_b@c-d.de", "f@g.io"],
    "联系我bob@qq.com谢谢 👩‍💻 x@y.fr": ["bob@qq.com", "x@y.fr"],
    "müller@bücher.de x@xn--bcher-kva.example": ["müller@bücher.de", "x@xn--bcher-kva.example"],
    "ping 8.8.8.8, http://93.184.216.34:80/ and root@47.1.2.3:/home": ["8.8.8.8", "93.184.216.34", "47.1.2.3"],
    "8.8.8.8 - - [10/Oct] and 10.0.0.1": ["8.8.8.8"],
    "dns 2001:4860:4860::8888 or [2606:4700::1111]:443.": ["2001:4860:4860::8888", "2606:4700::1111"],
    "mapped ::ffff:8.8.4.4.": ["::ffff:8.8.4.4"],
    "server address version 4.4.4.4": ["4.4.4.4"],
}

LEFT_ALONE = [
    "a@b, @handle, icon@2x.png, x@@y.com, a..b@c.d",
    "10.1.2.3 172.16.0.1 192.168.0.1 127.0.0.1 169.254.1.1 100.64.0.1 0.0.0.0 224.0.0.1 255.255.255.255",
    "192.0.2.1 198.51.100.7 203.0.113.9 198.18.0.1",
    "::1 fe80::1 fc00::1 2001:db8::1 ff02::1 :: ::ffff:10.0.0.1",
    "std::vector a::b 12:30:45 00:1a:2b:3c:4d:5e C::D",
    "256.1.1.1 1.2.3 1.2.3.4.5 01.2.3.4 8.8.8.8x",
    "version 1.2.3.4, v1.2.3.4, firmware is at 2.3.4.5, upgrade to 4.3.2.1, section 1.2.3.4, § 1.2.3.4",
    "Chrome/91.0.44.124 openresty/1.9.7.1 lib-1.2.3.4.tar.gz numpy==1.2.3.4 1.2.3.4-beta 1.2.3.4 or later",
    "1.2.4.1 Introduction\n1.2.4.2 Results",
]


@pytest.mark.parametrize(("text", "expected"), FOUND.items())
def test_found(text: str, expected: list[str]) -> None:
    spans = find(text)
    assert [span.value for span in spans] == expected
    assert {span.kind for span in spans} == {"email" if "@" in expected[0] else "ip"}
    assert all(text[span.start : span.end] == span.value for span in spans)


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_left_alone(text: str) -> None:
    assert find(text) == []


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


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*FOUND, *LEFT_ALONE]) | st.text("ab1:.@ 8\n", max_size=30), max_size=5))
def test_columns_do_as_single_texts(texts: list[str]) -> None:
    expected: list[str] = []
    for text in texts:
        for span in reversed(find(text)):
            text = text[: span.start] + PLACEHOLDERS[span.kind] + text[span.end :]
        expected.append(text)
    column = pa.array(texts, pa.string())
    assert redact(column).to_pylist() == expected
    counts = filters.measure(column, ["pii"]).to_pydict()
    for kind in PLACEHOLDERS:
        assert counts[f"pii.{kind}"] == [sum(span.kind == kind for span in find(text)) for text in texts]


@pytest.mark.data
def test_labelled(pomona_data: Path) -> None:
    kinds = {"EMAIL_ADDRESS": "email", "IP_ADDRESS": "ip"}
    labelled: set[tuple[int, str, int, int]] = set()
    found: set[tuple[int, str, int, int]] = set()
    with gzip.open(pomona_data / "pii" / "presidio_synth_v2_a.jsonl.gz", "rt", encoding="utf-8") as file:
        for number, line in enumerate(file):
            row = json.loads(line)
            labelled |= {
                (number, kinds[span["entity_type"]], span["start_position"], span["end_position"])
                for span in row["spans"]
                if span["entity_type"] in kinds
            }
            found |= {(number, span.kind, span.start, span.end) for span in find(row["full_text"])}
    assert len(labelled) > 30
    assert len(found & labelled) / len(labelled) >= 0.95
    assert len(found & labelled) / len(found) >= 0.95


def test_only_the_kinds_asked_for_are_redacted() -> None:
    text = pa.array(["jane@gmail.com from host 8.8.8.8"])
    assert redact(text, ("email",)).to_pylist() == ["<EMAIL_ADDRESS> from host 8.8.8.8"]
    assert redact(text, ("ip",)).to_pylist() == ["jane@gmail.com from host <IP_ADDRESS>"]
    assert redact(text, ()).to_pylist() == text.to_pylist()
