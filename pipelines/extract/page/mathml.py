r"""Presentation MathML as TeX, where a formula says no TeX itself (MathML 3, chapter 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import lxml.html

_SYMBOLS = {
    "−": "-", "∗": "*", "×": r"\times", "÷": r"\div", "±": r"\pm", "∓": r"\mp", "⋅": r"\cdot", "·": r"\cdot",
    "∘": r"\circ", "•": r"\bullet", "⊕": r"\oplus", "⊗": r"\otimes", "∩": r"\cap", "∪": r"\cup", "∖": r"\setminus",
    "∧": r"\wedge", "∨": r"\vee", "¬": r"\neg", "≤": r"\leq", "≥": r"\geq", "≠": r"\neq", "≈": r"\approx",
    "≡": r"\equiv", "∼": r"\sim", "≃": r"\simeq", "≅": r"\cong", "∝": r"\propto", "≪": r"\ll", "≫": r"\gg",
    "≺": r"\prec", "≻": r"\succ", "∈": r"\in", "∉": r"\notin", "∋": r"\ni", "⊂": r"\subset", "⊃": r"\supset",
    "⊆": r"\subseteq", "⊇": r"\supseteq", "∅": r"\emptyset", "∀": r"\forall", "∃": r"\exists", "∄": r"\nexists",
    "∂": r"\partial", "∇": r"\nabla", "∞": r"\infty", "∫": r"\int", "∬": r"\iint", "∭": r"\iiint", "∮": r"\oint",
    "∑": r"\sum", "∏": r"\prod", "∐": r"\coprod", "⋂": r"\bigcap", "⋃": r"\bigcup", "⋀": r"\bigwedge",
    "⋁": r"\bigvee", "⨁": r"\bigoplus", "⨂": r"\bigotimes", "√": r"\surd", "→": r"\to", "←": r"\leftarrow",
    "↔": r"\leftrightarrow", "⇒": r"\Rightarrow", "⇐": r"\Leftarrow", "⇔": r"\Leftrightarrow", "↦": r"\mapsto",
    "⟶": r"\longrightarrow", "⟵": r"\longleftarrow", "⟹": r"\Longrightarrow", "⟺": r"\Longleftrightarrow",
    "↑": r"\uparrow", "↓": r"\downarrow", "⇀": r"\rightharpoonup", "⇌": r"\rightleftharpoons", "⟨": r"\langle",
    "⟩": r"\rangle", "〈": r"\langle", "〉": r"\rangle", "⌊": r"\lfloor", "⌋": r"\rfloor", "⌈": r"\lceil",
    "⌉": r"\rceil", "‖": r"\|", "∥": r"\parallel", "⊥": r"\perp", "∠": r"\angle", "△": r"\triangle", "†": r"\dagger",
    "‡": r"\ddagger", "⋆": r"\star", "…": r"\ldots", "⋯": r"\cdots", "⋮": r"\vdots", "⋱": r"\ddots", "′": "'",
    "″": "''", "‴": "'''", "ℏ": r"\hbar", "ℓ": r"\ell", "ℜ": r"\Re", "ℑ": r"\Im", "ℵ": r"\aleph", "⊤": r"\top",
    "⊢": r"\vdash", "⊨": r"\models", "∴": r"\therefore", "∵": r"\because", "°": r"{}^\circ", "ℝ": r"\mathbb{R}",
    "ℕ": r"\mathbb{N}", "ℤ": r"\mathbb{Z}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "α": r"\alpha", "β": r"\beta",
    "γ": r"\gamma", "δ": r"\delta", "ε": r"\varepsilon", "ϵ": r"\epsilon", "ζ": r"\zeta", "η": r"\eta", "θ": r"\theta",
    "ϑ": r"\vartheta", "ι": r"\iota", "κ": r"\kappa", "λ": r"\lambda", "μ": r"\mu", "µ": r"\mu", "ν": r"\nu",
    "ξ": r"\xi", "π": r"\pi", "ϖ": r"\varpi", "ρ": r"\rho", "ϱ": r"\varrho", "σ": r"\sigma", "ς": r"\varsigma",
    "τ": r"\tau", "υ": r"\upsilon", "φ": r"\varphi", "ϕ": r"\phi", "χ": r"\chi", "ψ": r"\psi", "ω": r"\omega",
    "Γ": r"\Gamma", "Δ": r"\Delta", "Θ": r"\Theta", "Λ": r"\Lambda", "Ξ": r"\Xi", "Π": r"\Pi", "Σ": r"\Sigma",
    "Υ": r"\Upsilon", "Φ": r"\Phi", "Ψ": r"\Psi", "Ω": r"\Omega", "%": r"\%", "#": r"\#", "&": r"\&", "_": r"\_",
    "$": r"\$", "{": r"\{", "}": r"\}", "∣": r"\mid", "\u2061": "", "\u2062": "", "\u2063": "", "\u2064": "",
    "\xa0": " ",
}  # fmt: skip
_FUNCTIONS = frozenset(
    (
        "arccos", "arcsin", "arctan", "arg", "cos", "cosh", "cot", "coth", "csc", "deg",
        "det", "dim", "exp", "gcd", "hom", "inf", "ker", "lg", "lim", "liminf",
        "limsup", "ln", "log", "max", "min", "Pr", "sec", "sin", "sinh", "sup",
        "tan", "tanh",
    )
)  # fmt: skip
_ACCENTS = {
    "^": r"\hat", "ˆ": r"\hat", "~": r"\tilde", "˜": r"\tilde", "¯": r"\bar", "‾": r"\overline", "―": r"\overline",
    "_": r"\underline", "→": r"\vec", "⃗": r"\vec", "˙": r"\dot", ".": r"\dot", "¨": r"\ddot", "ˇ": r"\check",
    "˘": r"\breve", "⏞": r"\overbrace", "⏟": r"\underbrace", "̂": r"\hat", "̃": r"\tilde", "̄": r"\bar",
}  # fmt: skip
_STYLES = {
    "bold": r"\mathbf", "double-struck": r"\mathbb", "script": r"\mathcal", "fraktur": r"\mathfrak",
    "bold-italic": r"\boldsymbol", "sans-serif": r"\mathsf", "monospace": r"\mathtt", "normal": r"\mathrm",
}  # fmt: skip
_LIMITS = (r"\sum", r"\prod", r"\coprod", r"\lim", r"\max", r"\min", r"\sup", r"\inf", r"\bigcup", r"\bigcap", r"\int")
MAX_DEPTH = 60
"""Levels of nesting below which a formula is told as its bare characters."""


def tex(markup: bytes) -> str:
    r"""A `<math>` element as `$…$`, or `$$…$$` where it is displayed; its bare characters where it cannot be read."""
    # Imported on first use: few pages have formulas, and all would wait for it.
    import lxml.etree
    import lxml.html

    try:
        math = lxml.html.fragment_fromstring(markup.decode("utf-8", "replace"))
    except (lxml.etree.LxmlError, ValueError):
        return ""
    inner = " ".join(_children(math, 0).split())
    if not inner:
        return ""
    return f"$${inner}$$" if math.get("display") == "block" else f"${inner}$"


def _tag(element: lxml.html.HtmlElement) -> str:
    return str(element.tag).rpartition(":")[2].lower() if isinstance(element.tag, str) else ""


def _text(element: lxml.html.HtmlElement) -> str:
    return " ".join(str(element.text_content()).split())


def _symbols(text: str) -> str:
    pieces = [_SYMBOLS.get(character, character) for character in text]
    return "".join(f"{piece} " if piece[:1] == "\\" and piece[-1:].isalpha() else piece for piece in pieces)


def _children(element: lxml.html.HtmlElement, depth: int) -> str:
    return "".join(_told(child, depth + 1) for child in element if isinstance(child.tag, str))  # no comments


def _group(element: lxml.html.HtmlElement, depth: int) -> str:
    inner = _told(element, depth).strip()
    return inner if len(inner) == 1 else f"{{{inner}}}"


def _told(element: lxml.html.HtmlElement, depth: int) -> str:
    tag = _tag(element)
    if depth > MAX_DEPTH:
        return _symbols(_text(element))
    parts = [child for child in element if isinstance(child.tag, str)]
    if tag in ("annotation", "annotation-xml", "mphantom", "maligngroup", "malignmark", "none", "mprescripts"):
        return ""
    if tag in ("mi", "mn", "mo", "ci", "cn"):
        return _token(element, tag)
    if tag in ("mtext", "ms"):
        text = str(element.text_content())
        return rf"\text{{{text}}}" if text.strip() else " "
    if tag == "mspace":
        return " "
    if tag == "mfrac" and len(parts) == 2:
        return rf"\frac{{{_told(parts[0], depth + 1).strip()}}}{{{_told(parts[1], depth + 1).strip()}}}"
    if tag == "msqrt":
        return rf"\sqrt{{{_children(element, depth).strip()}}}"
    if tag == "mroot" and len(parts) == 2:
        return rf"\sqrt[{_told(parts[1], depth + 1).strip()}]{{{_told(parts[0], depth + 1).strip()}}}"
    if tag in ("msup", "msub") and len(parts) == 2:
        return f"{_base(parts[0], depth)}{'^' if tag == 'msup' else '_'}{_group(parts[1], depth + 1)}"
    if tag == "msubsup" and len(parts) == 3:
        return f"{_base(parts[0], depth)}_{_group(parts[1], depth + 1)}^{_group(parts[2], depth + 1)}"
    if tag in ("mover", "munder", "munderover"):
        return _over_under(tag, parts, depth)
    if tag == "mfenced":
        opening, closing = element.get("open", "("), element.get("close", ")")
        between = (element.get("separators", ",") or "").strip()[:1]
        inner = between.join(_told(part, depth + 1).strip() for part in parts)
        return f"{_fence('left', opening)}{inner}{_fence('right', closing)}"
    if tag == "mtable":
        rows = [
            " & ".join(_children(cell, depth + 2).strip() for cell in row if _tag(cell) == "mtd")
            for row in parts
            if _tag(row) in ("mtr", "mlabeledtr")
        ]
        return r"\begin{matrix} " + r" \\ ".join(rows) + r" \end{matrix}"
    if tag == "semantics":
        return _told(parts[0], depth + 1) if parts else ""
    if not parts:
        return _symbols(_text(element))
    return _children(element, depth)


def _token(element: lxml.html.HtmlElement, tag: str) -> str:
    text = _text(element)
    if tag == "mi" and len(text) > 1 and text.isascii():
        if text in _FUNCTIONS:
            return f"\\{text} "
        return rf"\mathrm{{{_symbols(text).strip()}}}" if text.isalpha() else _symbols(text)
    if tag == "mo" and text in _FUNCTIONS:
        return f"\\{text} "
    told = _symbols(text)
    style = _STYLES.get(element.get("mathvariant", ""))
    return rf"{style}{{{told.strip()}}}" if style and tag == "mi" else told


def _base(element: lxml.html.HtmlElement, depth: int) -> str:
    inner = _told(element, depth + 1).strip()
    simple = _tag(element) in ("mi", "mn", "mo", "mfenced") or len(inner) == 1
    return inner if simple and inner else f"{{{inner}}}"


def _over_under(tag: str, parts: list[lxml.html.HtmlElement], depth: int) -> str:
    if len(parts) != (3 if tag == "munderover" else 2):
        return "".join(_told(part, depth + 1) for part in parts)
    base = _told(parts[0], depth + 1).strip()
    if tag == "munderover":
        return f"{base}_{_group(parts[1], depth + 1)}^{_group(parts[2], depth + 1)}"
    mark = _text(parts[1])
    if mark in _ACCENTS:
        return rf"{_ACCENTS[mark]}{{{base}}}"
    sign = "^" if tag == "mover" else "_"
    if base.startswith(_LIMITS):
        return f"{base}{sign}{_group(parts[1], depth + 1)}"
    return rf"\{'over' if tag == 'mover' else 'under'}set{{{_told(parts[1], depth + 1).strip()}}}{{{base}}}"


def _fence(side: str, sign: str) -> str:
    told = _SYMBOLS.get(sign, sign) or "."
    return rf"\{side}{told}" + (" " if told[-1:].isalpha() else "")
