"""Texts that need no extraction: code, Markdown, reStructuredText, plain text. Only their encoding has to be found."""

from __future__ import annotations

import io
import tokenize

from pipelines.extract.encoding import web_encoding
from pipelines.extract.extraction import Extraction, ExtractionError

_PYTHON = ("text/x-python", "text/x-script.python", "application/x-python-code")


def read_text(body: bytes, media_type: str, charset: str | None = None) -> Extraction:
    r"""The text of a file; line ends become "\n", everything else stays as it is.

    Python: the encoding that the source declares (PEP 263), else UTF-8. Others: a byte order mark, the charset given,
    else UTF-8. Bytes that do not fit are not guessed at.

    Raises:
        ExtractionError: "undecodable-content", "empty-document".
    """
    encoding = _python_encoding(body) if media_type in _PYTHON else _encoding(body, charset)
    try:
        text = body.decode(encoding)
    except (UnicodeError, LookupError) as error:  # some of Python's codecs raise the former's base
        raise ExtractionError("undecodable-content", f"not {encoding}: {error}"[:300]) from error
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise ExtractionError("undecodable-content", f"a NUL at character {text.index(chr(0))}: not a text file")
    if not text.strip():
        raise ExtractionError("empty-document", f"{len(body)} bytes and no character")
    # Some codecs (utf-7, raw_unicode_escape in a PEP 263 line) can give lone surrogates, which are no text.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return Extraction(text, engine="python" if media_type in _PYTHON else "text", encoding=encoding)


def _python_encoding(body: bytes) -> str:
    try:
        return tokenize.detect_encoding(io.BytesIO(body).readline)[0]
    except SyntaxError as error:
        raise ExtractionError("undecodable-content", f"Python cannot read the encoding: {error.msg}") from error


def _encoding(body: bytes, charset: str | None) -> str:
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if body.startswith(b"\xef\xbb\xbf"):
        return "utf-8"
    return web_encoding(charset) or "utf-8"
