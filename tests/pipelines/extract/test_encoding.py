from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.extract import ExtractionError
from pipelines.extract.encoding import decode_html, web_encoding

GERMAN = "Die Straße über die Brücke führt nach Köln, wo es schöne Häuser gibt. " * 5
JAPANESE = "日本語の文章です。これは文字コードの判定を試すための文です。" * 5
RUSSIAN = "Это русский текст, который написан для проверки кодировки страницы. " * 5


@pytest.mark.parametrize(
    ("html", "charset", "text"),
    [
        (GERMAN.encode(), None, GERMAN),
        (b"\xef\xbb\xbf" + GERMAN.encode(), "iso-8859-1", GERMAN),
        (b"\xff\xfe" + GERMAN.encode("utf-16-le"), "utf-8", GERMAN),
        (GERMAN.encode("cp1252"), "ISO-8859-1", GERMAN),
        ("“Zitat” – Euro €".encode("cp1252"), "latin1", "“Zitat” – Euro €"),
        (JAPANESE.encode("euc_jp"), '"EUC-JP"', JAPANESE),
        (JAPANESE.encode("shift_jis"), None, JAPANESE),
        (RUSSIAN.encode("cp1251"), None, RUSSIAN),
        (b'<meta charset="koi8-r">' + RUSSIAN.encode("koi8_r"), None, '<meta charset="koi8-r">' + RUSSIAN),
        (b'<meta charset="koi8-r">' + RUSSIAN.encode(), "utf-8", '<meta charset="koi8-r">' + RUSSIAN),
        (b'<meta charset="utf-16">' + GERMAN.encode(), None, '<meta charset="utf-16">' + GERMAN),
        (b'<!-- <meta charset="koi8-r"> -->' + GERMAN.encode(), None, '<!-- <meta charset="koi8-r"> -->' + GERMAN),
        (GERMAN.encode(), "no-such-encoding", GERMAN),
        (b"a\0b\x0bc\td", None, "abc\td"),
    ],
)
def test_order_of_the_standard(html: bytes, charset: str | None, text: str) -> None:
    if "\0" in html.decode("latin-1") and charset is None and len(html) < 10:
        html += b" and enough text to be a page" * 3
        text += " and enough text to be a page" * 3
    assert decode_html(html, charset)[0] == text


def test_meta_with_http_equiv() -> None:
    html = b'<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">' + RUSSIAN.encode("cp1251")
    assert decode_html(html)[0].endswith(RUSSIAN)


@pytest.mark.parametrize("label", ["rot13", "zip", "idna", "utf-7", "unicode_escape", "x\0y", "", None, "undefined"])
def test_labels_that_are_no_encoding_of_a_page(label: str | None) -> None:
    assert web_encoding(label) is None


def test_binary_is_no_page() -> None:
    for html, charset in ((bytes(range(256)) * 50, "utf-8"), (b"\x01\x02\x03" * 100 + b"text", "cp1252")):
        with pytest.raises(ExtractionError) as caught:
            decode_html(html, charset)
        assert caught.value.reason == "undecodable-content"


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=200),
    st.one_of(st.none(), st.sampled_from(["utf-8", "gbk", "utf-16", "big5"]), st.text(max_size=12)),
)
def test_any_bytes_are_decoded_or_named(html: bytes, charset: str | None) -> None:
    try:
        text, encoding = decode_html(html, charset)
    except ExtractionError as error:
        reason = error.reason
    else:
        reason = ""
        assert "\0" not in text
        assert encoding
    assert reason in ("", "undecodable-content")
