"""Telephone numbers: forms found here, validated by Google's numbering plans (the package phonenumberslite).

A number with + (or 00 and groups) needs no word. A national one does, or a form that only telephone numbers have:
``(415) 553-1234`` of North America, ``01 84 17 61 18`` of France, ``07911 123 456`` of Britain. The word says which
countries' plans are asked ("Telefon" those where that is the word), and the text's language where it is given. Numbers
set aside for films and examples (555-01xx, Ofcom's, Arcep's) are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, Final

from filters.pii.context import Words, after
from filters.pii.span import Span

__all__ = ["MissingExtra", "phones"]


class MissingExtra(Exception):
    """A package is not installed; the message says how to install it."""


_EVERYWHERE: Final = tuple("US GB IE AU NZ IN ZA DE FR ES IT NL BE CH AT SE NO DK FI PT BR PL CZ GR MX".split())  # noqa: SIM905
_GENERIC: Final = """
    tel telephone phone phones phoned calling mobile cell cellphone cellular fax faxes telefax whatsapp sms dial dialing
    ring hotline helpline landline answering callback voicemail switchboard desk mob tlf contact_number
    call_me call_us call_at call_on call_now please_call or_call me_on me_at us_on us_at
"""
_LANGUAGE_WORDS: Final = (
    (
        "telefon telefonnummer handy handynummer mobil mobilnummer fon rufnummer durchwahl festnetz",
        "de sv nb da cs pl hu ro tr",
    ),
    ("téléphone télécopie tél tel portable fixe appelez joindre", "fr"),
    ("teléfono teléfonos telefono móvil movil celular llame llamar", "es"),
    ("telefono cellulare chiamare chiamate numero_verde", "it"),
    ("telefone telemóvel celular ligue contato", "pt"),
    ("telefoon telefoonnummer mobiel bellen gsm", "nl"),
    ("puhelin puh puhelinnumero", "fi"),
    ("telefonu tlfn mobilnr", "nb da sv"),
    ("телефон тел моб факс звоните телефону", "ru uk bg"),
    ("τηλέφωνο τηλ κινητό φαξ", "el"),
    ("telefonszám tel", "hu"),
)
_PARTS: Final = {
    "电话": "zh",
    "手机": "zh",
    "電話": "ja zh",
    "전화": "ko",
    "هاتف": "ar",
    "टेलीफोन": "hi",
    "फोन": "hi",
    "☎": "",
    "📞": "",
    "📱": "",
}
_REGIONS: Final = {
    "ar": "SA AE EG", "bg": "BG", "cs": "CZ", "da": "DK", "de": "DE AT CH", "el": "GR CY", "en": "US GB IE AU NZ IN ZA",
    "es": "ES MX AR CO CL PE", "fi": "FI", "fr": "FR BE CH CA LU", "he": "IL", "hi": "IN", "hu": "HU", "id": "ID",
    "it": "IT CH", "ja": "JP", "ko": "KR", "nb": "NO", "nl": "NL BE", "no": "NO", "pl": "PL", "pt": "BR PT", "ro": "RO",
    "ru": "RU KZ", "sk": "SK", "sl": "SI", "sv": "SE FI", "th": "TH", "tr": "TR", "uk": "UA", "vi": "VN",
    "zh": "CN TW HK",
}  # fmt: skip

_EXTENSION: Final = r"(?: ?(?:x|ext\.?|extension) ?\d{1,6}(?!\w))?"
_NANP: Final = re.compile(
    rf"(?<![\w.+/=#&%$€£\-])(?:\+?1[-. ]?)?(?:\(\d{{3}}\) ?|\d{{3}}[-.])\d{{3}}[-.]\d{{4}}"
    rf"(?!\d|[.\-/]\d){_EXTENSION}(?![\w])"
)
# In a list of numbers the next one is no part of this one.
_NEXT_FRENCH: Final = r"0[1-9](?:[ .-]\d\d){4}(?!\d)"
_NEXT_BRITISH: Final = r"\(?0\d{2,4}\)? \d{3,4} ?\d{3,4}(?!\d)"
_FRENCH: Final = re.compile(r"(?<![\w.+/\-])0[1-9]([ .-])\d\d(?:\1\d\d){3}" + rf"(?!\w|[.\-/]\d| (?!{_NEXT_FRENCH})\d)")
_BRITISH: Final = re.compile(
    r"(?<![\w.+/\-])(?:\(?0(?:\d{4}\)? \d{3} ?\d{3}|\d{3}\)? \d{3} \d{4}|2\d\)? \d{4} \d{4}))"
    rf"(?!\w|[.\-/]\d| (?!{_NEXT_BRITISH})\d)"
)
_PLUS: Final = re.compile(r"\(?\+\d")
_ZEROS: Final = re.compile(r"00[1-9]\d{0,2}[ .\-]\(?\d")
_GROUP_END: Final = re.compile(r"\d(?=\D|$)")
_TAIL: Final = re.compile(_EXTENSION)
_BEHIND: Final = re.compile(r"[\s\-(,:]*(?:office|fax|mobile|cell|home|work|direct|tel|phone|mob)\b")
_NOT_ONE: Final = re.compile(r"[A-Za-z0-9_./=#&%$€£@\-]")
_DRAMA: Final = re.compile(
    r"\+1\d{3}55501\d\d"
    r"|\+44(?:1632960|1(?:1[3-8]|21|31|41|51|61)4960|1914980|2079460|2896496|2920180|7700900|8081570|9098790|3069990)\d{3}"
    r"|\+33(?:19900|26191|35301|46571|53649|63998)\d{4}"
    r"|\+61(?:[2378](?:5550|7010)\d{4}|491570\d{3}|1800160401)"
    r"|\+49(?:3023125|6990009|4066969|2214710|8999998)\d*"
)
_MIXED: Final = re.compile(r"\.\d+[\-/]\d+\.")  # 1.023-1.025 is a range
_DECIMAL: Final = re.compile(r"[+(]?\d+\.\d+")
_FEWEST: Final = 7
_MOST: Final = 15


def phones(text: str, start: int, end: int, words: Words, language: str | None = None) -> Iterator[Span]:
    """The telephone numbers among the groups of digits from ``start`` to ``end``.

    Args:
        text: the whole text.
        start: where the groups begin, at + or ( where one stands there.
        end: where they end.
        words: what stands before.
        language: of the text, ISO 639-1, if it is known.

    Raises:
        MissingExtra: phonenumberslite is not installed.
    """
    if text[start] == "(" and ")" not in text[start:end]:  # (call 555 …)
        start += 1
    if _PLUS.match(text, start, end):
        yield from _longest(text, start, end, ("",))
        return
    found = False
    for pattern, region in ((_NANP, "US"), (_FRENCH, "FR"), (_BRITISH, "GB")):
        for match in pattern.finditer(text, start, end + 14 if pattern is _NANP else end + 18):
            if match.start() < end and _is_valid(match[0], region) and not _counts_up(match[0]):
                found = True
                yield Span("phone", match.start(), match.end(), match[0], region.lower())
    if found or (start and _NOT_ONE.match(text, start - 1)):
        return
    if _ZEROS.match(text, start, end):
        yield from _longest(text, start, end, ("",), zeros=True)
        return
    regions = _told(words, after(text, end), language)
    if regions and not _MIXED.search(text, start, end):
        yield from _longest(text, start, end, regions)
    elif language in _REGIONS and text[start] in "0(" and _groups(text[start:end]) > 1:
        yield from _longest(text, start, end, tuple(_REGIONS[language].split()))


def _longest(text: str, start: int, end: int, regions: tuple[str, ...], *, zeros: bool = False) -> Iterator[Span]:
    """The number that begins at ``start`` and takes the most groups."""
    ends = [match.end() for match in _GROUP_END.finditer(text, start, min(end, start + 32))]
    for stop in reversed(ends[-6:]):
        value = text[start:stop]
        behind = text[stop : stop + 1]
        if behind.isalnum() and not _TAIL.match(text, stop):
            continue
        if value.count("(") != value.count(")") or _DECIMAL.fullmatch(value):
            continue
        for region in regions:
            if _is_valid("+" + value[2:] if zeros else value, region):
                tail = _TAIL.match(text, stop)
                stop = tail.end() if tail else stop
                yield Span("phone", start, stop, text[start:stop], region.lower())
                return


def _told(words: Words, behind: str, language: str | None) -> tuple[str, ...]:
    """Countries whose plans are asked, by the words around a number; none where no word says that it is one."""
    by_word = _by_word()
    near = sorted(words.near & by_word.keys())
    parts = [] if words.text.isascii() else [part for part in _PARTS if part in words.text]
    if not near and not parts and not _BEHIND.match(behind):
        return ()
    regions = dict.fromkeys(_REGIONS[language].split()) if language in _REGIONS else {}
    for word in near:
        regions |= dict.fromkeys(by_word[word])
    for part in parts:
        regions |= dict.fromkeys(_of(_PARTS[part]) or _EVERYWHERE)
    return tuple(regions or _EVERYWHERE)


def _of(languages: str) -> tuple[str, ...]:
    """The countries of languages."""
    return tuple(dict.fromkeys(region for language in languages.split() for region in _REGIONS[language].split()))


@cache
def _by_word() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for words, regions in (*((words, _of(languages)) for words, languages in _LANGUAGE_WORDS), (_GENERIC, _EVERYWHERE)):
        for word in words.split():
            name = word.replace("_", " ")
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), *regions)))
    return found


def _groups(value: str) -> int:
    return len(_GROUP_END.findall(value))


def _counts_up(value: str) -> bool:
    """Whether the groups are a row of numbers (01 02 03 04 05)."""
    groups = [int(group) for group in re.findall(r"\d+", value)]
    return len(groups) > 2 and all(later - earlier == groups[1] - groups[0] for earlier, later in pairwise(groups))


@lru_cache(4096)
def _is_valid(value: str, region: str) -> bool:
    """Whether a number has the form of its country's plan; without a region it says the country itself."""
    digits = sum(character.isdigit() for character in value)
    if not _FEWEST <= digits <= _MOST + 7:  # with an extension
        return False
    library = _library()
    if region and not _plan(region).match("".join(filter(str.isdigit, value.partition("x")[0].partition("e")[0]))):
        return False
    try:
        number = library.parse(value, region or None)
    except library.NumberParseException:
        return False
    if not library.is_valid_number(number):
        return False
    return _DRAMA.fullmatch(library.format_number(number, library.PhoneNumberFormat.E164)) is None


@cache
def _plan(region: str) -> re.Pattern[str]:
    """What a national number of a country looks like, with its trunk prefix or without: a look before the library's."""
    metadata: Any = _library().PhoneMetadata.metadata_for_region(region, None)
    trunk = metadata.national_prefix_for_parsing or metadata.national_prefix or ""
    number = metadata.general_desc.national_number_pattern
    return re.compile(rf"(?:{trunk})?(?:{metadata.country_code})?(?:{number})$")


@cache
def _library() -> Any:
    try:
        import phonenumbers
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "telephone numbers need the package phonenumberslite; install it with  pip install -c constraints.txt "
            "'.[curate]'"
        ) from error
    return phonenumbers
