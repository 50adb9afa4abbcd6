"""Names of elements and attributes as numbers, what the tree rules know of each, and the character references.

Content models: HTML Living Standard, 13.1.2 (void elements), 13.2.6 (special elements, what closes a `p`), 15.3
(rendering: what is displayed as a block).
"""

from __future__ import annotations

from enum import IntFlag
from html.entities import html5
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray


def _listed(names: str) -> tuple[str, ...]:
    return tuple(names.split())


UNKNOWN: Final = 0
TAGS: Final = _listed(
    """
    ? html head body title meta link base script style template noscript address article aside blockquote center
    details dialog dir div dl dt dd fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr
    legend li listing main menu nav ol optgroup option p plaintext pre search section summary table caption
    colgroup col thead tbody tfoot tr td th ul xmp a abbr acronym b bdi bdo big blink button cite code data del
    dfn em font i img input ins kbd label map mark meter nobr output progress q rp rt ruby s samp select small
    span strike strong sub sup textarea time tt u var wbr br area applet audio canvas datalist embed frame
    frameset iframe marquee math mjx-math noembed noframes object param picture source svg track video
    mjx-container mjx-assistive-mml custom
    """
)
TAG: Final = {name: number for number, name in enumerate(TAGS)}

ATTRIBUTES: Final = _listed(
    """
    ? class id role href alt src type name content property rel lang style hidden aria-hidden itemprop datetime
    http-equiv start colspan rowspan charset itemtype title data-lang
    """
)
ATTRIBUTE: Final = {name: number for number, name in enumerate(ATTRIBUTES)}
RAW_TITLE: Final = len(ATTRIBUTES)
"""Pseudo-attribute: the content of `<title>`."""
RAW_JSON: Final = len(ATTRIBUTES) + 1
"""Pseudo-attribute: the content of `<script type="application/ld+json">`."""


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


_BLOCKS = _set(
    """html body address article aside blockquote center details dialog dir div dl dt dd fieldset figcaption figure
    footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li listing main menu nav ol optgroup option p plaintext pre
    search section summary table caption colgroup col thead tbody tfoot tr td th ul xmp noscript frameset custom"""
)
_VOID = _set("area base br col embed frame hr img input link meta param source track wbr")
_CLOSES_P = _set(
    """address article aside blockquote center details dialog dir div dl dt dd fieldset figcaption figure footer form
    h1 h2 h3 h4 h5 h6 header hgroup hr li listing main menu nav ol p plaintext pre search section summary table ul
    xmp"""
)
_SPECIAL = _BLOCKS - {"custom"} | _set("button object template applet marquee select textarea iframe")
_FORMATTING = _set("a b big code em font i nobr s small strike strong tt u")
_RAW = _set("script style xmp iframe noembed noframes textarea title")
_SKIP = _set(
    "template svg canvas object select datalist audio video applet embed map mjx-math picture meter progress rp rt"
)
_HEAD = _set("html head title meta link base script style template noscript")


class Kind(IntFlag):
    """What the tree rules know of an element."""

    BLOCK = 1  # displayed as a block: its borders end a block of text
    VOID = 2  # has no content and no end tag
    CLOSES_P = 4
    SPECIAL = 8  # stops the search for what an end tag closes
    FORMATTING = 16  # may be closed across the borders of blocks
    RAW = 32  # its content is no markup
    SKIP = 64  # its content is no text of the page
    HEAD = 128  # belongs into the head
    HEADING = 256


class Within(IntFlag):
    """What a block lies in: a flag an element hands down to all inside it."""

    ARTICLE = 1
    MAIN = 2
    NAV = 4
    HEADER = 8
    FOOTER = 16
    ASIDE = 32
    SECTION = 64
    FORM = 128
    TABLE = 256
    LIST = 512
    ITEM = 1024
    TERMS = 2048
    QUOTE = 4096
    FIGURE = 8192
    PRE = 16384
    CODE = 32768
    HEADING = 65536
    LINK = 131072
    BUTTON = 262144
    HIDDEN = 524288
    NOSCRIPT = 1048576
    DIALOG = 2097152
    LABEL = 4194304
    CELL = 8388608
    HEADER_CELL = 16777216
    STRONG = 33554432
    DETAILS = 67108864


