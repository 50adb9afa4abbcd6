"""resiliparse's main text."""

from __future__ import annotations

from extracting import run  # type: ignore[import-not-found]
from resiliparse.extract.html2text import extract_plain_text  # type: ignore[import-not-found]
from resiliparse.parse.encoding import bytes_to_str, detect_encoding  # type: ignore[import-not-found]

run(
    {
        "resiliparse": lambda body, url: extract_plain_text(
            bytes_to_str(body, detect_encoding(body) or "utf-8"), main_content=True
        )
    }
)
