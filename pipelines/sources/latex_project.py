r"""The files of a LaTeX document, and the one text that they make: `\input` and `\include` put in place."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from pipelines.extract.encoding import web_encoding

_INPUT = re.compile(
    r"\\(?P<import>(?:sub)?import)\s*\{(?P<folder>[^{}]*)\}\s*\{(?P<file>[^{}]*)\}"
    r"|\\(?:input|include|subfile|subfileinclude)\s*(?:\{(?P<braced>[^{}]*)\}|(?P<bare>[\w./-]+))"
)
_MAIN = re.compile(r"\\document(?:class|style)\b|\\begin\s*\{document\}")
_PLAIN_TEX = re.compile(r"\\(?:magnification|section|input|bye|font|hsize|proclaim|beginsection|def|nopagenumbers)\b")
_COMMENT = re.compile(r"(?m)(?<!\\)((?:\\\\)*)%.*$")
MAX_DEPTH = 20
SUFFIXES = (".tex", ".ltx", ".latex")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A document in one piece, and the names of files that it asks for and that are not there."""

    text: str
    missing: tuple[str, ...] = ()


@dataclass
class Project:
    """Source files by their path inside the document's folder or archive, decoded."""

    files: Mapping[str, str] = field(default_factory=dict[str, str])

    def mains(self) -> list[str]:
        """The files that are documents of their own, by name.

        Those that no other file puts in, and that open a document themselves or by what they put in; where files put
        in each other in a circle, all that open one. If none does (plain TeX) the only file there is.
        """
        bare = {name: _COMMENT.sub(r"\1", text) for name, text in self.files.items()}
        opens = {name for name, text in bare.items() if _MAIN.search(text)}
        if not opens and len(self.files) == 1:
            return [name for name, text in self.files.items() if _PLAIN_TEX.search(text)]
        uses = {
            name: {found for said in _INPUT.finditer(text) if (found := self._find(_target(said), name)) is not None}
            for name, text in bare.items()
        }
        used = {found for name, targets in uses.items() for found in targets if found != name}
        leading = _leading(opens, uses)
        roots = [name for name in bare if name not in used and name in leading]
        return sorted(roots) or sorted(opens)

    def resolved(self, main: str, most: int) -> Resolved | None:
        """A document with everything that it puts in; None where that would be more than `most` characters."""
        missing: list[str] = []
        try:
            text = self._put_in(main, (main,), missing, [most])
        except OverflowError:
            return None
        return Resolved(text, tuple(dict.fromkeys(missing)))

    def _put_in(self, name: str, above: tuple[str, ...], missing: list[str], left: list[int]) -> str:
        text = self.files[name]
        left[0] -= len(text)
        if left[0] < 0:
            raise OverflowError
        comments = [found.span() for found in _COMMENT.finditer(text)]
        passed = 0  # comments that end before here

        def piece(said: re.Match[str]) -> str:
            nonlocal passed
            while passed < len(comments) and comments[passed][1] <= said.start():
                passed += 1
            if passed < len(comments) and comments[passed][0] <= said.start():
                return said[0]  # in a comment
            target = _target(said)
            found = self._find(target, name)
            if found is None or found in above or len(above) > MAX_DEPTH:
                missing.append(target)
                return ""
            return self._put_in(found, (*above, found), missing, left)

        return _INPUT.sub(piece, text)

    def _find(self, target: str, from_file: str) -> str | None:
        """The file that a name means, looked for beside the file that names it and from the top."""
        for folder in (posixpath.dirname(from_file), ""):
            path = posixpath.normpath(posixpath.join(folder, target))
            for name in (path, *(path + suffix for suffix in SUFFIXES)):
                if name in self.files:
                    return name
        return None


def _leading(wanted: Set[str], uses: Mapping[str, Set[str]]) -> Set[str]:
    """The files wanted, and those that put one of them in by any number of steps."""
    users: dict[str, list[str]] = {}
    for name, used in uses.items():
        for one in used:
            users.setdefault(one, []).append(name)
    seen, open_ = set(wanted), list(wanted)
    while open_:
        following = [name for name in users.get(open_.pop(), ()) if name not in seen]
        seen.update(following)
        open_ += following
    return seen


def decode(data: bytes) -> str:
    """A source file's characters: UTF-8, else what inputenc says, else Latin-1, which every byte is."""
    for encoding in ("utf-8-sig", _declared(data)):
        try:
            return data.decode(encoding).replace("\0", "")
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1").replace("\0", "")


def _declared(data: bytes) -> str:
    found = re.search(rb"\\usepackage\s*\[\s*([\w-]+)\s*\]\s*\{inputenc\}", data)
    label = found.group(1).decode() if found else "latin1"
    known = {"ansinew": "cp1252", "applemac": "mac_roman", "latin9": "iso8859-15", "utf8x": "utf-8"}.get(label, label)
    # Python has codecs by other names that are none of texts ("undefined", "idna", "unicode_escape").
    return known if web_encoding(known) is not None else "latin-1"


def _target(said: re.Match[str]) -> str:
    if said["import"] is not None:
        return posixpath.join(said["folder"].strip(), said["file"].strip())
    return (said["braced"] or said["bare"] or "").strip().strip('"')
