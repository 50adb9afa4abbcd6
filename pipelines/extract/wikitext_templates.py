"""Templates of wikis that say something in a text: what becomes of them. All others are dropped.

The names are those of the English Wikipedia, and of wikis that took them over.
"""

from __future__ import annotations

from collections.abc import Callable

Render = Callable[[list[str], dict[str, str]], str]


def _nth(number: int) -> Render:
    """The argument of a number, counted from 1."""
    return lambda given, named: given[number - 1] if len(given) >= number else ""


def _last(given: list[str], named: dict[str, str]) -> str:
    return given[-1] if given else ""


def _convert(given: list[str], named: dict[str, str]) -> str:
    """{{convert|5|km|mi}}: the value as it was given. Ranges: {{convert|5|to|6|km}}."""
    if len(given) < 2:
        return " ".join(given)
    if len(given) >= 4 and given[1] in ("to", "-", "–", "and", "or", "by", "x", "×", "+"):
        joint = {"-": "–", "x": " × "}.get(given[1], f" {given[1]} ")
        return f"{given[0]}{joint}{given[2]} {given[3]}"
    return f"{given[0]} {given[1]}"


def _quotation(given: list[str], named: dict[str, str]) -> str:
    said = named.get("text") or named.get("quote") or (given[0] if given else "")
    by = named.get("author") or named.get("sign") or (given[1] if len(given) > 1 else "")
    return f"\n{said}\n{'— ' + by if by else ''}\n" if said else ""


def _fraction(given: list[str], named: dict[str, str]) -> str:
    if len(given) == 3:
        return f"{given[0]} {given[1]}/{given[2]}"
    return "/".join(given) if len(given) == 2 else f"1/{given[0]}" if given else ""


def _value(given: list[str], named: dict[str, str]) -> str:
    power = f"×10^{named['e']}" if named.get("e") else ""
    unit = f" {named.get('u') or named.get('ul')}" if named.get("u") or named.get("ul") else ""
    return f"{given[0]}{'±' + given[1] if len(given) > 1 else ''}{power}{unit}" if given else ""


def _lines(given: list[str], named: dict[str, str]) -> str:
    items = [item for item in given if item]
    return "\n" + "\n".join(item if item.lstrip().startswith("-") else f"- {item}" for item in items) + "\n"


def _tex(given: list[str], named: dict[str, str]) -> str:
    return f"${given[0]}$" if given else ""


def _constant(text: str) -> Render:
    return lambda given, named: text


TEMPLATES: dict[str, Render] = {
    "lang": _nth(2),
    **dict.fromkeys(["chem", "chem2"], lambda given, named: "".join(given)),
    **dict.fromkeys(["flag", "flagcountry", "flagu", "nts", "ntsh", "dts", "date", "ipa"],
                    lambda given, named: " ".join(given[:3])),
    "angbr": lambda given, named: f"⟨{given[0]}⟩" if given else "",
    **dict.fromkeys(
        ["abbr", "tooltip", "nowrap", "nobr", "math", "mvar", "var", "nihongo", "nihongo2", "transl", "transliteration",
         "small", "smaller", "big", "larger", "resize", "center", "em", "strong", "strongbad", "kbd", "samp", "code",
         "mono", "smallcaps", "sc", "uc", "lc", "bigmath", "section link", "ill", "interlanguage link",
         "visible anchor", "vanchor", "not a typo", "proper name", "sic", "zh", "linktext", "illm"],
        _nth(1),
    ),
    **dict.fromkeys(["lang-la", "lang-el", "lang-grc", "lang-fr", "lang-de", "lang-es", "lang-it", "lang-ru", "lang-ar",
                     "lang-he", "lang-ja", "lang-zh", "lang-sa", "lang-pt", "lang-pl", "lang-nl", "lang-en"], _nth(1)),
    **dict.fromkeys(["transl", "transliteration"], _last),
    **dict.fromkeys(["convert", "cvt"], _convert),
    **dict.fromkeys(["quote", "blockquote", "cquote", "quotation", "quote box"], _quotation),
    **dict.fromkeys(["frac", "sfrac", "fraction"], _fraction),
    **dict.fromkeys(["val"], _value),
    **dict.fromkeys(["tmath", "tex"], _tex),
    **dict.fromkeys(["plainlist", "flatlist", "hlist", "unbulleted list", "ubl", "bulleted list", "blist"], _lines),
    **dict.fromkeys(["ndash", "en dash", "spaced ndash", "snd", "spnd"], _constant(" – ")),
    **dict.fromkeys(["mdash", "em dash", "spaced mdash"], _constant(" — ")),
    **dict.fromkeys(["nbsp", "space", "thinsp", "thin space"], _constant(" ")),
    **dict.fromkeys(["circa", "c.", "ca."], lambda given, named: f"c. {given[0]}" if given else "c."),
    "as of": lambda given, named: f"As of {'-'.join(given[:3])}" if given else "",
    "sup": lambda given, named: f"^{given[0]}" if given else "",
    "sub": lambda given, named: f"_{given[0]}" if given else "",
    "!": _constant("|"),
    "=": _constant("="),
    "'": _constant("'"),
    "'s": _constant("'s"),
    "bce": _constant("BCE"),
    "ce": _constant("CE"),
    "pi": _constant("π"),
    "e": lambda given, named: f"×10^{given[0]}" if given else "e",
    "radic": lambda given, named: f"√{given[0]}" if given else "√",
    "sqrt": lambda given, named: f"√{given[0]}" if given else "√",
    "formatnum": _nth(1),
    "birth date": lambda given, named: "-".join(given[:3]),
    "start date": lambda given, named: "-".join(given[:3]),
    "death date": lambda given, named: "-".join(given[:3]),
}  # fmt: skip
"""By name in lower case: the text from the arguments without a name, in order, and from those with one."""
