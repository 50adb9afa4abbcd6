"""Bytes to text by the rules of the web (WHATWG Encoding and HTML, 13.2.3 "the input byte stream")."""

from __future__ import annotations

import codecs
import re

from pipelines.extract.extraction import ExtractionError

UTF8_MARK = b"\xef\xbb\xbf"
_BOMS = ((UTF8_MARK, "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
# WHATWG Encoding, 4.2: labels that mean a superset of what they say.
_WEB_NAMES = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "latin-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "utf-16": "utf-16-le",
}
_NOT_OF_A_PAGE = frozenset(
    {"idna", "punycode", "utf_7", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
)
_PRESCAN = 1024
"""Bytes searched for a <meta> that names the encoding (HTML, 13.2.3.2)."""

# Possessive, and comments without an end taken for what they are: time is that of the bytes, whatever they are.
_META = re.compile(rb"<meta\b[^>]{0,300}?charset\s*+=\s*+(?:[\"']\s*+)?([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_CONTROL = bytes([*range(9), 11, *range(14, 32), 127])
_DETECT_BYTES = 1 << 16
_SURE = 8
"""Bytes of UTF-8 beyond one a character: below, a word or two in another encoding might look like it."""
_MOST_REPLACED = 0.1
_MOST_CONTROL = 0.05


def decode_html(html: bytes, charset: str | None = None) -> tuple[str, str]:
    """The text of a page, and the encoding used.

    Byte order mark, then the HTTP charset, then a meta tag in the first 1,024 bytes, then UTF-8 if the bytes are
    valid, then a meta tag in the first 64 KiB, then detection (charset-normalizer on as much), then windows-1252. Where
    this goes beyond the standard: bytes that are well-formed UTF-8, with several characters beyond ASCII, are UTF-8
    whatever they are said to be. Pages are often converted and keep their old label, and text in another encoding is
    next to never well-formed UTF-8. NULs and control characters, which HTML does not allow, are left out; lone bytes
    become U+FFFD.

    Args:
        html: the page, transfer and content encodings undone.
        charset: the charset parameter of the HTTP Content-Type.

    Raises:
        ExtractionError: "undecodable-content" where more than a tenth cannot be decoded, or more than a twentieth is
        control
            characters: a binary file that calls itself HTML.
    """
    encoding = encoding_of(html, charset)
    for mark, meant in _BOMS:
        if encoding == meant:
            html = html.removeprefix(mark)
    return _decoded(html, encoding)


def web_encoding(label: str | None) -> str | None:
    """Python's name of the encoding that browsers use for a label; None for unknown ones."""
    if not label:
        return None
    try:
        name = codecs.lookup(label.strip().strip("\"'")).name
    except (LookupError, ValueError):  # ValueError: a NUL in the label
        return None
    # Python's own transformations (rot13, zip, idna ...) are no encodings of a page.
    if not getattr(codecs.lookup(name), "_is_text_encoding", True) or name.replace("-", "_") in _NOT_OF_A_PAGE:
        return None
    return _WEB_NAMES.get(name, name)


def encoding_of(html: bytes, charset: str | None = None) -> str:
    """The encoding of a page, as `decode_html` finds it."""
    for mark, encoding in _BOMS:
        if html.startswith(mark):
            return encoding
    encoding = web_encoding(charset) or _declared(html)
    if encoding is None:
        return _detected(html)
    if encoding not in ("utf-8", "utf-16-le", "utf-16-be") and _is_utf8(html):
        return "utf-8"
    return encoding


def _declared(html: bytes, within: int = _PRESCAN) -> str | None:
    match = _META.search(_COMMENT.sub(b"", html[:within]))
    if match is None:
        return None
    name = web_encoding(match.group(1).decode("ascii", "replace"))
    # Bytes in which an ASCII meta tag could be read are not UTF-16 (HTML, 13.2.3.2, step "charset").
    return "utf-8" if name is not None and name.startswith(("utf-16", "utf-32")) else name


def _is_utf8(html: bytes) -> bool:
    """Whether bytes are UTF-8 beyond doubt: well formed, with several characters beyond ASCII."""
    if html.isascii():
        return False
    try:
        text = html.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return len(html) - len(text) >= _SURE


def is_well_formed(html: bytes) -> bool:
    """Whether bytes are UTF-8."""
    if html.isascii():
        return True
    try:
        html.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _detected(html: bytes) -> str:
    if is_well_formed(html):
        return "utf-8"
    late = _declared(html, _DETECT_BYTES)
    if late is not None:
        return late
    from charset_normalizer import from_bytes

    best = from_bytes(html[:_DETECT_BYTES]).best()
    return (web_encoding(best.encoding) if best is not None else None) or "cp1252"


def _decoded(html: bytes, encoding: str) -> tuple[str, str]:
    text = html.decode(encoding, "replace")
    replaced = text.count("\ufffd")
    if replaced > _MOST_REPLACED * len(text):
        raise ExtractionError(
            "undecodable-content", f"{replaced} of {len(text)} characters are not {encoding}; is this a page at all?"
        )
    whole = text.encode("utf-8", "replace")
    plain = whole.translate(None, _CONTROL)  # faster than the same for a string
    clean = plain.decode("utf-8") if len(plain) < len(whole) else text
    if len(text) - len(clean) > _MOST_CONTROL * len(text):
        raise ExtractionError(
            "undecodable-content",
            f"{len(text) - len(clean)} of {len(text)} characters are control characters: not a text",
        )
    return clean, encoding
