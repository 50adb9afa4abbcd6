"""A page's bytes as clean UTF-8: next to nothing to do where they are that already, as most are."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from pipelines.extract.encoding import UTF8_MARK, decode_html, encoding_of, is_well_formed


def as_utf8(html: bytes, charset: str | None = None) -> tuple[bytes, str]:
    """What `decode_html` reads, as UTF-8, and the encoding that it was in.

    Raises:
        ExtractionError: "undecodable-content".
    """
    encoding = encoding_of(html, charset)
    if encoding == "utf-8":
        plain = html.removeprefix(UTF8_MARK)
        if not _has_control(np.frombuffer(plain, np.uint8)) and is_well_formed(plain):
            return plain, encoding
    text, encoding = decode_html(html, charset)
    return text.encode("utf-8", "replace"), encoding


@njit(cache=True, nogil=True)
def _has_control(html) -> Any:
    """Whether a text in UTF-8 has characters that HTML does not allow."""
    hit = False
    for at in range(len(html)):
        byte = html[at]
        hit |= (byte < 32 and byte != 9 and byte != 10 and byte != 12 and byte != 13) or byte == 127
    return hit
