r"""LaTeX to text: what a reader would read, in Markdown, with the mathematics as it was written.

Sections become headings, formulas stay verbatim between `$...$` and `$$...$$` (environments other than `equation` keep
their `\begin` and `\end`), lists, quotations, tables and code as in Markdown. Comments, preamble, bibliography, labels,
references, citations and figures are dropped; captions stay. The document's own macros are put in place first
(`latex_macros.py`). A command that is not known goes, what is in its braces stays.
"""

from __future__ import annotations

import re
import unicodedata

from pipelines.extract.extraction import Extraction, ExtractionError
from pipelines.extract.latex_brackets import braced, environment
from pipelines.extract.latex_commands import (
    ACCENTS,
    DROPPED,
    DROPPED_ENVIRONMENTS,
    KEPT_LAST,
    MATH,
    SECTIONS,
    STRUCTURE,
    SYMBOLS,
    THEOREMS,
    UNNUMBERED,
)
from pipelines.extract.latex_macros import definitions, expanded
from pipelines.extract.latex_source import HARD, HELD, PARAGRAPH, without_comments, without_false

MAX_CHARACTERS = 20_000_000
MAX_DEPTH = 40

_BEGIN = re.compile(r"\\begin\s*\{document\}")
_END = re.compile(r"\\end\s*\{document\}")
_THEOREM = re.compile(r"\\newtheorem\*?\s*\{([^{}]+)\}(?:\[[^\]]*\])?\{([^{}]+)\}(?:\[[^\]]*\])?")
_LABEL = re.compile(r"\s*\\label\s*\{[^{}]*\}")
_TOKEN = re.compile(
    r"\\begin\s*\{(?P<begin>[^{}\\]+)\}"
    r"|\\end\s*\{(?P<end>[^{}\\]+)\}"
    r"|\\(?P<word>[A-Za-z@]+)\*?"
    r"|\\(?P<sign>.)"
    r"|(?P<math>\$\$?)"
    r"|(?P<blank>\n[ \t]*\n\s*)"
    r"|(?P<plain>[{}~&]|``|''|---?)",
    re.DOTALL,
)
_PLAIN = {"{": "", "}": "", "~": " ", "&": " ", "``": "“", "''": "”", "---": "—", "--": "–"}
_INLINE_END = re.compile(r"(?<!\\)((?:\\\\)*)\$|\n[ \t]*\n")
_LONG_FORMULA = 50_000
_RULES = re.compile(
    r"\\(?:hline|toprule|midrule|bottomrule|centering|endhead|endfirsthead|endfoot|endlastfoot|cline\{[^}]*\}|cmidrule(?:\([^)]*\))?\{[^}]*\})"
)
_LISTS = ("itemize", "enumerate", "description")


def read_latex(body: bytes) -> Extraction:
    r"""The text of a document whose parts are in one piece (`\input` resolved).

    Args:
        body: LaTeX in UTF-8.

    Raises:
        ExtractionError: "empty-document", "too-large" (as it is, or with its macros put in place).
    """
    source = body.decode("utf-8", "replace")
    if len(source) > MAX_CHARACTERS:
        raise ExtractionError("too-large", f"the document has {len(source)} characters, the limit is {MAX_CHARACTERS}")
    held: list[str] = []
    source = without_false(without_comments(re.sub(r"[\1\2\3]", "", source).replace("\r\n", "\n"), held))
    names = {**THEOREMS, **dict(_THEOREM.findall(source))}
    macros, source = definitions(_THEOREM.sub("", source))
    source = expanded(source, {name: macro for name, macro in macros.items() if name not in STRUCTURE})
    begin = _BEGIN.search(source)
    preamble, text = (source[: begin.start()], source[begin.end() :]) if begin else ("", source)
    end = _END.search(text)
    document = _Document(names, held)
    title = _title(preamble, document) or _title(text, document)
    rendered = document.finished(document.render(text[: end.start()] if end else text, 0))
    if not rendered.strip():
        raise ExtractionError("empty-document", f"{len(source)} characters of LaTeX and no text for a reader")
    if title:
        rendered = f"# {title}\n\n{rendered}"
    return Extraction(rendered, title, "latex", document.formulas)


