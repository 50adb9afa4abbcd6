"""The arithmetic of check digits that national numbers share; each function takes and gives plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

__all__ = ["is_date", "iso_7064_11_10", "verhoeff", "weighted"]

_DIHEDRAL: Final = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTATIONS: Final = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def weighted(digits: str, weights: Sequence[int]) -> int:
    """Sum of the digits times their weights; digits behind the last weight do not count."""
    return sum((ord(digit) - 48) * weight for digit, weight in zip(digits, weights, strict=False))


def verhoeff(digits: str) -> bool:
    """Whether the last digit is the check digit of Verhoeff (1969) of the others."""
    state = 0
    for place, digit in enumerate(reversed(digits)):
        state = int(_DIHEDRAL[state][int(_PERMUTATIONS[place % 8][ord(digit) - 48])])
    return state == 0


def iso_7064_11_10(digits: str) -> bool:
    """Whether the last digit is the check digit of ISO 7064, modulus 11,10, of the others."""
    product = 10
    for digit in digits[:-1]:
        total = (ord(digit) - 48 + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == ord(digits[-1]) - 48


def is_date(year: int, month: int, day: int) -> bool:
    """Whether there was such a day, from 1870 on."""
    if not (1870 <= year <= 2099 and 1 <= month <= 12 and 1 <= day <= 31):
        return False
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True
