"""What a source file is besides source: vendored, generated, minified, data, a test. Each has a name in the ledger.

By Linguist's lists of paths and marks, and StarCoder's bounds on lines and letters. A recipe says which of these drop a
file; the others stay in its metadata as `traits`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from pipelines.sources.code.generated import generated_mark, generated_path, is_lock
from pipelines.sources.code.language import Language
from pipelines.sources.code.linguist import linguist

Trait = Literal[
    "data", "documentation", "generated", "licence", "lock", "long-lines", "minified", "prose", "test", "vendored"
]

REASONS: Final[dict[str, str]] = {
    "data": "data-file",
    "documentation": "documentation-file",
    "generated": "generated-file",
    "licence": "licence-file",
    "lock": "lock-file",
    "long-lines": "long-lines",
    "minified": "minified-file",
    "prose": "prose-file",
    "test": "test-file",
    "vendored": "vendored-file",
}
"""Trait -> the reason in the ledger for files that are dropped for it."""

USUAL: Final[tuple[Trait, ...]] = ("data", "generated", "licence", "lock", "long-lines", "minified", "vendored")
"""What drops a file unless the recipe says otherwise."""

# StarCoder (2305.06161, 3.1): a line over 1,000 characters, or over 100 on average, is minified or data; so is a file
# with less than a quarter letters and digits.
LONGEST_LINE = 1000
MEAN_LINE = 100
LEAST_ALPHANUMERIC = 0.25
_LINES_FOR_MEAN = 5  # a file of one long sentence is not minified
_MINIFIED_MEAN = 110  # Linguist, for scripts and style sheets (generated.rb)
ALPHANUMERIC = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_MINIFIED_NAME = re.compile(r"[.-]min\.(?:js|css)$", re.I)
_TEST = re.compile(
    r"(?:^|/)(?:tests?|__tests__|testing|specs?)/|(?:^|/)(?:test_[^/]*|conftest)\.py$|_test\.(?:go|py|cc|cpp|c|rb|dart)$"
    r"|[._-](?:test|spec)\.[jt]sx?$|(?:Tests?|Spec)\.(?:java|kt|cs|swift|scala|php)$|_spec\.rb$"
)
_PROGRAM = frozenset({"programming", "markup"})


@dataclass(frozen=True, slots=True)
class Found:
    """A trait and what shows it."""

    trait: Trait
    evidence: dict[str, Any]


def of_path(path: str) -> list[Found]:
    """Traits that a path shows, before anything is read.

    Args:
        path: from the root of its repository, with slashes.
    """
    table = linguist()
    found: list[Found] = []
    if is_lock(path):
        found.append(Found("lock", {"path": path}))
    if _MINIFIED_NAME.search(path):
        found.append(Found("minified", {"path": path}))
    mark = generated_path(path)
    if mark is not None:
        found.append(Found("generated", {"mark": mark}))
    vendored = table.vendored.search(path)
    if vendored is not None:
        found.append(Found("vendored", {"mark": vendored.group()}))
    if table.documentation.search(path):
        found.append(Found("documentation", {"path": path}))
    if _TEST.search(path):
        found.append(Found("test", {"path": path}))
    return found


def of_text(path: str, text: str, language: Language) -> list[Found]:
    """Traits that a text shows.

    Args:
        path: as for `of_path`.
        text: the content, not empty.
        language: what it is written in.
    """
    found: list[Found] = []
    mark = generated_mark(path, text)
    if mark is not None:
        found.append(Found("generated", {"mark": mark}))
    longest, mean, count = lengths(text)
    lines = {"longest_line": longest, "mean_line": round(mean, 1)}
    if mean > _MINIFIED_MEAN and language.name in ("JavaScript", "CSS"):
        found.append(Found("minified", lines))
    elif language.type in _PROGRAM and (longest > LONGEST_LINE or (mean > MEAN_LINE and count >= _LINES_FOR_MEAN)):
        found.append(Found("long-lines", lines))
    if language.type == "data":
        found.append(Found("data", {"language": language.name}))
    elif language.type in _PROGRAM:
        share = alphanumeric(text)
        if share < LEAST_ALPHANUMERIC:
            found.append(Found("data", {"alphanumeric": round(share, 3)}))
    if language.type == "prose":
        found.append(Found("prose", {"language": language.name}))
    return found


def lengths(text: str) -> tuple[int, float, int]:
    r"""The longest line, the mean of all, and how many there are; characters without the "\n" at the end of each."""
    lines = text.removesuffix("\n").split("\n")
    return max(map(len, lines)), sum(map(len, lines)) / len(lines), len(lines)


def alphanumeric(text: str) -> float:
    """The share of characters that are letters or digits; letters of any script count."""
    if text.isascii():
        data = text.encode()
        return 1 - len(data.translate(None, ALPHANUMERIC)) / len(data)
    others = "".join(_NOT_ASCII.findall(text))
    ascii_only = text.encode("ascii", "ignore")
    count = len(ascii_only) - len(ascii_only.translate(None, ALPHANUMERIC)) + sum(map(str.isalnum, others))
    return count / len(text)
