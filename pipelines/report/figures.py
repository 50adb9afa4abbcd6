"""How the report writes numbers and excerpts for a reader."""

from __future__ import annotations

import math
import unicodedata

EXCERPT_CHARACTERS = 320


def count(number: float) -> str:
    """Write a whole number with thin spaces between thousands: 1 234 567."""
    return f"{round(number):,}".replace(",", "\u202f")


def counted(number: int, thing: str) -> str:
    """Write a number of things: 1 record, 1 234 records."""
    return f"{count(number)} {thing}" if number == 1 else f"{count(number)} {thing}s"


def short(number: float) -> str:
    """Write a number in three figures with k, M, G or T: 1.34 M."""
    size = abs(number)
    if size < 10_000:
        return count(number)
    for power, unit in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if size >= 10**power:
            return f"{number / 10**power:.3g}\u202f{unit}"
    return count(number)


def share(part: float, whole: float) -> str:
    """Write a part of a whole in percent; never "0 %" for something, never "100 %" for less than all."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "<0.1\u202f%"
    if 99.9 < percent < 100:
        return ">99.9\u202f%"
    digits = 0 if percent in (0.0, 100.0) else 1
    return f"{percent:.{digits}f}\u202f%"


def value(number: float | None) -> str:
    """Write a measured value or a bound with four significant figures; a dash for none."""
    if number is None or math.isnan(number):
        return "–"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    if number == int(number) and abs(number) < 1e15:
        return count(number)
    return f"{number:.4g}"


def brief(number: float | None) -> str:
    """Write a number in two or three figures, for narrow columns: 1.66, 0.0081."""
    if number is None:
        return "–"
    return f"{number:.2g}" if abs(number) < 1 else f"{number:.3g}"


def seconds(length: float) -> str:
    """Write a duration: 0.4 s, 12 s, 3 min 20 s, 2 h 05 min."""
    if length < 10:
        return f"{length:.1f}\u202fs"
    if length < 90:
        return f"{length:.0f}\u202fs"
    minutes, rest = divmod(round(length), 60)
    if minutes < 90:
        return f"{minutes}\u202fmin {rest:02d}\u202fs"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}\u202fh {minutes:02d}\u202fmin"


def visible(text: str) -> str:
    """Make a text safe to look at: control and direction-changing characters become U+FFFD, line breaks and tabs stay.

    Escaping for HTML is the template's work; this keeps a hostile page from reordering or hiding what is around it.
    """
    return "".join(
        "\ufffd" if unicodedata.category(char) in ("Cc", "Cf", "Cs") and char not in "\n\t\u200c\u200d" else char
        for char in text
    )


def excerpt(text: str, length: int = EXCERPT_CHARACTERS) -> str:
    """Return the beginning of a text, cut at a word where one ends near, blank lines left out."""
    lines = (line.rstrip() for line in visible(text[: 4 * length]).split("\n"))
    head = "\n".join(line for line in lines if line).strip("\n")
    if len(head) <= length:
        return head + (" …" if len(text) > 4 * length else "")
    cut = head.rfind(" ", length - 40, length)
    return head[: cut if cut > 0 else length].rstrip() + " …"
