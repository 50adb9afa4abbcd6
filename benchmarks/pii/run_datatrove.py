"""datatrove's PIIFormatter: e-mail and IP addresses."""

from __future__ import annotations

from datatrove.pipeline.formatters.pii import PIIFormatter
from finding import run  # type: ignore[import-not-found]

FORMATTER = PIIFormatter()


def find(text: str) -> list[tuple[str, int, int]]:
    found = []
    for kind, replacer in (("email", FORMATTER.emails_replacer), ("ip", FORMATTER.ip_replacer)):
        for match in replacer.regex.finditer(text):
            if not replacer.validator or replacer.validator(match.group(0)):
                found.append((kind, *match.span()))
    return found


run({"datatrove": find}, {"datatrove": lambda texts: [FORMATTER.format(text) for text in texts]}, 8_000_000)
