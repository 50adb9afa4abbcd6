"""Numbers of payment cards: Luhn's checksum (ISO/IEC 7812-1, annex B), a known issuer's range and its lengths.

One number in ten passes Luhn's checksum, so what else is known counts: without a word for cards before it a number must
have an issuer and a length that are common, be grouped as cards are, and not be a part of an address or a longer name.
Test numbers that payment services publish are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from filters.pii.context import Words
from filters.pii.span import Span

__all__ = ["credit_cards", "issuer", "luhn"]

_FORM: Final = re.compile(
    r"(?<!\d)(?<!\d[.,])(?:\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5}|\d{12,19})(?!\d)"
)
_NEIGHBOUR: Final = re.compile(r"[\w/=#&%@+\-]$")  # of a name, a path or an address on the web
_BEHIND: Final = re.compile(r"[\w/=&%@\-]|[.?]\w")
_WORDS: Final = frozenset(
    """
    card cards credit debit cc visa mastercard amex discover diners maestro unionpay jcb cvv cvc carte karte
    kreditkarte tarjeta carta cartão kaart creditcard kort karta карта карты kartennummer kortnummer
    """.split()  # noqa: SIM905
)
_PARTS: Final = ("卡号", "信用卡", "カード", "카드")
_RANGES: Final = (  # name, first and last beginning, lengths, whether common enough without a word for cards
    ("visa", 4, 4, (16,), True),
    ("visa", 4, 4, (13, 19), False),
    ("mastercard", 51, 55, (16,), True),
    ("mastercard", 2221, 2720, (16,), True),
    ("american_express", 34, 34, (15,), True),
    ("american_express", 37, 37, (15,), True),
    ("diners", 300, 305, (14,), True),
    ("diners", 3095, 3095, (14,), True),
    ("diners", 36, 36, (14,), True),
    ("diners", 38, 39, (14,), True),
    ("diners", 36, 36, (15, 16, 17, 18, 19), False),
    ("discover", 6011, 6011, (16,), True),
    ("discover", 644, 659, (16,), True),
    ("discover", 6011, 6011, (17, 18, 19), False),
    ("discover", 644, 659, (17, 18, 19), False),
    ("jcb", 3528, 3589, (16,), True),
    ("jcb", 3528, 3589, (17, 18, 19), False),
    ("jcb", 1800, 1800, (15,), False),
    ("jcb", 2131, 2131, (15,), False),
    ("unionpay", 62, 62, (16,), True),
    ("unionpay", 62, 62, (17, 18, 19), False),
    ("unionpay", 81, 81, (16, 17, 18, 19), False),
    ("mir", 2200, 2204, (16, 17, 18, 19), False),
    ("rupay", 60, 60, (16,), False),
    ("rupay", 508, 508, (16,), False),
    ("troy", 9792, 9792, (16,), False),
    ("maestro", 50, 50, tuple(range(12, 20)), False),
    ("maestro", 56, 58, tuple(range(12, 20)), False),
    ("maestro", 6304, 6304, tuple(range(12, 20)), False),
    ("maestro", 67, 67, tuple(range(12, 20)), False),
)
_TEST_NUMBERS: Final = frozenset(
    """
    4111111111111111 4012888888881881 4222222222222 4242424242424242 4000056655665556 4000000000000002
    4000000000003220 4917610000000000 4005519200000004 4009348888881881 4012000033330026 4012000077777777
    4217651111111119 4500600000000061 4532015112830366 4539578763621486 4716461583322103 4485275742308327
    4263970000005262 4007000000027 4012000098765439 5555555555554444 5105105105105100 5200828282828210
    5425233430109903 5431111111111111 5454545454545454 5500000000000004 5424000000000015 2223003122003222
    2223000048400011 2222420000001113 378282246310005 371449635398431 378734493671000 341111111111111
    340000000000009 370000000000002 374245455400126 30569309025904 38520000023237 36227206271667 30000000000004
    6011111111111117 6011000990139424 6011000000000004 6011601160116611 6445644564456445 3530111333300000
    3566002020360505 6200000000000005 6205500000000000004 6304000000000000 6759649826438453 5019717010103742
    """.split()  # noqa: SIM905
)


def credit_cards(text: str, start: int, end: int) -> Iterator[Span]:
    """The cards' numbers among the groups of digits from ``start`` to ``end``."""
    for match in _FORM.finditer(text, start, end):
        digits = match[0] if match[0].isdigit() else re.sub(r"[ -]", "", match[0])
        name, common = issuer(digits)
        if not name or not luhn(digits) or digits in _TEST_NUMBERS or len(set(digits)) < 4:
            continue
        alone = not _NEIGHBOUR.search(text[max(0, match.start() - 1) : match.start()])
        if (common and alone and not _BEHIND.match(text, match.end())) or Words(text, match.start()).any(
            _WORDS, _PARTS
        ):
            yield Span("credit_card", match.start(), match.end(), match[0], name)


def issuer(digits: str) -> tuple[str, bool]:
    """Who issues numbers that begin so and are so long, and whether that needs no further word; "" for nobody."""
    found = ""
    for name, first, last, lengths, common in _RANGES:
        if len(digits) in lengths and first <= int(digits[: len(str(first))]) <= last:
            if common:
                return name, True
            found = found or name
    return found, False


def luhn(digits: str) -> bool:
    """Whether the last digit is Luhn's check digit of the others."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = ord(digit) - 48
        if place % 2:
            value *= 2
            value -= 9 * (value > 9)
        total += value
    return total % 10 == 0
