r"""Wikitext to text: what a reader of the page would read, in Markdown.

Kept: paragraphs, headings, lists, tables, `<math>` as `$...$`, code, the text of links. Dropped: references, files,
categories, navigation, comments, and templates, but for those that say something of their own: a value with its unit, a
quotation, text in another language (`wikitext_templates.py`). A section without text is dropped with its heading.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pipelines.extract.extraction import Extraction, ExtractionError
from pipelines.extract.references import unescape
from pipelines.extract.wikitext_templates import TEMPLATES

if TYPE_CHECKING:
    from mwparserfromhell.wikicode import Wikicode

MAX_CHARACTERS = 10_000_000

# Characters that XML cannot hold stand for what is decided on once the page is together.
_GONE, _HEAD = "\0", "\1"

_HIDDEN = re.compile(r"hidden=([^;]+)")
_LANGUAGE_LINK = re.compile(r"[a-z]{2,3}(?:-[a-z-]+)?:\S")
_BOLD = re.compile(r"'{5}|'{3}|'{2}")
_SWITCHES = re.compile(r"__[A-Z]+__")
_BRACKETS = re.compile(rf"( ?[(（])([\s,;:{_GONE}]+)([)）]?)")
_ONLY_GONE = re.compile(rf"(?m)^[ \t]*(?:(?:-|\d+\.)[ \t]*)?{_GONE}[ \t{_GONE}]*(?:\n|\Z)")
_SPACE_AT_GONE = re.compile(rf"(?<![ \t])[ \t]+{_GONE}+(?=[ \t]|[.,;:)\n]|\Z)")
_DROPPED_CLASSES = re.compile(
    r"\b(?:navbox|infobox|metadata|ambox|mbox|toc|noprint|sistersitebox|vertical-navbox|reflist|references)\b"
)
_DROPPED_TAGS = frozenset(
    {
        "ref", "references", "gallery", "timeline", "imagemap", "score", "graph", "hiero", "templatestyles", "style",
        "script", "mapframe", "maplink", "section", "indicator", "inputbox", "categorytree", "noinclude", "math-error",
    }
)  # fmt: skip
_CODE_TAGS = frozenset({"pre", "syntaxhighlight", "source"})
_BLOCKS = frozenset({"div", "p", "blockquote", "center", "ul", "ol", "dl", "li", "poem", "section"})
_LISTS = "*#:;"
_TAG = re.compile(r"<(?P<close>/?)(?P<name>[A-Za-z]+)\b[^<>]*?(?P<alone>/?)>|(?P<table>\{\||\|\})")
_SINGLE = frozenset({"br", "wbr", "hr", "meta", "link", "img", "li", "dt", "dd", "th", "td", "tr"})
_MOST_OPEN = 300
"""Tags of a name, or tables, that may stay open: mwparserfromhell tries each of them again at the end of the page."""


def read_wikitext(body: bytes, content_type: str) -> Extraction:
    """The text of a page.

    Args:
        body: wikitext in UTF-8.
        content_type: with the parameter `hidden`, the names of the namespaces of files and categories, quoted as in an
            address and joined with "|".

    Raises:
        ExtractionError: "empty-document", "too-large", "extraction-failed" (the parser breaks).
    """
    source = body.decode("utf-8", "replace").replace("\0", "\ufffd").replace("\1", "\ufffd")
    if len(source) > MAX_CHARACTERS:
        raise ExtractionError("too-large", f"the page has {len(source)} characters, the limit is {MAX_CHARACTERS}")
    _check_depth(source)
    given = _HIDDEN.search(content_type)
    hidden = unquote(given.group(1)).split("|") if given else ["File", "Image", "Category"]
    # Imported on first use: only dumps of wikis need it.
    import mwparserfromhell
    from mwparserfromhell.parser import ParserError

    page = _Page({name.strip().lower() for name in hidden})
    try:
        text = page.text(mwparserfromhell.parse(source, skip_style_tags=True))
    except (ParserError, RecursionError) as error:
        raise ExtractionError(
            "extraction-failed", f"mwparserfromhell: {type(error).__name__}: {error}"[:300]
        ) from error
    text = _finished(text)
    if not text:
        raise ExtractionError("empty-document", f"{len(source)} characters of wikitext and no text for a reader")
    return Extraction(text, engine="wikitext", math_count=page.formulas)


def _check_depth(source: str) -> None:
    """Refuse what would take the parser time in the square of the page: thousands of things that nothing closes."""
    open_: Counter[str] = Counter()
    for match in _TAG.finditer(source):
        name = (match["name"] or match["table"]).lower()
        if name == "|}" or match["close"]:
            name = "{|" if name == "|}" else name
            open_[name] -= open_[name] > 0
        elif not match["alone"] and name not in _SINGLE:
            open_[name] += 1
    open_["<!--"] = source.count("<!--", source.rfind("-->") + 1)
    worst = max(open_, key=lambda name: open_[name], default="")
    if open_[worst] > _MOST_OPEN:
        raise ExtractionError("too-deep", f"{open_[worst]} times {worst!r} without an end, the limit is {_MOST_OPEN}")


class _Page:
    """Renders the nodes of one page."""

    def __init__(self, hidden: set[str]) -> None:
        self._hidden = hidden
        self.formulas = 0

    def text(self, code: Wikicode | None) -> str:
        """What the nodes say."""
        if code is None:
            return ""
        from mwparserfromhell.nodes import (
            Argument,
            Comment,
            ExternalLink,
            Heading,
            HTMLEntity,
            Tag,
            Template,
            Text,
            Wikilink,
        )

        parts: list[str] = []
        marks = ""
        counts: list[tuple[str, int]] = []
        begun = False  # an item of a list begins here
        for node in code.nodes:
            if isinstance(node, Tag) and node.wiki_markup is not None and str(node.wiki_markup) in _LISTS:
                marks += str(node.wiki_markup)
                continue
            if marks:
                parts.append(_bullet(marks, counts))
                marks, begun = "", True
            if isinstance(node, Text):
                said = str(node.value).lstrip(" ") if begun else str(node.value)
                if counts and re.search(r"\n[^\n]", said):
                    counts.clear()
                parts.append(_SWITCHES.sub("", _BOLD.sub("", said)))
            elif isinstance(node, Heading):
                parts.append(f"\n{_HEAD * min(node.level, 6)} {_one_line(self.text(node.title))}\n")
            elif isinstance(node, Wikilink):
                parts.append(self._link(node))
            elif isinstance(node, ExternalLink):
                parts.append(self.text(node.title) if node.brackets else str(node.url))
            elif isinstance(node, Template):
                parts.append(self._template(node))
            elif isinstance(node, Tag):
                parts.append(self._tag(node))
            elif isinstance(node, HTMLEntity):
                parts.append(_entity(str(node)))
            elif isinstance(node, Comment):
                parts.append(_GONE)
            elif isinstance(node, Argument):  # of a template that is not called here
                parts.append(self.text(node.default) if node.default is not None else _GONE)
            begun = False
        return "".join(parts)

    def _link(self, link: Any) -> str:
        target = str(link.title).strip()
        shown = link.text
        prefix, colon, _ = target.partition(":")
        if colon and not target.startswith(":"):
            if prefix.strip().lower() in self._hidden:
                return _GONE
            if shown is None and _LANGUAGE_LINK.match(target):
                return _GONE
        if shown is None:
            return self.text(link.title).lstrip(":").replace("_", " ")
        if not str(shown).strip():  # the pipe trick: [[Paris (Texas)|]]
            return re.sub(r"\s*\([^()]*\)$", "", target.partition(":")[2] or target)
        return self.text(shown)

    def _tag(self, tag: Any) -> str:
        name = str(tag.tag).strip().lower()
        if name in _DROPPED_TAGS or _DROPPED_CLASSES.search(_attribute(tag, "class")):
            return _GONE
        if name in ("math", "ce", "chem"):
            return self._formula(name, str(tag.contents or ""), _attribute(tag, "display"))
        if name in _CODE_TAGS:
            return _fenced(unescape(str(tag.contents or "")), _attribute(tag, "lang"))
        if name == "nowiki":
            return unescape(str(tag.contents or ""))
        if name == "table":
            return f"\n{self._table(tag)}\n"
        if name == "br":
            return "\n"
        if name == "hr":
            return "\n"
        inner = self.text(tag.contents)
        if name == "code":
            return f"`{inner}`" if inner.strip() and "\n" not in inner else inner
        if name == "li":
            return f"\n- {inner.strip()}"
        return f"\n{inner}\n" if name in _BLOCKS else inner

    def _formula(self, name: str, tex: str, display: str) -> str:
        tex = " ".join(unescape(tex).split())
        if not tex:
            return _GONE
        self.formulas += 1
        tex = tex if name == "math" else f"\\ce{{{tex}}}"
        return f"\n$${tex}$$\n" if display.strip("\"' ") == "block" else f"${tex}$"

    def _template(self, template: Any) -> str:
        name = str(template.name).strip().lower().replace("_", " ")
        render = TEMPLATES.get(name)
        if render is None:
            return _GONE
        given = [self.text(one.value).strip() for one in template.params if not one.showkey]
        named = {str(one.name).strip(): self.text(one.value).strip() for one in template.params if one.showkey}
        while any(str(len(given) + 1) == key for key in named):  # {{lang|1=la|2=...}}
            given.append(named[str(len(given) + 1)])
        return render(given, named) or _GONE

    def _table(self, table: Any) -> str:
        rows: list[tuple[bool, list[str]]] = []
        caption = ""
        loose: list[Any] = []
        for node in [*_tags(table, ("tr", "td", "th", "caption", "tbody", "thead"))]:
            name = str(node.tag).strip().lower()
            if name == "caption":
                caption = _one_line(self.text(node.contents))
            elif name in ("td", "th"):
                loose.append(node)
            else:
                for row in _tags(node, ("tr",)) if name in ("tbody", "thead") else [node]:
                    rows.append(self._row([*_tags(row, ("td", "th"))]))
        if loose and str(loose[0].contents).lstrip().startswith("+"):  # "|+ caption" comes as a cell
            caption = _one_line(self.text(loose.pop(0).contents)).lstrip("+ ")
        if loose:
            rows.insert(0, self._row(loose))
        rows = [row for row in rows if any(row[1])]
        if not rows:
            return caption
        width = max(len(cells) for _, cells in rows)
        lines = [f"| {' | '.join([*cells, *[''] * (width - len(cells))])} |" for _, cells in rows]
        if rows[0][0]:
            lines.insert(1, "|" + " --- |" * width)
        return "\n".join(([caption, ""] if caption else []) + lines)

    def _row(self, cells: Sequence[Any]) -> tuple[bool, list[str]]:
        """Whether a row is a header, and its cells, each in one line."""
        header = bool(cells) and all(str(cell.tag).strip().lower() == "th" for cell in cells)
        return header, [_one_line(self.text(cell.contents)).replace("|", "\\|") for cell in cells]


def _tags(tag: Any, names: tuple[str, ...]) -> Iterable[Any]:
    """The tags of some names directly inside one."""
    from mwparserfromhell.nodes import Tag

    nodes = tag.contents.nodes if tag.contents is not None else []
    return [node for node in nodes if isinstance(node, Tag) and str(node.tag).strip().lower() in names]


def _attribute(tag: Any, name: str) -> str:
    return str(tag.get(name).value or "").lower() if tag.has(name) else ""


def _bullet(marks: str, counts: list[tuple[str, int]]) -> str:
    """The mark of a list's item; `counts` holds the last mark and number of each depth."""
    depth = len(marks)
    indent = "  " * (depth - 1)
    del counts[depth:]
    counts.extend((mark, 0) for mark in marks[len(counts) :])
    last, number = counts[-1]
    counts[-1] = (marks[-1], number + 1 if last == marks[-1] else 1)
    if marks.strip(":") == "":
        return ""
    if marks.endswith("#"):
        return f"{indent}{counts[-1][1]}. "
    return f"{indent}- " if marks.endswith("*") else indent