class _Document:
    """Renders a document's text; pieces that nothing may change are held back until the end."""

    def __init__(self, theorems: dict[str, str], held: list[str]) -> None:
        self._theorems, self._pieces = theorems, held
        self._lists: list[tuple[str, int]] = []
        self._absent: set[tuple[str, str]] = set()
        self.formulas = 0

    def finished(self, text: str) -> str:
        """Lines joined to paragraphs, held pieces put in."""
        text = " ".join(piece for piece in re.split(r"[ \t\n\r\f\v]+", text))
        lines: list[str] = []
        for paragraph in re.split(rf"\s*(?:{PARAGRAPH}\s*)+", text):
            shown = "\n".join(_line(line) for line in paragraph.split(HARD))
            shown = re.sub(r"\n{2,}", "\n", shown).strip("\n")
            if shown.strip():
                lines.append(shown)
        joined = "\n\n".join(lines)
        joined = re.sub(rf"{HELD}(\d+){HELD}", lambda found: self._pieces[int(found[1])], joined)
        return unicodedata.normalize("NFC", joined) if not joined.isascii() else joined

    def render(self, text: str, depth: int) -> str:
        """A stretch of LaTeX as text with its breaks marked."""
        if depth > MAX_DEPTH:
            return text
        parts: list[str] = []
        at = 0
        while (match := _TOKEN.search(text, at)) is not None:
            parts.append(text[at : match.start()])
            if match["word"] is not None:
                said, at = self._word(match["word"], text, match.end(), depth)
            elif match["math"] is not None:
                said, at = self._dollars(match["math"], text, match.end())
            elif match["begin"] is not None:
                said, at = self._environment(match["begin"].strip(), text, match.end(), depth)
            elif match["end"] is not None:
                said, at = self._ended(match["end"].strip()), match.end()
            elif match["sign"] is not None:
                said, at = self._sign(match["sign"], text, match.end())
            elif match["blank"] is not None:
                said, at = PARAGRAPH, match.end()
            else:
                said, at = _PLAIN[match["plain"]], match.end()
            parts.append(said)
        parts.append(text[at:])
        return "".join(parts)

    def _word(self, name: str, text: str, at: int, depth: int) -> tuple[str, int]:
        """A command word and what follows it."""
        if name in SYMBOLS:
            blank = re.compile(r"\{\}|[ \t]*").match(text, at)
            return SYMBOLS[name], blank.end() if blank else at
        if name in SECTIONS:
            at = _after_options(text, at)
            title = braced(text, at)
            if title is None:
                return "", at
            said = " ".join(self.render(title[0], depth + 1).replace(HARD, " ").split())
            return f"{PARAGRAPH}{'#' * SECTIONS[name]} {said}{PARAGRAPH}" if said else PARAGRAPH, title[1]
        if name in ACCENTS and len(name) == 1:
            return _accented(name, text, at)
        if name == "item":
            return self._item(text, at, depth)
        if name in ("verb", "lstinline") and at < len(text) and not text[at].isspace():
            end = self._find(text, "}" if text[at] == "{" else text[at], at + 1)
            if end > 0:
                return self._hold(f"`{text[at + 1 : end]}`"), end + 1
        if name in DROPPED:
            return "", self._passed(text, at, DROPPED[name])
        if name in KEPT_LAST:
            return self._last(text, at, KEPT_LAST[name], depth)
        if name == "ensuremath":
            inner = braced(text, at)
            return ("", at) if inner is None else (self._inline(inner[0]), inner[1])
        if name == "xspace":
            return " " if text[at : at + 1].isalnum() or text[at : at + 1] in ("(", "$") else "", at
        if name == "footnote":
            at = _after_options(text, at)
            note = braced(text, at)
            return (f" ({self.render(note[0], depth + 1).strip()})", note[1]) if note else ("", at)
        if name in ("par", "newpage", "clearpage", "bigskip", "medskip", "smallskip", "indent", "noindent"):
            return PARAGRAPH if name not in ("indent", "noindent") else "", at
        if name in ("newline", "linebreak"):
            return HARD, _after_options(text, at)
        if text.startswith("[", at):  # options of a command that is not known
            at = _after_options(text, at)
        return "", _after_blank(text, at)

    def _dollars(self, mark: str, text: str, at: int) -> tuple[str, int]:
        if mark == "$$":
            end = self._find(text, "$$", at)
            return ("", at) if end < 0 else (self._display(text[at:end]), end + 2)
        end_match = _INLINE_END.search(text, at)
        if end_match is None or not end_match[0].endswith("$"):
            return "", at  # a dollar sign that nothing closes in its paragraph
        inner = text[at : end_match.end() - 1]
        return self._inline(inner), end_match.end()

    def _inline(self, tex: str) -> str:
        tex = " ".join(_plain_math(tex).split())
        if not tex:
            return ""
        self.formulas += 1
        return self._hold(f"${tex}$")

    def _display(self, tex: str) -> str:
        tex = "\n".join(line.rstrip() for line in _plain_math(tex).strip().split("\n") if line.strip())
        if not tex:
            return ""
        self.formulas += 1
        return f"{HARD}{self._hold(f'$${tex}$$')}{HARD}"

    def _environment(self, name: str, text: str, at: int, depth: int) -> tuple[str, int]:
        plain = name.rstrip("*")
        if plain in MATH:
            end = environment(text, at, name)
            if end is None:
                return "", at
            inner = text[at : end[0]]
            if plain not in UNNUMBERED:
                inner = f"\\begin{{{name}}}{inner}\\end{{{name}}}"
            return self._inline(inner) if plain == "math" else self._display(inner), end[1]
        if plain in DROPPED_ENVIRONMENTS:
            end = environment(text, at, name)
            return ("", at) if end is None else ("", end[1])
        if plain in ("figure", "wrapfigure", "SCfigure", "table", "sidewaystable", "algorithm"):
            return self._float(name, text, at, depth)
        if plain in ("tabular", "tabularx", "tabulary", "longtable", "supertabular"):
            return self._tabular(name, text, at, depth)
        if plain in _LISTS:
            self._lists.append((plain, 0))
            return PARAGRAPH if len(self._lists) == 1 else "", _after_options(text, at)
        if plain == "abstract":
            return f"{PARAGRAPH}## Abstract{PARAGRAPH}", at
        if plain in self._theorems:
            said = self._theorems[plain]
            option = braced(text, at, "[")
            if option is not None:
                said, at = f"{said} ({self.render(option[0], depth + 1).strip()})", option[1]
            return f"{PARAGRAPH}{said}. ", at
        return PARAGRAPH, _after_options(text, at)

    def _ended(self, name: str) -> str:
        plain = name.rstrip("*")
        if plain in _LISTS:
            if self._lists:
                self._lists.pop()
            return HARD if self._lists else PARAGRAPH
        return PARAGRAPH

    def _item(self, text: str, at: int, depth: int) -> tuple[str, int]:
        kind, count = self._lists[-1] if self._lists else ("itemize", 0)
        if self._lists:
            self._lists[-1] = (kind, count + 1)
        label = braced(text, at, "[")
        mark = f"{count + 1}. " if kind == "enumerate" else "- "
        if label is not None:
            said, at = self.render(label[0], depth + 1).strip(), label[1]
            mark = f"- {said.rstrip(':')}: " if kind == "description" else f"{said} "
        return f"{HARD}{self._hold('  ' * (len(self._lists) - 1))}{mark}", _after_blank(text, at)

    def _float(self, name: str, text: str, at: int, depth: int) -> tuple[str, int]:
        """Of a figure or table its captions and tables."""
        end = environment(text, at, name)
        if end is None:
            return "", at
        inner, said = text[at : end[0]], []
        for match in re.finditer(r"\\caption\s*|\\begin\s*\{(tabular[xy]?)\*?\}", inner):
            if match[1] is None:
                caption = braced(inner, _after_options(inner, match.end()))
                if caption is not None:
                    said.append(self.render(caption[0], depth + 1).strip())
            else:
                said.append(self._tabular(match[1], inner, match.end(), depth)[0])
        return PARAGRAPH + PARAGRAPH.join(said) + PARAGRAPH, end[1]

    def _tabular(self, name: str, text: str, at: int, depth: int) -> tuple[str, int]:
        end = environment(text, at, name)
        if end is None:
            return "", at
        for _ in range(2 if name.startswith(("tabularx", "tabulary")) else 1):
            at = _after_options(text, at)
            columns = braced(text, at)
            at = columns[1] if columns else at
        rows: list[str] = []
        inner = _RULES.sub("", text[at : end[0]])
        for row in re.split(r"\\\\(?:\[[^\]]*\])?|\\tabularnewline", inner):
            cells = [self.render(cell, depth + 1) for cell in re.split(r"(?<!\\)&", row)]
            cells = [re.sub(rf"[{HARD}{PARAGRAPH}\s]+", " ", cell).strip() for cell in cells]
            if any(cells):
                rows.append(f"| {' | '.join(cells)} |")
        return f"{PARAGRAPH}{HARD.join(rows)}{PARAGRAPH}" if rows else "", end[1]

    def _sign(self, sign: str, text: str, at: int) -> tuple[str, int]:
        r"""A backslash and one character that is no letter."""
        if sign in "([":
            end = self._find(text, "\\)" if sign == "(" else "\\]", at)
            if end < 0:
                return "", at
            return (self._inline if sign == "(" else self._display)(text[at:end]), end + 2
        if sign == "\\":
            star = re.compile(r"\*?(?:\[[^\]\n]{0,20}\])?").match(text, at)
            return HARD, star.end() if star else at
        if sign in ACCENTS:
            return _accented(sign, text, at)
        if sign in "%&#_{}$":
            return sign, at
        return " " if sign in " ,;:\n\t" else "", at

    def _passed(self, text: str, at: int, count: int) -> int:
        """The place after a command's options and `count` arguments."""
        at = _after_options(text, at)
        for _ in range(count):
            argument = braced(text, at)
            if argument is None:
                break
            at = _after_options(text, argument[1]) if count > 1 else argument[1]
        return at

    def _last(self, text: str, at: int, count: int, depth: int) -> tuple[str, int]:
        """The last of a command's `count` arguments."""
        said = ""
        for _ in range(count):
            at = _after_options(text, at)
            argument = braced(text, at)
            if argument is None:
                break
            said, at = argument
        return self.render(said, depth + 1), at

    def _find(self, text: str, mark: str, at: int) -> int:
        """Where a mark is next, -1: nowhere; a search that failed in a text is not made again from a later place."""
        if (text, mark) in self._absent:
            return -1
        found = text.find(mark, at)
        if found < 0:
            self._absent.add((text, mark))
        return found

    def _hold(self, piece: str) -> str:
        if not piece:
            return ""
        if PARAGRAPH in piece or HELD in piece or HARD in piece:  # a formula around what is held already
            inner = re.sub(rf"{HELD}(\d+){HELD}", lambda found: self._pieces[int(found[1])], piece)
            piece = re.sub(rf"[{HARD}{PARAGRAPH}{HELD}]", "", inner)
        self._pieces.append(piece)
        return f"{HELD}{len(self._pieces) - 1}{HELD}"


