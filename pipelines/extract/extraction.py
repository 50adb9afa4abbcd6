"""What an extractor gives: the text and what it learned on the way, or the named reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Extraction:
    r"""The text of one record.

    Attributes:
        text: main text, lines ended by "\n", never empty.
        title: the page's title, "" where it has none.
        engine: what made the text ("trafilatura", "python", "text" ...), with the variant where there is one.
        math_count: formulas met in the source (MathML, TeX scripts, formula images, TeX delimiters).
        meta_robots: contents of robots meta tags, each once, joined with ", "; None where there are none.
        reservation: TDM reservation meta tags ("tdm-reservation: 1"), None where there are none.
        license_link: where the page says that its licence is (`rel=license`), None where it does not.
        encoding: the encoding that the bytes were read in, as Python names it.
    """

    text: str
    title: str = ""
    engine: str = ""
    math_count: int = 0
    meta_robots: str | None = None
    reservation: str | None = None
    encoding: str = "utf-8"
    license_link: str | None = None


class ExtractionError(Exception):
    """No text could be had. `reason` is kebab-case, for the ledger.

    "empty-document" (nothing there, or nothing but page furniture), "undecodable-content" (bytes that are no text),
    "too-large", "too-deep" (limits of a page), "extraction-failed" (the engine broke), "unsupported-type".
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
