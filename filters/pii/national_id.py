"""National numbers of persons: the form each is written in, and whether it needs a word that says what it is.

A number is taken without such a word only where its writing and its checks leave little to chance (``123.456.789-09``
with two right check digits). One number of plain digits in ten or eleven passes a check digit, so that it needs
the word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from filters.pii import national_checks as checks
from filters.pii.context import Words
from filters.pii.span import Span

__all__ = ["numbers", "spaced_ids", "tokens"]


@dataclass(frozen=True)
class _Form:
    name: str
    pattern: str
    check: Callable[[str], bool]
    """Of the number in upper case without spaces, points, hyphens and slashes."""
    words: str = ""
    """Words and, joined by _, pairs of words: one must stand before it. Empty where the form is enough."""
    parts: str = ""
    """The same in scripts that set no spaces between words."""


def _digits(count: int) -> str:
    return rf"\d(?:[ .\-/]?\d){{{count - 1}}}"


def _personnummer(digits: str) -> bool:
    return checks.personnummer(digits[-10:])


def _hetu(value: str) -> bool:
    return checks.hetu(f"{value[:6]}-{value[6:]}")


_WRITTEN: Final = (
    _Form("br_cpf", r"\d{3}\.\d{3}\.\d{3}-\d{2}", checks.cpf),
    _Form("br_cnpj", r"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}", checks.cnpj),
    _Form("be_rijksregister", r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", checks.rijksregister),
    _Form("ch_ahv", r"756\.\d{4}\.\d{4}\.\d{2}", checks.ahv),
    _Form("cz_rodne_cislo", r"\d{6}/\d{4}", checks.rodne_cislo),
    _Form("kr_rrn", r"\d{6}-[1-8]\d{6}", checks.rrn),
    _Form("cl_rut", r"\d{1,2}\.\d{3}\.\d{3}-[\dKk]", checks.rut),
    _Form("se_personnummer", r"(?:19|20)?\d{6}-\d{4}", _personnummer),
    _Form("fi_hetu", r"\d{6}-\d{3}[A-FHJ-NPR-Y\d]", _hetu),
    _Form("us_itin", r"9\d{2}-\d{2}-\d{4}", checks.itin),
    _Form("fr_nir", r"[12] ?\d{2} ?\d{2} ?\d{2} ?\d{3} ?\d{3} ?\d{2}", checks.nir),
    _Form("cn_resident_id", r"[1-8]\d{16}[\dXx]", checks.resident_id),
)
"""Groups of digits that need no word."""

_TOLD: Final = (
    _Form("uk_nhs", _digits(10), checks.nhs, "nhs"),
    _Form("nl_bsn", _digits(9), checks.bsn, "bsn burgerservicenummer sofinummer"),
    _Form(
        "de_steuer_id",
        _digits(11),
        checks.steuer_id,
        "steuer steuerid steueridentifikationsnummer identifikationsnummer idnr tin",
    ),
    _Form("br_cpf", _digits(11), checks.cpf, "cpf"),
    _Form("br_cnpj", _digits(14), checks.cnpj, "cnpj"),
    _Form("in_aadhaar", _digits(12), checks.aadhaar, "aadhaar aadhar adhaar uidai", "आधार"),
    _Form("se_personnummer", _digits(10), _personnummer, "personnummer personnr samordningsnummer"),
    _Form("se_personnummer", _digits(12), _personnummer, "personnummer personnr samordningsnummer"),
    _Form("dk_cpr", _digits(10), checks.cpr, "cpr cprnr personnummer"),
    _Form("no_fodselsnummer", _digits(11), checks.fodselsnummer, "fødselsnummer fodselsnummer fnr personnummer"),
    _Form("pl_pesel", _digits(11), checks.pesel, "pesel"),
    _Form("be_rijksregister", _digits(11), checks.rijksregister, "rijksregister rijksregisternummer niss insz"),
    _Form("ch_ahv", _digits(13), checks.ahv, "ahv avs sozialversicherungsnummer"),
    _Form("cz_rodne_cislo", _digits(10), checks.rodne_cislo, "rodné rodného rodne rč"),
    _Form("ro_cnp", _digits(13), checks.cnp, "cnp"),
    _Form("bg_egn", _digits(10), checks.egn, "егн egn"),
    _Form("ee_lt_code", _digits(11), checks.isikukood, "isikukood isikukoodi asmens"),
    _Form("hr_oib", _digits(11), checks.oib, "oib"),
    _Form("pt_nif", _digits(9), checks.nif_pt, "nif contribuinte"),
    _Form("ca_sin", _digits(9), checks.sin, "sin nas social_insurance assurance_sociale"),
    _Form("au_tfn", _digits(9), checks.tax_file_number, "tfn tax_file"),
    _Form("au_medicare", rf"{_digits(10)}(?:[ /-]?\d)?", checks.australian_medicare, "medicare"),
    _Form("za_id", _digits(13), checks.south_african_id, "id_number identity_number identity_document"),
    _Form("kr_rrn", _digits(13), checks.rrn, "resident_registration", "주민번호 주민등록번호"),
    _Form("jp_my_number", _digits(12), checks.my_number, "my_number", "マイナンバー 個人番号"),
    _Form("tr_kimlik", _digits(11), checks.kimlik, "t_c tc kimlik tckn"),
    _Form("cl_rut", r"\d{7,8}-?[\dKk]", checks.rut, "rut run"),
    _Form("es_dni", r"\d{8}[ -]?[A-Za-z]", checks.dni, "dni nif documento identidad d_n"),
    _Form("es_nie", r"[XYZxyz][ -]?\d{7}[ -]?[A-Za-z]", checks.nie, "nie extranjero nif n_i"),
    _Form("uk_nino", r"[A-Za-z]{2}\d{6}[A-Da-d]", checks.nino, "nino national_insurance ni_number ni_no"),
    _Form("sg_nric", r"[STFGMstfgm]\d{7}[A-Za-z]", checks.nric, "nric fin identity_card ic_number"),
)
"""Numbers that need a word before them."""

_TOKENS: Final = (
    _Form(
        "it_codice_fiscale",
        r"[A-Z]{6}[\dL-V]{2}[A-EHLMPRST][\dL-V]{2}[A-Z][\dL-V]{3}[A-Z]",
        checks.codice_fiscale,
    ),
    _Form("mx_curp", r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z\d]\d", checks.curp),
    _Form("fi_hetu", r"\d{6}[A-FU-Y]\d{3}[A-FHJ-NPR-Y\d]", checks.hetu),
    _Form("fr_nir", r"[12]\d{4}2[AB]\d{8}", checks.nir),
    _Form("cn_resident_id", r"[1-8]\d{16}X", checks.resident_id),
)
"""Tokens of letters and digits that need no word."""

_SEPARATORS: Final = str.maketrans("", "", " .-/")
# A group for each form, so that one search over a run tells which it may be.
_ANY_WRITTEN: Final = re.compile(
    rf"(?<![\w.+\-/])(?:{'|'.join(f'(?P<f{k}>{form.pattern})' for k, form in enumerate(_WRITTEN))})(?!\w|[.\-/]\w)"
)
_ANY_TOKEN: Final = re.compile("|".join(f"(?P<f{k}>{form.pattern})" for k, form in enumerate(_TOKENS)))
_TOLD_PATTERNS: Final = tuple(re.compile(rf"(?<![\w+])(?:{form.pattern})(?!\w|[.\-/]\d)") for form in _TOLD)
_BY_WORD: Final[dict[str, list[int]]] = {}
_BY_PART: Final[dict[str, list[int]]] = {}
for _k, _form in enumerate(_TOLD):
    for _word in _form.words.split():
        _BY_WORD.setdefault(_word.replace("_", " "), []).append(_k)
    for _part in _form.parts.split():
        _BY_PART.setdefault(_part, []).append(_k)
_SPACED_NINO: Final = re.compile(r"(?<!\w)[A-Z]{2} \d\d \d\d \d\d ?[A-D](?!\w)")


def numbers(text: str, start: int, end: int, words: Words) -> Iterator[Span]:
    """The numbers among the groups of digits from ``start`` to ``end``; a letter may follow the last."""
    for match in _ANY_WRITTEN.finditer(text, start, end + 3):
        if match.start() < end and match.lastgroup:
            yield from _checked(text, match, _WRITTEN[int(match.lastgroup[1:])])
    yield from _told(text, start, words)


def tokens(text: str, start: int, end: int) -> Iterator[Span]:
    """The number that a token of letters and digits is."""
    value = text[start:end].upper()
    match = _ANY_TOKEN.fullmatch(value)
    if match and match.lastgroup:
        form = _TOKENS[int(match.lastgroup[1:])]
        if form.check(value):
            yield Span("national_id", start, end, text[start:end], form.name)
    yield from _told(text, start, Words(text, start))


def spaced_ids(text: str, start: int, end: int) -> Iterator[Span]:
    """A National Insurance number in groups of two."""
    match = _SPACED_NINO.match(text, start)
    if match and checks.nino(match[0].replace(" ", "")):
        yield Span("national_id", match.start(), match.end(), match[0], "uk_nino")


def _told(text: str, start: int, words: Words) -> Iterator[Span]:
    """The number that a word before it announces."""
    places = {k for word in _BY_WORD.keys() & words.near for k in _BY_WORD[word]}
    if not words.text.isascii():
        places.update(k for part, forms in _BY_PART.items() if part in words.text for k in forms)
    for k in sorted(places):
        match = _TOLD_PATTERNS[k].match(text, start)
        if match:
            yield from _checked(text, match, _TOLD[k])


def _checked(text: str, match: re.Match[str], form: _Form) -> Iterator[Span]:
    if match[0].isascii() and form.check(match[0].translate(_SEPARATORS).upper()):
        yield Span("national_id", match.start(), match.end(), match[0], form.name)
