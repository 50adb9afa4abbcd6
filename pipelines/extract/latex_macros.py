r"""The macros that a LaTeX document makes for itself, put in place where they are used.

RedPajama (togethercomputer/RedPajama-Data, data_prep/arxiv/arxiv_cleaner.py) does so for macros without arguments; here
those with arguments too. A document must not grow without bound by it: macros that call each other stop at a depth, and
a document that would be many times as long as it was is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipelines.extract.extraction import ExtractionError
from pipelines.extract.latex_brackets import braced

MAX_DEPTH = 16
GROWTH = 8
"""Most characters of a document after expansion, in multiples of what it had, and a million more."""

_DEFINITION = re.compile(
    r"\\(?P<kind>newcommand|renewcommand|providecommand|DeclareRobustCommand|DeclareMathOperator|def|gdef|edef)"
    r"(?P<star>\*?)\s*(?:\{\s*\\(?P<braced>[A-Za-z@]+)\s*\}|\\(?P<bare>[A-Za-z@]+))"
)
_PARAMETERS = re.compile(r"((?:#\d)*)\s*(?=\{)")
_COUNT = re.compile(r"\s*\[(\d)\]")
_WORD = re.compile(r"\\([A-Za-z@]+)")
_ARGUMENT = re.compile(r"#(\d)")
_PROGRAM = re.compile(r"\\(?:@\w*|futurelet|csname|expandafter|afterassignment|if[a-z]+|loop|catcode)\b|@")
_SPACE = re.compile(r"[ \t]*\n?[ \t]*")
_BLANK = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro: how many arguments, the first one's default (None: it must be given), and what it stands for."""

    arguments: int
    default: str | None
    body: str


def definitions(text: str) -> tuple[dict[str, Macro], str]:
    r"""The macros that a document defines (the last definition counts), and the document without the definitions.

    A definition that is not of a plain form (\def with delimiters, without a body) stays in the text. One that is a
    program (it looks ahead, or builds names) is taken out, and its name stays where it is used.
    """
    macros: dict[str, Macro] = {}
    kept: list[str] = []
    at = 0
    for match in _DEFINITION.finditer(text):
        if match.start() < at:
            continue  # inside another definition's body
        found = _macro(text, match)
        if found is None:
            continue
        macro, end = found
        if _PROGRAM.search(macro.body) is None:
            macros[match["braced"] or match["bare"]] = macro
        kept.append(text[at : match.start()])
        at = end
    kept.append(text[at:])
    return macros, "".join(kept)


def expanded(text: str, macros: dict[str, Macro]) -> str:
    """A text with its macros put in place.

    Raises:
        ExtractionError: "too-large" where it would grow beyond GROWTH.
    """
    if not macros:
        return text
    return _Expansion(macros, GROWTH * len(text) + 1_000_000).of(text)


def _macro(text: str, match: re.Match[str]) -> tuple[Macro, int] | None:
    at = match.end()
    if match["kind"] == "DeclareMathOperator":
        body = braced(text, at)
        return None if body is None else (Macro(0, None, f"\\operatorname{match['star']}{{{body[0]}}}"), body[1])
    arguments, default = 0, None
    if match["kind"].endswith("def"):
        parameters = _PARAMETERS.match(text, at)
        if parameters is None:
            return None
        arguments, at = len(parameters[1]) // 2, parameters.end()
    else:
        count = _COUNT.match(text, at)
        if count is not None:
            arguments, at = int(count[1]), count.end()
            optional = braced(text, at, "[")
            if optional is not None:
                default, at = optional
    body = braced(text, at)
    return None if body is None else (Macro(arguments, default, body[0]), body[1])


class _Expansion:
    """One document's expansion, with what is left of its bound."""

    def __init__(self, macros: dict[str, Macro], bound: int) -> None:
        self._macros, self._left = macros, bound

    def of(self, text: str, inside: tuple[str, ...] = ()) -> str:
        """A text in the body of the macros `inside`, none of which is put in place again."""
        if len(inside) > MAX_DEPTH:
            return text
        kept: list[str] = []
        at = 0
        for match in _WORD.finditer(text):
            if match.start() < at or (match.start() and text[match.start() - 1] == "\\" and _escaped(text, match)):
                continue
            macro = self._macros.get(match[1])
            if macro is None or match[1] in inside:
                continue
            given = self._arguments(text, match.end(), macro)
            if given is None:
                continue
            arguments, end = given
            body = _ARGUMENT.sub(lambda found: _nth(arguments, int(found[1])), macro.body)  # noqa: B023 - used at once
            self._left -= len(body)
            if self._left < 0:
                raise ExtractionError(
                    "too-large", f"\\{match[1]} and other macros make the document {GROWTH} times as long"
                )
            made = self.of(body, (*inside, match[1]))
            if macro.arguments == 0:  # TeX passes over the spaces after a command word
                blank = _BLANK.match(text, end)
                end = blank.end() if blank else end
            if _ends_in_word(made) and text[end : end + 1].isalpha():
                made += " "
            kept += [text[at : match.start()], made]
            at = end
        kept.append(text[at:])
        return "".join(kept)

    def _arguments(self, text: str, at: int, macro: Macro) -> tuple[list[str], int] | None:
        found: list[str] = []
        if macro.default is not None:
            optional = braced(text, at, "[")
            found.append(macro.default if optional is None else optional[0])
            at = at if optional is None else optional[1]
        while len(found) < macro.arguments:
            argument = braced(text, at)
            if argument is None:
                argument = _one_token(text, at)
            if argument is None:
                return None
            found.append(argument[0])
            at = argument[1]
        return found, at


def _one_token(text: str, at: int) -> tuple[str, int] | None:
    """An argument without braces: a command or a character."""
    begin = _SPACE.match(text, at)
    at = begin.end() if begin else at
    word = _WORD.match(text, at)
    if word is not None:
        return word[0], word.end()
    return (text[at], at + 1) if at < len(text) and text[at] not in "{}\\" else None


def _nth(arguments: list[str], number: int) -> str:
    return arguments[number - 1] if 0 < number <= len(arguments) else ""


def _escaped(text: str, match: re.Match[str]) -> bool:
    r"""Whether the backslash that begins a word is itself after a backslash: \\alpha is a line's end and letters."""
    count = 0
    while count < match.start() and text[match.start() - 1 - count] == "\\":
        count += 1
    return count % 2 == 1


def _ends_in_word(text: str) -> bool:
    return re.search(r"\\[A-Za-z@]+$", text) is not None
