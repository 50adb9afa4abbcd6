"""The licences that a text holds or names: whole texts by comparison with SPDX's, notices and SPDX tags by their words.

A whole text is compared as licensee and askalono do, on words alone, so that line breaks, comment marks and copyright
lines do not count: a licence is there when nearly all pairs of neighbouring words of its text are. What was found is
taken away and the rest looked at again, so that BSD-3-Clause is not read as BSD-2-Clause too, and a file that holds
several licences gives all of them. The texts come from `identify` (pre-commit), which has them from choosealicense.com.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import pairwise

from pipelines.sources.licence import canonical, licence_of

HEAD = 8192
"""Characters of a source file in which a tag, a notice or a text is looked for."""

_ENOUGH = 0.85  # of a licence's word pairs; holders' names and old wordings ("the regents and contributors") cost some
_ENOUGH_SHORT, _SHORT_TEXT = 0.75, 130
_END = re.compile(r"end of terms and conditions|how to apply these terms|appendix how to apply")
_MUST_HOLD = {  # what a text shares with no sibling: the word pairs of siblings are nearly the same
    "0BSD": "with or without fee is hereby granted",
    "AFL-3.0": "academic free license",
    "AGPL-3.0-only": "remote network interaction",
    "Apache-2.0": "apache license",
    "BSD-3-Clause": "endorse or promote products",
    "BSD-3-Clause-Clear": "any party s patent rights",
    "CC-BY-SA-4.0": "sharealike",
    "ECL-2.0": "educational community license",
    "EPL-1.0": "eclipse public license v 1 0",
    "EPL-2.0": "eclipse public license v 2 0",
    "EUPL-1.1": "v 1 1",
    "EUPL-1.2": "v 1 2",
    "GPL-3.0-only": "use with the gnu affero general public license",
    "ISC": "above copyright notice and this permission notice appear",
    "MIT": "above copyright notice and this permission notice",
    "MS-PL": "microsoft public license",
    "MS-RL": "reciprocal",
    "NCSA": "deal with the software without restriction",
    "OFL-1.1": "open font license",
    "OSL-3.0": "open software license",
    "PostgreSQL": "written agreement is hereby granted",
}
_MUST_LACK = {
    "0BSD": "provided that the above copyright notice",
    "BSD-2-Clause": "endorse or promote products",
    "CC-BY-4.0": "sharealike",
    "MIT-0": "this permission notice",
}
_COPYRIGHT = re.compile(r"\W*(?:copyright\W*(?:\(c\)|©|\[|<|\d|by\b)|\(c\)|©|all rights reserved)")
_WORD = re.compile(r"[a-z0-9]+")
_TEXT = re.compile(  # words that a whole licence text cannot do without
    r"permission(?:\s|\W)+(?:is|to)\b|redistribution(?:\s|\W)+and|license|licence|free(?:\s|\W)+and(?:\s|\W)+unencumbered"
    r"|\b[al]?gpl|confidential|unauthori[sz]ed",
    re.I,
)
_FIELD = re.compile(r"^[^\w\n]{0,8}licen[cs]e[ \t]*[:=][ \t]*([^\n]{2,60})$", re.M | re.I)
_TAG = re.compile(r"SPDX-License-Identifier:[ \t]*([^\r\n]{1,200})")
_TAG_END = re.compile(r"\s*(?:\*/|-->|\*\)|\"\"\"|'''|#>|%>|\}\}|\]\]|\\n|[\"'`,;].*$|\s#.*$).*$")
_PHRASES = (
    ("psf is making python available to licensee", "Python-2.0"),
    ("gnu library general public license version 2 june 1991", "LGPL-2.0-only"),
    ("gnu free documentation license version", "GFDL-1.3-only"),
    ("attribution noncommercial", "CC-BY-NC-4.0"),
    ("attribution noderivatives", "CC-BY-ND-4.0"),
)
"""Words of licences whose text is not among those compared with -> identifier."""
_BLOCKS = {"/*": "*/", "<!--": "-->", '"""': '"""', "'''": "'''", "{-": "-}", "(*": "*)", "#|": "|#", "=begin": "=end",
           "--[[": "]]", "<#": "#>", "%{": "%}", "#=": "=#", "{{!": "}}", "<%--": "--%>", "@c": "\n"}  # fmt: skip
_BLOCK = re.compile(r"[rRuUbB]{0,2}(" + "|".join(map(re.escape, sorted(_BLOCKS, key=len, reverse=True))) + ")")
_COMMENT = re.compile(r"#|//|\*|--|;|%|!|'|\\\\|\.\\?\"|(?i:dnl|rem|c)\b|<\?|@")
_CODE_BEFORE = 4
_RESTRICTED = (
    ("shall be used for good not evil", "JSON"),
    ("commons clause", "LicenseRef-Commons-Clause"),
    ("business source license", "BUSL-1.1"),
    ("server side public license", "SSPL-1.0"),
    ("elastic license 2 0", "Elastic-2.0"),
    ("polyform noncommercial", "PolyForm-Noncommercial-1.0.0"),
    ("for non commercial use only", "LicenseRef-Non-Commercial"),
    ("for noncommercial use only", "LicenseRef-Non-Commercial"),
    ("non commercial research purposes only", "LicenseRef-Non-Commercial"),
    ("proprietary and confidential", "LicenseRef-Proprietary"),
    ("confidential and proprietary", "LicenseRef-Proprietary"),
    ("unauthorized copying of this file", "LicenseRef-Proprietary"),
)
"""Words that forbid what a permissive licence beside them allows -> identifier."""

_GNU = re.compile(
    r"gnu (lesser|library|affero)? ?general public licen[sc]e(?: gpl| lgpl| agpl)?"
    r"(?: as published by the free software foundation)?"
    r"(?: either)?(?: v(?:ersion)? ?| )([123])(?: ([01])\b)?(?: of the licen[sc]e)?"
    r"( or (?:at your option |later)?(?:any )?(?:later|newer)?)?"
)
_NAMED = (
    (r"apache (?:software )?licen[sc]e,? (?:version |v)?2(?: 0)?|apache 2(?: 0)? licen[sc]e", "Apache-2.0"),
    (r"mozilla public licen[sc]e (?:version |v ?)?(?:2 0|2\b)", "MPL-2.0"),
    (r"mozilla public licen[sc]e (?:version |v ?)?1 1", "MPL-1.1"),
    (r"eclipse public licen[sc]e (?:version |v ?)?2 0", "EPL-2.0"),
    (r"eclipse public licen[sc]e (?:version |v ?)?1 0", "EPL-1.0"),
    (r"boost software licen[sc]e (?:version |v ?)?1 0", "BSL-1.0"),
    (r"common development and distribution licen[sc]e", "CDDL-1.0"),
    (r"european union public licen[sc]e", "EUPL-1.2"),
)
_UNDER = (
    r"(?:licen[sc]ed|released|distributed|available|published|provided|covered|subject|governed|redistribut\w+|use) "
    r"(?:\w+ ){0,6}?(?:under|to|by) (?:the )?(?:terms (?:and conditions )?of )?(?:the |an? )?"
)
_SHORT = (
    (r"mit(?: x11)? licen[sc]e", "MIT"),
    (r"isc licen[sc]e", "ISC"),
    (r"(?:3 clause|new|modified|revised) bsd(?: licen[sc]e)?|bsd 3 clause", "BSD-3-Clause"),
    (r"(?:2 clause|simplified) bsd(?: licen[sc]e)?|bsd 2 clause", "BSD-2-Clause"),
    (r"zlib licen[sc]e", "Zlib"),
    (r"unlicense", "Unlicense"),
    (r"gpl ?v?(\d)|gplv(\d)", "LicenseRef-GPL"),
    (r"(?:gnu )?gpl\b", "LicenseRef-GPL"),
    (r"(?:gnu )?lgpl\b", "LicenseRef-LGPL"),
)
_VERSIONS = {"GPL": ("1.0", "2.0", "3.0"), "LGPL": ("2.0", "2.1", "3.0"), "AGPL": ("1.0", "3.0")}
_CHOICE = re.compile(
    r"\bdual(?:ly)? licen[sc]|\bunder (?:the terms of )?either(?! version)|choice of (?:one of |the )?(?:two|following)"
    r"|at your option(?! any)"
)
_PLAIN_RE = [
    (re.compile(r"(?i)\bMIT\s+licen[sc]e"), "MIT"),
    (re.compile(r"(?i)\b(?:BSD\s+3-clause|3-clause\s+BSD)"), "BSD-3-Clause"),
    (re.compile(r"(?i)\b(?:BSD\s+2-clause|2-clause\s+BSD)"), "BSD-2-Clause"),
]
_NAMED_RE = [(re.compile(pattern), name) for pattern, name in _NAMED]
_SHORT_RE = [(re.compile(_UNDER + f"(?:{pattern})"), name) for pattern, name in _SHORT]
_FORMS = {"": "GPL", "lesser": "LGPL", "library": "LGPL", "affero": "AGPL"}


def licences_in(text: str) -> tuple[str, ...]:
    """SPDX identifiers of the licences whose whole text is in a text, the largest first, then restrictions on them."""
    if _TEXT.search(text) is None:
        return ()
    words = _words(text)
    joined = " ".join(words)
    left = _pairs(words)
    found: list[str] = []
    for name, pairs, size in _templates():
        if size > 1.5 * left.total() or _MUST_HOLD.get(name, "") not in joined:
            continue
        if name in _MUST_LACK and _MUST_LACK[name] in joined:
            continue
        if _share(pairs, left, size) >= (_ENOUGH_SHORT if size < _SHORT_TEXT else _ENOUGH):
            found.append(name)
            left = left - pairs
    found += [name for phrase, name in (*_PHRASES, *_RESTRICTED) if phrase in joined]
    return tuple(dict.fromkeys(found))


def licence_of_head(text: str) -> tuple[str | None, str]:
    """The licence that a source file states in its first characters, and how it is stated; (None, "") without one.

    An SPDX tag decides; else every licence whose text or notice is there holds (AND). A tag that is no expression is
    answered with (None, the tag): something is stated, and it cannot be read.
    """
    head = header(text)
    tags = [_expression(found[1]) for found in _TAG.finditer(head)]
    if tags:
        read = [canonical(tag) for tag in dict.fromkeys(tags)]
        stated = f"SPDX-License-Identifier: {'; '.join(dict.fromkeys(tags))}"
        if None in read:
            return None, stated
        return all_of([expression for expression in read if expression]), stated
    if _TEXT.search(head) is None:
        return None, ""
    field = _FIELD.search(head)
    if field:
        named, stated = licence_of({"License": [field[1].strip(" \t*/#")]}, [])
        if named is not None:
            return named, stated
    whole = licences_in(head)
    names = whole or notices(head)
    if not whole and _CHOICE.search(" ".join(_WORD.findall(head.lower()))):
        names = tuple(dict.fromkeys((*names, *(name for pattern, name in _PLAIN_RE if pattern.search(head)))))
        if len(names) < 2:  # the others are named where the whole project's are
            return None, ""
        return " OR ".join(sorted(names)), "notice of a choice at the head of the file"
    if not names:
        return None, ""
    return all_of(list(names)), f"{'text' if whole else 'notice'} at the head of the file"


def header(text: str) -> str:
    """The comments that a source file begins with: a licence named in its code, as in a test of one, is not its own.

    A few lines of code may come before (`package`, `<?php`, an import); comments are told by how a line begins.
    """
    comments: list[str] = []
    code = 0
    closing = ""
    for line in text[:HEAD].split("\n"):
        stripped = line.strip()
        if closing:
            comments.append(stripped)
            closing = "" if closing in stripped else closing
        elif found := _BLOCK.match(stripped):
            comments.append(stripped)
            end = _BLOCKS[found[1]]
            closing = "" if end in stripped[found.end(1) :] else end
        elif not stripped or _COMMENT.match(stripped):
            comments.append(stripped)
        else:
            code += 1
            if code > _CODE_BEFORE:
                break
    return "\n".join(comments)


def notices(text: str) -> tuple[str, ...]:
    """SPDX identifiers of the licences that a text says it is under ("Licensed under the Apache License ...")."""
    words = " ".join(_WORD.findall(text.lower()))
    found = [name for phrase, name in _RESTRICTED if phrase in words]
    for match in _GNU.finditer(words):
        form = _FORMS[match[1] or ""]
        version = f"{match[2]}.{match[3] or '0'}"
        if version not in _VERSIONS[form]:
            continue
        found.append(f"{form}-{version}-{'or-later' if match[4] and 'later' in match[4] else 'only'}")
    found += [name for pattern, name in _NAMED_RE if pattern.search(words)]
    if not found:
        found += [name for pattern, name in _SHORT_RE if pattern.search(words)][:1]
    return tuple(dict.fromkeys(found))


def all_of(names: list[str]) -> str:
    """The expression in which every one of several holds."""
    parts = sorted(dict.fromkeys(names))
    return parts[0] if len(parts) == 1 else " AND ".join(f"({name})" if " OR " in name else name for name in parts)


def _expression(tag: str) -> str:
    """What a tag says, without what ends the comment it stands in."""
    text = _TAG_END.sub("", tag).strip()
    return text.rstrip(")") if text.count(")") > text.count("(") else text


def _words(text: str) -> list[str]:
    """Words in lower case; copyright lines are no part of a licence."""
    return _WORD.findall("\n".join(line for line in text.lower().split("\n") if not _COPYRIGHT.match(line)))


def _pairs(words: list[str]) -> Counter[tuple[str, str]]:
    return Counter(pairwise(words))


def _share(template: Counter[tuple[str, str]], text: Counter[tuple[str, str]], size: int) -> float:
    return sum(min(count, text[pair]) for pair, count in template.items()) / size


@cache
def _templates() -> list[tuple[str, Counter[tuple[str, str]], int]]:
    """(SPDX identifier, word pairs, their number), longest first: a longer one is looked for before those inside it."""
    from identify.vendor.licenses import LICENSES

    current = {"AGPL-3.0": "AGPL-3.0-only", "GPL-2.0": "GPL-2.0-only", "GPL-3.0": "GPL-3.0-only",
               "LGPL-2.1": "LGPL-2.1-only", "LGPL-3.0": "LGPL-3.0-only"}  # fmt: skip
    made: list[tuple[str, Counter[tuple[str, str]], int]] = []
    for name, text in LICENSES:
        words = " ".join(_words(text))
        end = _END.search(words)
        words = words[: end.start()] if end else words
        made.append(_template(current.get(name, name), words))
        if name == "MIT":
            made.append(_template("MIT-0", words.replace(_MIT_NOTICE, "")))
    return sorted(made, key=lambda template: (-template[2], template[0]))


def _template(name: str, words: str) -> tuple[str, Counter[tuple[str, str]], int]:
    pairs = _pairs(words.split())
    return name, pairs, pairs.total()


_MIT_NOTICE = (  # what MIT-0 does without
    "subject to the following conditions the above copyright notice and this permission notice shall be included in "
    "all copies or substantial portions of the software"
)