def _plain_math(tex: str) -> str:
    """A formula without what says nothing in one: labels, and the marks by which macros make one in a text."""
    tex = _LABEL.sub("", tex).replace("\\xspace", "")
    if len(tex) > _LONG_FORMULA:
        return tex
    while (at := tex.find("\\ensuremath")) >= 0:
        end = at + len("\\ensuremath")
        inner = braced(tex, end)
        tex = tex[:at] + (tex[end:] if inner is None else f"{{{inner[0]}}}{tex[inner[1] :]}")
    return tex


def _title(text: str, document: _Document) -> str:
    found = re.search(r"\\title\s*(?=[\[{])", text)
    if found is None:
        return ""
    title = braced(text, _after_options(text, found.end()))
    if title is None:
        return ""
    said = document.finished(document.render(re.sub(r"\\\\|\\thanks\s*\{[^{}]*\}", " ", title[0]), 1))
    return " ".join(said.split())


def _after_options(text: str, at: int) -> int:
    """The place after brackets, if there are any."""
    while (option := braced(text, at, "[")) is not None:
        at = option[1]
    return at


def _after_blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t":
        at += 1
    return at


def _accented(sign: str, text: str, at: int) -> tuple[str, int]:
    """A letter with its accent, as one character."""
    match = re.compile(r"\s*(?:\{\s*(?:\\?([A-Za-z]))?\s*\}|\\?([A-Za-z]))").match(text, at)
    if match is None or (sign.isalpha() and not re.match(r"[\s{\\]", text[at : at + 1])):
        return "", at
    letter = match[1] or match[2] or ""
    return unicodedata.normalize("NFC", letter + ACCENTS[sign]) if letter else "", match.end()


def _line(line: str) -> str:
    """A line without what dropped references leave: "see ," and "Theorem ."."""
    return re.sub(r"\s+([,.;:)])", r"\1", re.sub(r"\(\s*[,;]?\s*\)", "", line)).strip()
