r"""AsciiMath as TeX: `sum_(i=1)^n i^3` is `\sum_{i=1}^n i^3`.

The grammar is that of asciimath.org, with v a constant, u and b what takes one and two arguments, l and r brackets:

    S ::= v | l E r | u S | b S S      I ::= S | S_S | S^S | S_S^S      E ::= I E | I/I
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

MAX_DEPTH: Final = 60
"""Levels of nesting below which a formula is told as its bare characters."""
MAX_LENGTH: Final = 4000
"""Characters of a formula: what is longer is no formula."""

_GREEK = (
    "alpha beta gamma Gamma delta Delta epsilon varepsilon zeta eta theta Theta vartheta iota kappa lambda Lambda mu nu"
    " xi Xi pi Pi rho sigma Sigma tau upsilon phi Phi varphi chi psi Psi omega Omega"
)
_FUNCTIONS = (
    "arcsin arccos arctan sinh cosh tanh coth sin cos tan cot sec csc exp log ln det dim gcd lim max min sup inf ker"
    " deg arg Pr"
)
_SAME = (
    "cdot ast star times div ltimes rtimes bowtie circ oplus otimes odot wedge bigwedge vee bigvee cap"
    " bigcap cup bigcup ne le leq ge geq lt gt ll gg prec preceq succ succeq in notin subset supset"
    " subseteq supseteq equiv sim cong approx propto neg implies iff forall exists bot top vdash models"
    " int oint partial nabla pm mp emptyset infty aleph therefore because ldots cdots vdots ddots quad"
    " angle triangle diamond square uparrow downarrow rightarrow to leftarrow leftrightarrow Rightarrow"
    " Leftarrow Leftrightarrow mapsto hookrightarrow sum prod setminus frown ell rightarrowtail"
    " twoheadrightarrow perp parallel nsubseteq lozenge hbar"
)
_CONSTANTS: Final = {
    **{name: "\\" + name for name in f"{_GREEK} {_FUNCTIONS} {_SAME}".split()},
    **{name: rf"\operatorname{{{name}}}" for name in ("sech", "csch", "lcm", "mod", "glb", "lub", "sgn", "sign")},
    "*": r"\cdot", "**": r"\ast", "***": r"\star", "//": "/", "\\\\": r"\backslash", "xx": r"\times", "-:": r"\div",
    "|><": r"\ltimes", "><|": r"\rtimes", "|><|": r"\bowtie", "@": r"\circ", "o+": r"\oplus", "ox": r"\otimes",
    "o.": r"\odot", "^^": r"\wedge", "^^^": r"\bigwedge", "vv": r"\vee", "vvv": r"\bigvee", "nn": r"\cap",
    "nnn": r"\bigcap", "uu": r"\cup", "uuu": r"\bigcup", "!=": r"\ne", "<=": r"\le", ">=": r"\ge", "mlt": r"\ll",
    "mgt": r"\gg", "-<": r"\prec", "-<=": r"\preceq", ">-": r"\succ", ">-=": r"\succeq", "!in": r"\notin",
    "sub": r"\subset", "sup": r"\supset", "sube": r"\subseteq", "supe": r"\supseteq", "-=": r"\equiv", "~": r"\sim",
    "~=": r"\cong", "~~": r"\approx", "prop": r"\propto", "and": r"\text{ and }", "or": r"\text{ or }",
    "if": r"\text{ if }", "not": r"\neg", "=>": r"\implies", "<=>": r"\iff", "AA": r"\forall", "EE": r"\exists",
    "_|_": r"\bot", "TT": r"\top", "|--": r"\vdash", "|==": r"\models", "del": r"\partial", "grad": r"\nabla",
    "+-": r"\pm", "-+": r"\mp", "O/": r"\emptyset", "oo": r"\infty", ":.": r"\therefore", ":'": r"\because",
    "...": r"\ldots", "|...|": r"|\ldots|", "|cdots|": r"|\cdots|", "/_": r"\angle", "/_\\": r"\triangle",
    "|__": r"\lfloor", "__|": r"\rfloor", "|~": r"\lceil", "~|": r"\rceil", "CC": r"\mathbb{C}", "NN": r"\mathbb{N}",
    "QQ": r"\mathbb{Q}", "RR": r"\mathbb{R}", "ZZ": r"\mathbb{Z}", "uarr": r"\uparrow", "darr": r"\downarrow",
    "rarr": r"\rightarrow", "->": r"\to", ">->": r"\rightarrowtail", "->>": r"\twoheadrightarrow",
    "|->": r"\mapsto", "larr": r"\leftarrow", "harr": r"\leftrightarrow", "rArr": r"\Rightarrow",
    "lArr": r"\Leftarrow", "hArr": r"\Leftrightarrow", "dx": "dx", "dy": "dy", "dz": "dz", "dt": "dt", "'": "'",
    "%": r"\%", "#": r"\#", "&": r"\&", "$": r"\$", "\\ ": r"\ ", "f": "f", "g": "g", "Sin": r"\sin", "Cos": r"\cos",
    "Tan": r"\tan", "Log": r"\log", "Ln": r"\ln", "Lim": r"\lim",
}  # fmt: skip
_UNARY: Final = {
    "sqrt": r"\sqrt", "hat": r"\hat", "bar": r"\overline", "overline": r"\overline", "ul": r"\underline",
    "underline": r"\underline", "vec": r"\vec", "tilde": r"\tilde", "dot": r"\dot", "ddot": r"\ddot",
    "overarc": r"\overset{\frown}", "ubrace": r"\underbrace", "underbrace": r"\underbrace", "obrace": r"\overbrace",
    "overbrace": r"\overbrace", "cancel": r"\cancel", "bb": r"\mathbf", "mathbf": r"\mathbf", "bbb": r"\mathbb",
    "mathbb": r"\mathbb", "cc": r"\mathcal", "mathcal": r"\mathcal", "tt": r"\mathtt", "mathtt": r"\mathtt",
    "fr": r"\mathfrak", "mathfrak": r"\mathfrak", "sf": r"\mathsf", "mathsf": r"\mathsf", "rm": r"\mathrm",
    "mathrm": r"\mathrm",
}  # fmt: skip
_AROUND: Final = {"abs": ("|", "|"), "norm": (r"\|", r"\|"), "floor": (r"\lfloor ", r"\rfloor"),
                  "ceil": (r"\lceil ", r"\rceil"), "Abs": ("|", "|")}  # fmt: skip
_BINARY: Final = {
    "frac": r"\frac{{{0}}}{{{1}}}", "root": r"\sqrt[{0}]{{{1}}}", "stackrel": r"\stackrel{{{0}}}{{{1}}}",
    "overset": r"\overset{{{0}}}{{{1}}}", "underset": r"\underset{{{0}}}{{{1}}}", "color": "{1}", "id": "{1}",
    "class": "{1}",
}  # fmt: skip
_LEFT: Final = {"(": "(", "[": "[", "{": r"\{", "(:": r"\langle ", "<<": r"\langle ", "langle": r"\langle ", "{:": "",
                "lfloor": r"\lfloor ", "lceil": r"\lceil "}  # fmt: skip
_RIGHT: Final = {")": ")", "]": "]", "}": r"\}", ":)": r"\rangle ", ">>": r"\rangle ", "rangle": r"\rangle ", ":}": "",
                 "rfloor": r"\rfloor ", "rceil": r"\rceil "}  # fmt: skip
_WORDS = sorted(
    {*_CONSTANTS, *_UNARY, *_AROUND, *_BINARY, *_LEFT, *_RIGHT, "text", "mbox", "_", "^", "/", "|"},
    key=len,
    reverse=True,
)
_TOKEN = re.compile(
    r'(?P<space>\s+)|(?P<text>"[^"]*"|(?:text|mbox)(?:\([^)]*\)|\{[^}]*\}|\[[^\]]*\]))|(?P<number>\d+(?:\.\d+)?)|(?P<word>'
    + "|".join(map(re.escape, _WORDS))
    + r")|(?P<other>.)",
    re.DOTALL,
)
_TALL = (r"\frac", r"\sum", r"\prod", r"\int", r"\begin", r"\stackrel", r"\underset", r"\overset")
_SCRIPTS: Final = (b"asciimath", b"am_html", b"am_chtml", b"am_svg")
_BACKTICK: Final = ord("`")
_QUOTED = re.compile(r"`([^`\n]{1,4000})`")


def uses(page: NDArray[np.uint8], text: NDArray[np.uint8]) -> bool:
    """Whether backticks in a text hold AsciiMath: there are some, and its page names a script that reads them."""
    if not (text == _BACKTICK).any():
        return False
    html = page.tobytes().lower()
    return any(name in html for name in _SCRIPTS)


def replaced(text: str) -> str:
    """A text with AsciiMath between backticks as one with TeX between dollar signs."""
    return _QUOTED.sub(lambda found: tex(found[1]), text) if "`" in text else text


def tex(formula: str, *, display: bool = False) -> str:
    """A formula as TeX between dollar signs, two of them if it is displayed; "" for an empty one."""
    formula = " ".join(formula.split())
    if not formula:
        return ""
    told = formula if len(formula) > MAX_LENGTH else _Reader(formula).whole()
    return f"$${told}$$" if display else f"${told}$"


class _Reader:
    """Reads a formula from left to right; what no rule of the grammar fits stands as it is."""

    def __init__(self, formula: str) -> None:
        self._tokens = [
            (str(found.lastgroup), found[0]) for found in _TOKEN.finditer(formula) if found.lastgroup != "space"
        ]
        self._at = self._depth = 0
        self._end = len(self._tokens)
        # Where each bracket closes: what a bracket holds is known before it is read, so that nothing is read twice.
        self._closed: dict[int, int] = {}
        opened: list[int] = []
        for at, (kind, word) in enumerate(self._tokens):
            if kind == "word" and word in _LEFT:
                opened.append(at)
            elif kind == "word" and word in _RIGHT and opened:
                self._closed[opened.pop()] = at

    def whole(self) -> str:
        """All tokens up to the end that is set."""
        parts: list[str] = []
        while self._at < self._end:
            parts.append(self._expression())
            if self._at < self._end:  # a closing bracket that nothing opened
                parts.append(_RIGHT.get(self._next()[1], "").strip())
        return _joined(parts)

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < self._end else ""

    def _next(self) -> tuple[str, str]:
        found = self._tokens[self._at]
        self._at += 1
        return found

    def _expression(self) -> str:
        """E: up to a right bracket."""
        parts: list[str] = []
        while self._at < self._end:
            word = self._peek()
            if word in _RIGHT:
                break
            first, bare = self._intermediate()
            if self._peek() == "/":
                self._at += 1
                _, below = self._intermediate()
                first = rf"\frac{{{bare}}}{{{below}}}"
            parts.append(first)
        return _joined(parts)

    def _intermediate(self) -> tuple[str, str]:
        """I: as it is told, and without the brackets that only hold it together."""
        told, bare = self._simple()
        low = high = ""
        if self._peek() == "_":
            self._at += 1
            low = _script("_", self._raised())
        if self._peek() == "^":
            self._at += 1
            high = _script("^", self._raised())
        if told.startswith((r"\underbrace", r"\overbrace")) and not (low or high):
            return told, told
        return (told + low + high, told + low + high) if low or high else (told, bare)

    def _raised(self) -> str:
        """What stands above or below: S, or a sign and S, as everybody writes x^-1."""
        sign = self._next()[1] if self._peek() in ("-", "+") else ""
        return sign + self._simple()[1]

    def _simple(self) -> tuple[str, str]:
        """S: as it is told, and without its outer brackets."""
        if self._at >= self._end:
            return "", ""
        if self._depth >= MAX_DEPTH:
            rest = "".join(_plain(word) for _, word in self._tokens[self._at : self._end])
            self._at = self._end
            return rest, rest
        self._depth += 1
        try:
            return self._one(*self._next())
        finally:
            self._depth -= 1

    def _one(self, kind: str, word: str) -> tuple[str, str]:
        told = ""
        if kind == "text":
            told = rf"\text{{{_plain(word[1:-1].removeprefix('ext').removeprefix('box')[word[0] != chr(34) :])}}}"
        elif kind in ("number", "other"):
            told = _plain(word)
        elif word in _LEFT:
            return self._bracket(word)
        elif word == "|":
            return self._bars()
        elif word in _UNARY:
            told = f"{_UNARY[word]}{{{self._simple()[1]}}}"
        elif word in _AROUND:
            left, right = _AROUND[word]
            told = _fenced(left, self._simple()[1], right)
        elif word in _BINARY:
            first = self._simple()[1]
            told = _BINARY[word].format(first, self._simple()[1])
        elif word in ("_", "^", "/"):
            told = _plain(word)
        else:
            told = _CONSTANTS.get(word, _plain(word))
        return told, told

    def _bracket(self, word: str) -> tuple[str, str]:
        rows = self._rows(self._at)
        if rows:
            told = [" & ".join(self._range(low, high) for low, high in row) for row in rows]
            inside = r"\begin{matrix} " + r" \\ ".join(told) + r" \end{matrix}"
            self._at = rows[-1][-1][1] + 1
        else:
            inside = self._expression()
        right = _RIGHT[self._next()[1]] if self._peek() in _RIGHT else ""
        whole = _fenced(_LEFT[word], inside, right)
        return whole, inside if not rows and word in ("(", "[", "{", "{:") else whole

    def _range(self, low: int, high: int) -> str:
        """The tokens from one place to another as an expression."""
        end, self._at, self._end = self._end, low, high
        told = self.whole()
        self._end = end
        return told

    def _rows(self, at: int) -> list[list[tuple[int, int]]]:
        """The cells of a matrix from its first row on, `[a, b], [c, d]` and a right bracket; [] where there is none."""
        rows: list[list[tuple[int, int]]] = []
        while at in self._closed and self._tokens[at][1] in ("[", "("):
            end = self._closed[at]
            cells: list[tuple[int, int]] = []
            low = here = at + 1
            while here < end:
                if self._tokens[here][1] == ",":
                    cells.append((low, here))
                    low = here + 1
                here = self._closed.get(here, here) + 1
            rows.append([*cells, (low, end)])
            at = end + 1
            if at < len(self._tokens) and self._tokens[at][1] == ",":
                at += 1
                continue
            closes = at < len(self._tokens) and self._tokens[at][1] in _RIGHT
            return rows if closes and len(rows) > 1 and len({len(row) for row in rows}) == 1 else []
        return []

    def _bars(self) -> tuple[str, str]:
        """|x|, if another bar follows before a bracket closes; else a bar."""
        at = self._at
        while at < self._end and self._tokens[at][1] not in ("|", *_RIGHT):
            at = self._closed.get(at, at) + 1
        if not self._at < at < self._end or self._tokens[at][1] != "|":
            return r"\mid", r"\mid"
        inside = self._range(self._at, at)
        self._at = at + 1
        told = _fenced("|", inside, "|")
        return told, told


def _fenced(left: str, inside: str, right: str) -> str:
    if any(name in inside for name in _TALL):
        return rf"\left{left.strip() or '.'}{_apart(inside)}\right{right.strip() or '.'}"
    return f"{left}{inside}{right}".strip()


def _apart(inside: str) -> str:
    return inside if not inside[:1].isalpha() else " " + inside


def _script(sign: str, inside: str) -> str:
    return f"{sign}{inside}" if len(inside) == 1 else f"{sign}{{{inside}}}"


def _plain(word: str) -> str:
    return "".join({"{": r"\{", "}": r"\}", "#": r"\#", "%": r"\%", "&": r"\&", "$": r"\$", "_": r"\_", "^": r"\wedge ",
                    "\\": r"\backslash "}.get(one, one) for one in word)  # fmt: skip


def _joined(parts: list[str]) -> str:
    """Parts side by side, with a space where a command would swallow the letter after it."""
    out = ""
    for part in parts:
        if out and part[:1].isalpha() and re.search(r"\\[A-Za-z]+$", out):
            out += " "
        out += part
    return out