_WITHIN = {
    Within.ARTICLE: "article",
    Within.MAIN: "main",
    Within.NAV: "nav menu",
    Within.HEADER: "header hgroup",
    Within.FOOTER: "footer",
    Within.ASIDE: "aside",
    Within.SECTION: "section",
    Within.FORM: "form fieldset",
    Within.TABLE: "table",
    Within.LIST: "ul ol dir",
    Within.ITEM: "li",
    Within.TERMS: "dl",
    Within.QUOTE: "blockquote",
    Within.FIGURE: "figure figcaption",
    Within.PRE: "pre listing xmp plaintext",
    Within.CODE: "code samp kbd tt",
    Within.HEADING: "h1 h2 h3 h4 h5 h6",
    Within.LINK: "a",
    Within.BUTTON: "button",
    Within.NOSCRIPT: "noscript",
    Within.DIALOG: "dialog",
    Within.LABEL: "label legend",
    Within.CELL: "td",
    Within.HEADER_CELL: "th",
    Within.STRONG: "b strong",
    Within.DETAILS: "details",
}
ROLES: Final = {
    "navigation": Within.NAV,
    "menu": Within.NAV,
    "menubar": Within.NAV,
    "main": Within.MAIN,
    "article": Within.ARTICLE,
    "banner": Within.HEADER,
    "contentinfo": Within.FOOTER,
    "complementary": Within.ASIDE,
    "search": Within.FORM,
    "dialog": Within.DIALOG,
    "alertdialog": Within.DIALOG,
    "button": Within.BUTTON,
}
RENDERED_MATH: Final = ("katex-html", "MathJax_Preview", "MathJax", "MathJax_Display", "MathJax_SVG", "MathJax_CHTML")
"""Classes of what scripts drew from a formula that stands beside it as MathML or TeX.

`markup.says_drawn` knows their first letters.
"""

FNV_OFFSET: Final = 0xCBF29CE484222325
FNV_PRIME: Final = 0x100000001B3
_MASK = (1 << 64) - 1


def name_hash(name: bytes) -> int:
    """FNV-1a of a name."""
    state = FNV_OFFSET
    for byte in name:
        state = ((state ^ byte) * FNV_PRIME) & _MASK
    return state


class Lookup(NamedTuple):
    """An open-addressing table from `name_hash` to a number; -1 in an empty slot. Its size is a power of two."""

    keys: NDArray[np.uint64]
    values: NDArray[np.int32]


def lookup(numbers: dict[bytes, int]) -> Lookup:
    """Make a table of names and their numbers."""
    size = 1 << max(4, (4 * len(numbers)).bit_length())
    keys, values = np.zeros(size, np.uint64), np.full(size, -1, np.int32)
    for name, number in numbers.items():
        key = name_hash(name)
        slot = key & (size - 1)
        while values[slot] >= 0:
            if int(keys[slot]) == key:
                raise ValueError(f"{name!r} has the hash of another name")
            slot = (slot + 1) & (size - 1)
        keys[slot], values[slot] = key, number
    keys.flags.writeable = values.flags.writeable = False
    return Lookup(keys, values)


class Names(NamedTuple):
    """All tables that the parser takes; as globals they would be frozen into Numba's cache."""

    tags: Lookup
    attributes: Lookup
    roles: Lookup  # to flags of Within
    drawn: Lookup  # RENDERED_MATH
    references: Lookup  # name of a character reference, with its semicolon where it has one -> row of `characters`
    kinds: NDArray[np.int32]  # by tag: flags of Kind
    within: NDArray[np.int32]  # by tag: flags of Within
    characters: NDArray[np.uint8]  # rows of up to 6 bytes of UTF-8, the first being their number


def _tables() -> Names:
    kinds = np.zeros(len(TAGS), np.int32)
    groups = (
        (Kind.BLOCK, _BLOCKS),
        (Kind.VOID, _VOID),
        (Kind.CLOSES_P, _CLOSES_P),
        (Kind.SPECIAL, _SPECIAL),
        (Kind.FORMATTING, _FORMATTING),
        (Kind.RAW, _RAW),
        (Kind.SKIP, _SKIP),
        (Kind.HEAD, _HEAD),
        (Kind.HEADING, _set("h1 h2 h3 h4 h5 h6")),
    )
    for kind, names in groups:
        for name in names:
            kinds[TAG[name]] |= int(kind)
    within = np.zeros(len(TAGS), np.int32)
    for flag, names in _WITHIN.items():
        for name in names.split():
            within[TAG[name]] |= int(flag)
    characters = np.zeros((len(html5), 8), np.uint8)
    references: dict[bytes, int] = {}
    for row, (name, text) in enumerate(sorted(html5.items())):
        encoded = text.encode("utf-8")
        characters[row, 0] = len(encoded)
        characters[row, 1 : 1 + len(encoded)] = np.frombuffer(encoded, np.uint8)
        references[name.encode()] = row
    for array in (kinds, within, characters):
        array.flags.writeable = False
    return Names(
        lookup({name.encode(): number for name, number in TAG.items() if name not in ("?", "custom")}),
        lookup({name.encode(): number for name, number in ATTRIBUTE.items() if name != "?"}),
        lookup({name.encode(): int(flag) for name, flag in ROLES.items()}),
        lookup({name.encode(): 1 for name in RENDERED_MATH}),
        lookup(references),
        kinds,
        within,
        characters,
    )


NAMES: Final = _tables()
