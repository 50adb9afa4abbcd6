"""Street addresses, where their form is certain: a number, a word for a street and a postal code of the same country.

A street and a number alone name places in every story; with the postal code behind them they are somebody's address.
North America, Britain, Australia, and the countries of Europe and Latin America that write the number behind the street
or the postal code before the town.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from filters.pii.span import Span

__all__ = ["STREET_WORDS", "street_addresses"]

_ENGLISH: Final = """
    street st avenue ave av road rd boulevard blvd drive dr lane ln way court ct place pl square sq terrace ter
    parkway pkwy highway hwy circle cir trail trl crescent cres close gardens grove row mews hill green park walk
    quay parade esplanade loop pike plaza turnpike broadway
""".split()  # noqa: SIM905
_ROMANCE: Final = """
    rue avenue boulevard bd place chemin allée allee impasse quai route cours square passage faubourg esplanade
    villa sentier
""".split()  # noqa: SIM905
_UNITS: Final = "apt apartment suite".split()  # noqa: SIM905
STREET_WORDS: Final = tuple(dict.fromkeys((*_ENGLISH, *_ROMANCE, *_UNITS, "box")))
"""One of them stands within seven words behind the number, where the number comes first."""

_NAME: Final = r"(?:[A-Z0-9\u00c0-\u00de][\w'’.\-]*)"
_WORD: Final = r"[\w'’.\-]{1,24}"
_PLACE: Final = r"(?:(?:St|Ste|Mt|Ft)\. )?[A-Z\u00c0-\u00de][\w'’\-]*"
_COMPASS: Final = r"(?:N|S|E|W|NE|NW|SE|SW|North|South|East|West)\.?"
_STREET: Final = (
    rf"\d{{1,6}}(?:-\d{{1,4}})?[A-Za-z]? (?:{_COMPASS} )?(?:(?:{_NAME}|of|the|de|la) ){{0,4}}?"
    rf"(?:{'|'.join(word.capitalize() for word in _ENGLISH)})\b\.?(?: {_COMPASS}(?=[\s,]))?"
)
_UNIT: Final = r"(?:,?\s+(?:Apt|Apartment|Suite|Ste|Unit|Floor|Fl|Room|Rm|Bldg|Building|Lot|No|#)\.? ?#?[\w\-]{1,6})?"
_TOWN: Final = rf"[,\s]{{1,3}}{_PLACE}(?:,? {_PLACE}){{0,4}}?"
_STATES: Final = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA"
    "|PR|RI|SC|SD|TN|TX|UT|VT|VA|VI|WA|WV|WI|WY|GU"
)
_FRONT: Final = tuple(
    (name, re.compile(rf"{_STREET}{_UNIT}{tail}(?!\w)"))
    for name, tail in (
        ("us", rf"{_TOWN},?\s{{1,2}}(?:{_STATES})\.?,?\s{{1,2}}\d{{5}}(?:-\d{{4}})?"),
        ("ca", rf"{_TOWN},?\s{{1,2}}[A-Z]{{2}},?\s{{1,2}}[A-CEGHJ-NPR-TVXY]\d[A-Z] ?\d[A-Z]\d"),
        ("au", rf"{_TOWN},?\s{{1,2}}(?:NSW|VIC|QLD|SA|WA|TAS|NT|ACT),?\s{{1,2}}\d{{4}}"),
        ("gb", rf"(?:[,\s]{{1,3}}{_PLACE}){{1,7}}?[,\s]{{1,3}}[A-Z]{{1,2}}\d[A-Z\d]? \d[A-Z]{{2}}"),
    )
)
_FRENCH: Final = re.compile(
    rf"\d{{1,4}}(?: ?(?:bis|ter|quater))?,? (?:{'|'.join(_ROMANCE)})\b[^\n,;:!?]{{2,50}}?(?:,\s?|\n| - | )"
    rf"(?:[A-Z]{{1,2}}-)?\d{{4,5}} (?=[A-Z\u00c0-\u00de]){_PLACE}(?:[ \-]{_PLACE}){{0,3}}",
    re.IGNORECASE,
)
_GAP: Final = r"(?!,?\s?\n\s?\n)[,\s]{1,3}"
"""Between the parts of an address: no empty line."""
# A number, a name and the number of a flat say as much as a word for a street: "3250 El Camino Real, Suite 200, ...".
_FLAT: Final = re.compile(
    rf"\d{{1,6}} {_NAME}(?:,? {_WORD}){{0,6}}?(?:,?\s{{1,2}}(?:{'|'.join(unit.capitalize() for unit in _UNITS)})\.? "
    rf"#?\d{{1,5}}[A-Z]?){{1,2}}{_GAP}{_PLACE}(?:{_GAP}(?:{_PLACE}|\({_PLACE}\)|de|del|do|la|of|[A-Z]{{1,2}}"
    r"|\d{2})){0,6}?,?(?!\s?\n\s?\n)\s{1,3}"
    r"(?:\d{5}(?:-\d{4})?|[A-CEGHJ-NPR-TVXY]\d[A-Z] ?\d[A-Z]\d|[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2})(?!\w)"
)
_MILITARY: Final = re.compile(
    r"(?:PSC|UNIT|CMR) \d{1,5},? BOX \d{1,5}[,\s]{1,3}(?:APO|FPO|DPO),? A[AEP] \d{5}(?!\w)", re.I
)
_MILITARY_HEAD: Final = re.compile(r"\b(?:PSC|UNIT|CMR) $", re.IGNORECASE)
_ENDING: Final = (
    r"[\w'’\-]*(?:stra(?:ß|ss)e|str\.|weg|platz|allee|gasse|ring|damm|ufer|straat|laan|plein|gracht|kade|dreef|gatan|vägen"
    r"|gade|vej|vænget|gata|veien|katu|tie|kuja|polku|utca|út|ulice|náměstí)"
)
_LEADING: Final = (
    r"(?:Via|Viale|Piazza|Corso|Vicolo|Largo|Calle|C/|Avenida|Avda\.?|Av\.|Plaza|Paseo|Carrer|Rua|Travessa|Praça|Rue|ul\.|ulica"
    r"|al\.|Am|An der|Im|In der|Zum|Zur|Auf dem)"
)
_STANDING: Final = ("Straße", "Strasse", "Str.", "Allee", "Gasse", "Damm", "Ufer", "Weg", "Platz", "Ring", "Markt")
"""German words for a street that stand apart, behind a name ("Berliner Straße")."""
_SPORTS: Final = ("Weg", "Platz", "Ring", "Markt")
"""Those of them that come before a number elsewhere, too ("Platz 3, 2010 ..."): a year is no postal code there."""
_BEFORE_NUMBER: Final = re.compile(
    rf"(?<!\w)(?:(?:{_NAME} ){{0,3}}?{_ENDING}"
    rf"|(?:{_NAME} ){{1,3}}?(?P<standing>{'|'.join(map(re.escape, _STANDING))})"
    rf"|{_LEADING} ?(?:(?:{_NAME}|d[aeiou]s?|del|della|dei|la|von|y|e) ){{0,5}}?{_NAME}),? ?$"
)
_FROM_NUMBER: Final = re.compile(
    r"\d{1,4} ?[A-Za-z]?(?:[\-/]\d{1,4}[a-z]?)?(?:,? \d{1,2}[º°.][ A-Z]{0,2})?(?:,\s?|\n| - | )(?:[A-Z]{1,2}-)?"
    rf"(?:\d{{4}} [A-Z]{{2}}|\d{{3}} \d{{2}}|\d{{2}}-\d{{3}}|\d{{4,5}}) {{1,2}}{_PLACE}(?:[ \-]{_PLACE}){{0,3}}"
)
_YEAR: Final = re.compile(r"[,\n -]\s?(?:1[89]|20)\d\d {1,2}\D")
_REACH: Final = 64


def street_addresses(text: str, start: int, end: int) -> Iterator[Span]:
    """The address whose house number stands from ``start`` to ``end``."""
    if start and (text[start - 1].isalnum() or text[start - 1] in "-/.,$€£#"):
        return
    for name, pattern in _FRONT:
        match = pattern.match(text, start)
        if match:
            yield Span("street_address", start, match.end(), match[0], name)
            return
    match = _FLAT.match(text, start)
    if match:
        yield Span("street_address", start, match.end(), match[0], "flat")
        return
    match = _FRENCH.match(text, start)
    if match and text[match.end(0) - 1].isalpha() and _town_is_capital(match[0]):
        yield Span("street_address", start, match.end(), match[0], "fr")
        return
    line = text[max(0, start - _REACH) : start].rpartition("\n")[2]
    head = _MILITARY_HEAD.search(line)
    if head:
        first = start - len(head[0])
        match = _MILITARY.match(text, first)
        if match:
            yield Span("street_address", first, match.end(), match[0], "us_military")
        return
    street = _BEFORE_NUMBER.search(line)
    match = _FROM_NUMBER.match(text, start) if street else None
    if street and match and not (street["standing"] in _SPORTS and _YEAR.search(match[0])):
        first = start - len(street[0])
        yield Span("street_address", first, match.end(), text[first : match.end()], "eu")


def _town_is_capital(value: str) -> bool:
    """Whether the first word behind the postal code begins with a capital (the pattern does not mind case)."""
    town = re.search(r"\d{4,5} (\w)", value)
    return town is not None and town[1].isupper()