def _entity(text: str) -> str:
    shown = unescape(text).replace("\xa0", " ")
    return shown if shown.isprintable() or shown in "\n\t" else " "


def _fenced(code: str, language: str) -> str:
    code = code.strip("\n")
    return f"\n```{language.strip()}\n{code}\n```\n" if code.strip() else _GONE


def _one_line(text: str) -> str:
    return " ".join(text.replace(_GONE, "").split())


def _finished(text: str) -> str:
    """The page in one piece: what was dropped leaves no traces, sections without text lose their headings."""
    text = _BRACKETS.sub(_without_traces, text)
    text = _SPACE_AT_GONE.sub("", _ONLY_GONE.sub("", text)).replace(_GONE, "")
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\xa0", " ")
    kept: list[str] = []
    fenced = False
    for line in text.split("\n"):
        fenced ^= line.startswith("```")
        plain = line.rstrip()
        if not fenced:
            plain = re.sub(r"^( *(?:-|\d+\.)) +", r"\1 ", plain)
            if plain.strip() in ("-", "*") or re.fullmatch(r"\s*\d+\.", plain):
                continue
        level = len(plain) - len(plain.lstrip(_HEAD))
        if level:
            _drop_empty(kept, level)
            kept += ["", plain, ""]
        else:
            kept.append(plain)
    _drop_empty(kept, 0)
    made = "\n".join(("#" * (len(line) - len(line.lstrip(_HEAD))) + line.lstrip(_HEAD)) for line in kept)
    return re.sub(r"\n{3,}", "\n\n", made).replace(_HEAD, "").strip()


def _without_traces(found: re.Match[str]) -> str:
    """Brackets whose first, or only, content was dropped."""
    if _GONE not in found[2]:
        return found[0]
    return "" if found[3] else found[1]


def _drop_empty(lines: list[str], level: int) -> None:
    """Take back the headings at the end of some lines under which nothing stands; a heading's level or above."""
    while True:
        while lines and not lines[-1]:
            lines.pop()
        last = len(lines[-1]) - len(lines[-1].lstrip(_HEAD)) if lines else 0
        if not last or (level and last < level):
            return
        lines.pop()
