"""Bank accounts: the IBAN of ISO 13616, its length by country and its checksum (ISO 7064, modulus 97).

The kernel checks both (``kernels.candidates``); what is left here are the examples of the SWIFT registry and of banks'
pages, which are nobody's account.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from filters.pii.span import Span

__all__ = ["IBAN_LENGTHS", "ibans"]

IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip
"""Characters of an IBAN by country (SWIFT IBAN Registry, release 99)."""

_EXAMPLES: Final = frozenset(
    """
    GB82WEST12345698765432 GB29NWBK60161331926819 GB33BUKB20201555555555 GB94BARC10201530093459 DE89370400440532013000
    DE75512108001245126199 DE91100000000123456789 FR1420041010050500013M02606 FR7630006000011234567890189
    NL91ABNA0417164300 NL20INGB0001234567 BE68539007547034 BE71096123456769 ES9121000418450200051332
    ES7921000813610123456789 IT60X0542811101000000123456 CH9300762011623852957 CH5604835012345678009
    AT611904300234573201 AT483200000012345864 PT50000201231234567890154 PL61109010140000071219812874
    PL10105000997603123456789123 SE4550000000058398257466 NO9386011117947 DK5000400440116243 FI2112345600000785
    IE29AIBK93115212345678 IE64IRCE92050112345678 LU280019400644750000 GR1601101250000000012300695
    CZ6508000000192000145399 RO49AAAA1B31007593840000 TR330006100519786457841326 SA0380000000608010167519
    AE070331234567890123456 BR1800360305000010009795493C1
    """.split()  # noqa: SIM905
)


def ibans(text: str, start: int, end: int) -> Iterator[Span]:
    """The account's number that the kernel found from ``start`` to ``end``, unless it is an example."""
    value = text[start:end]
    plain = value.replace(" ", "").upper()
    if plain not in _EXAMPLES:
        yield Span("iban", start, end, value, plain[:2].lower())
