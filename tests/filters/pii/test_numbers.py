"""Cards, accounts and national numbers: published examples of each authority, and the same with one digit changed."""

from __future__ import annotations

import pytest

from filters.pii import find
from filters.pii.checksums import verhoeff
from filters.pii.credit_card import issuer, luhn

FOUND = {
    "Pay 4539 1488 0343 6467 now": ("credit_card", "visa", "4539 1488 0343 6467"),
    "card number is 5425-2334-3010-9911.": ("credit_card", "mastercard", "5425-2334-3010-9911"),
    "my card 180016070420458 is lost": ("credit_card", "jcb", "180016070420458"),
    "Amex 3474 159773 07943": ("credit_card", "american_express", "3474 159773 07943"),
    "IBAN DE02 1203 0000 0000 2020 51.": ("iban", "de", "DE02 1203 0000 0000 2020 51"),
    "iban gb42nawi04454264788619": ("iban", "gb", "gb42nawi04454264788619"),
    "(NO8330001234567)": ("iban", "no", "NO8330001234567"),
    "Here's my SSN: 460-89-9847": ("us_ssn", "", "460-89-9847"),
    "social security number 460 89 9847": ("us_ssn", "", "460 89 9847"),
    "SSN: 460899847": ("us_ssn", "", "460899847"),
    "ITIN 912-70-1234": ("national_id", "us_itin", "912-70-1234"),
    "NHS number 943 476 5919": ("national_id", "uk_nhs", "943 476 5919"),
    "HH 01 23 43 D": ("national_id", "uk_nino", "HH 01 23 43 D"),
    "national insurance: HH012343D": ("national_id", "uk_nino", "HH012343D"),
    "BSN: 111222333": ("national_id", "nl_bsn", "111222333"),
    "2 69 05 49 588 157 80": ("national_id", "fr_nir", "2 69 05 49 588 157 80"),
    "DNI 54362315K": ("national_id", "es_dni", "54362315K"),
    "NIE X2482300W": ("national_id", "es_nie", "X2482300W"),
    "Steuer-ID 36 574 261 809": ("national_id", "de_steuer_id", "36 574 261 809"),
    "RCCMNL83S18D969H": ("national_id", "it_codice_fiscale", "RCCMNL83S18D969H"),
    "390.533.447-05": ("national_id", "br_cpf", "390.533.447-05"),
    "CPF 39053344705": ("national_id", "br_cpf", "39053344705"),
    "16.727.230/0001-97": ("national_id", "br_cnpj", "16.727.230/0001-97"),
    "身份证11010519491231002X，": ("national_id", "cn_resident_id", "11010519491231002X"),
    "Aadhaar 2341 2341 2346": ("national_id", "in_aadhaar", "2341 2341 2346"),
    "811228-9874": ("national_id", "se_personnummer", "811228-9874"),
    "131052-308T": ("national_id", "fi_hetu", "131052-308T"),
    "131052A308T": ("national_id", "fi_hetu", "131052A308T"),
    "CPR 211062-5629": ("national_id", "dk_cpr", "211062-5629"),
    "fødselsnummer 15108695088": ("national_id", "no_fodselsnummer", "15108695088"),
    "PESEL 44051401359": ("national_id", "pl_pesel", "44051401359"),
    "85.07.30-033.28": ("national_id", "be_rijksregister", "85.07.30-033.28"),
    "710319/2745": ("national_id", "cz_rodne_cislo", "710319/2745"),
    "CNP 1630615123457": ("national_id", "ro_cnp", "1630615123457"),
    "ЕГН 7523169263": ("national_id", "bg_egn", "7523169263"),
    "isikukood 36805280109": ("national_id", "ee_lt_code", "36805280109"),
    "OIB 33392005961": ("national_id", "hr_oib", "33392005961"),
    "SIN 123 456 782": ("national_id", "ca_sin", "123 456 782"),
    "TFN 459 599 230": ("national_id", "au_tfn", "459 599 230"),
    "ID number 7503305044089": ("national_id", "za_id", "7503305044089"),
    "BOXW310820HNERXN09": ("national_id", "mx_curp", "BOXW310820HNERXN09"),
    "12.531.909-2": ("national_id", "cl_rut", "12.531.909-2"),
    "T.C. kimlik no 17291716060": ("national_id", "tr_kimlik", "17291716060"),
    "NRIC F1612347K": ("national_id", "sg_nric", "F1612347K"),
    "マイナンバー 123456789018": ("national_id", "jp_my_number", "123456789018"),
}
UNCHECKED = ("CPR", "SSN", "social", "HH", "national", "Here", "ITIN")
"""No check digit: another digit makes another person's number."""
LEFT_ALONE = [
    "4111 1111 1111 1111, 4242424242424242, card 378282246310005, 5555-5555-5555-4444",
    "GB82 WEST 1234 5698 7654 32, DE89370400440532013000, FR7630006000011234567890189",
    "123-45-6789, SSN 078-05-1120, 000-12-3456, 666-12-3456, 923-12-3456, 460-00-9847, 460-89-0000",
    "ISBN 978-0-306-40615-7, ISBN 0-306-40615-2, ISSN 2049-3630, doi:10.1000/182, 10.1145/3366423.3380122",
    "9781593279288 EAN 4006381333931, 20240101123045, 1700000000000, 2024-05-06 12:30:45, 1234567890",
    "4539148803436467x, id_4539148803436467, http://x.org/4539148803436467?a=4539148803436467",
    "0.4539148803436467 3,4539148803436467",
    "d41d8cd98f00b204e9800998ecf8427e, 5e884898-da28-4715-b86b-f6a5c0c2a3f1, 0x7fffffffffffffff",
    "111222333 943 476 5919 54362315K 36574261809 44051401359 1990 1991 1992 1993",
    "111.111.111-11 123.456.789-09 00.000.000/0000-00",
    "(0)(1)(2)(3)(4)(5)(6)(7)(8)(9) ...1...2...3...4...5 1-2-3-4-5-6-7-8-9-10-11-12",
]


@pytest.mark.parametrize(("text", "expected"), FOUND.items())
def test_found(text: str, expected: tuple[str, str, str]) -> None:
    for before in ("", "🙂 é ", "人 "):
        spans = find(before + text)
        assert [(span.kind, span.form, span.value) for span in spans] == [expected]
        assert (before + text)[spans[0].start : spans[0].end] == spans[0].value


@pytest.mark.parametrize(("text", "expected"), [one for one in FOUND.items() if not one[0].startswith(UNCHECKED)])
def test_another_last_digit_is_no_number(text: str, expected: tuple[str, str, str]) -> None:
    kind, form, value = expected
    place = max(k for k, character in enumerate(value) if character.isdigit())
    others = [value[:place] + digit + value[place + 1 :] for digit in "0123456789" if digit != value[place]]
    spans = [
        span for other in others for span in find(text.replace(value, other)) if (span.kind, span.form) == (kind, form)
    ]
    assert len(spans) <= 1  # one number in ten or eleven is right again where letters or remainders share a check


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_left_alone(text: str) -> None:
    assert find(text) == []


def test_card_arithmetic() -> None:
    assert luhn("79927398713")
    assert not luhn("79927398710")
    assert issuer("4539148803436467") == ("visa", True)
    assert issuer("180016070420458") == ("jcb", False)
    assert issuer("1234567890123456") == ("", False)
    assert verhoeff("2363")
    assert not verhoeff("2364")
