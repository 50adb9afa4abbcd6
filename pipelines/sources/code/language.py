"""The language of a source file, by Linguist's strategies in Linguist's order, without its last one.

A mode line for an editor, the file's name, its `#!` line, its extension, and for extensions that several languages
share (`.h`, `.m`, `.pl`, `.ts`) rules over the text. Each strategy narrows down what those before it left; the first
that leaves one language decides. Where Linguist would ask a classifier trained on its samples, the language that lists
the extension first is taken, a popular one before others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipelines.sources.code.linguist import Linguist, linguist

_CONSIDERED = 50 * 1024  # characters that the rules see (heuristics.rb)
_LINES = 5  # at either end, where mode lines are looked for (modeline.rb)

_EMACS = re.compile(
    r"-\*-(?:[ \t]*([^:;\s]+)[ \t]*|(?:.*?[ \t;])?[ \t]*mode[ \t]*:[ \t]*([^:;\s]+?)(?=[ \t;]|-\*-).*?)-\*-", re.I
)
_VIM = re.compile(
    r"(?:(?:^|[ \t])(?:vi|Vi(?=m))(?:m[<=>]?[0-9]+|m)?|[ \t]ex):"
    r"[^\r\n]*?[ \t:](?:filetype|ft|syntax)[ \t]*=(\w+)(?=$|\s|:)",
    re.MULTILINE,
)
_ENV_OPTIONS = re.compile(r"(?:(?:-[i0uCSv]*|--\S+|\S+=\S+)\s+)+")
_EXEC = re.compile(r"exec (\w+)[\s\"']+\$0[\s\"']+\$@")
_MAN_PAGE = re.compile(r"\.(?:[1-9](?![0-9])[a-z_0-9]*|0p|n|man|mdoc)(?:\.in)?$", re.I)


@dataclass(frozen=True, slots=True)
class Language:
    """A language by Linguist's name; `type` is "programming", "markup", "data" or "prose"; `by` what decided."""

    name: str
    type: str
    by: str


def identify(path: str, text: str) -> Language | None:
    """The language of a file; None where nothing says one.

    Args:
        path: the file's path; its last component and extension count.
        text: its content; an empty one leaves the name to decide.
    """
    table = linguist()
    name = path.rpartition("/")[2]
    left: list[str] = []
    for by, found in (
        ("modeline", _of_modeline(text, table)),
        ("filename", table.filenames.get(name, [])),
        ("shebang", table.interpreters.get(_interpreter(text), [])),
        ("extension", _of_extension(name, table)),
    ):
        narrowed = [language for language in found if language in left] if left else list(found)
        if len(narrowed) == 1:
            return _language(narrowed[0], by, table)
        left = narrowed or left
    if not left and text.lstrip().startswith("<?xml version="):
        return _language("XML", "xml", table)
    ruled = _of_rules(name, text, table)
    # Rules stand for one extension, whatever was found before; they may name languages that do not list it.
    if len(ruled) == 1:
        return _language(ruled[0], "rule", table)
    if not left and not ruled and _MAN_PAGE.search(name):
        return _language("Roff", "extension", table) if text.startswith((".", "'")) else None
    left = [language for language in ruled if language in left] or left
    if not left:
        return None
    if not text.lstrip().startswith("<") and left != ["XML"]:
        left = [language for language in left if language != "XML"]
    popular = [language for language in left if language in table.popular]
    return _language((popular or left)[0], "first", table)


def _language(name: str, by: str, table: Linguist) -> Language | None:
    kind = table.types.get(name)
    return Language(name, kind, by) if kind is not None else None


def _of_modeline(text: str, table: Linguist) -> list[str]:
    head = _lines(text, 0)
    found: str | None = None
    if "-*-" in head:
        match = _EMACS.search(head)
        found = (match[1] or match[2]) if match else None
    if found is None:
        both = head + "\n" + _tail(text)
        if "vi" in both or "Vi" in both or " ex:" in both:
            match = _VIM.search(both) if "UseVimball" not in head else None
            found = match[1] if match else None
    language = table.aliases.get(found.lower()) if found else None
    return [language] if language else []


def _lines(text: str, start: int) -> str:
    """The first lines from a place on; a line of a minified file is cut."""
    end = start
    for _ in range(_LINES):
        end = text.find("\n", end) + 1
        if not end:
            return text[start : start + 4096]
    return text[start : min(end, start + 4096)]


def _tail(text: str) -> str:
    start = len(text)
    for _ in range(_LINES):
        start = text.rfind("\n", 0, start)
        if start < 0:
            return text[-4096:]
    return text[max(start, len(text) - 4096) :]


def _interpreter(text: str) -> str:
    """The program that a `#!` line names, "" without one."""
    if not text.startswith("#!"):
        return ""
    parts = _lines(text, 0).partition("\n")[0][2:].strip().split(None, 1)
    if not parts:
        return ""
    script, rest = parts[0].rpartition("/")[2], parts[1] if len(parts) > 1 else ""
    if script == "env":
        options = _ENV_OPTIONS.match(rest)
        words = (rest[options.end() :] if options else rest).split()
        script = words[0].rpartition("/")[2] if words else ""
    script = re.sub(r"(\.\d+)$", "", script)
    if script == "sh":  # a polyglot: a shell line that starts another interpreter on the same file
        other = _EXEC.search(_lines(text, 0))
        script = other[1] if other else script
    return "" if script == "osascript" and "-l" in rest else script


def _of_extension(name: str, table: Linguist) -> list[str]:
    """Languages of the longest extension that is known: ".d.ts" before ".ts"; none for those that say nothing."""
    lower = name.lower()
    at = lower.find(".")
    while at >= 0:
        extension = lower[at:]
        if extension in table.extensions:
            return [] if extension in table.generic else table.extensions[extension]
        at = lower.find(".", at + 1)
    return []


def _of_rules(name: str, text: str, table: Linguist) -> list[str]:
    """Languages of the first rule for the file's extension that its text passes."""
    lower = name.lower()
    at = lower.find(".")
    while at >= 0:
        rules = table.rules.get(lower[at:])
        if rules is not None:
            head = text[:_CONSIDERED]
            for rule in rules:
                if all((pattern.search(head) is not None) == wanted for pattern, wanted in rule.tests):
                    return list(rule.languages)
            return []
        at = lower.find(".", at + 1)
    return []
