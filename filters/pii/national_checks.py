"""What makes a national number of a person right: dates, ranges and check digits, as the authorities publish them.

Each function takes the number without separators, letters in upper case, of the length that ``national_id`` says.
"""

from __future__ import annotations

from typing import Final

from filters.pii.checksums import is_date, iso_7064_11_10, verhoeff, weighted
from filters.pii.credit_card import luhn

__all__ = [
    "aadhaar", "ahv", "australian_medicare", "bsn", "cnp", "cnpj", "codice_fiscale", "cpf", "cpr", "curp", "dni", "egn",
    "fodselsnummer", "hetu", "isikukood", "itin", "kimlik", "my_number", "nhs", "nie", "nif_pt", "nino", "nir", "nric",
    "oib", "personnummer", "pesel", "resident_id", "rijksregister", "rodne_cislo", "rrn", "rut", "sin",
    "south_african_id", "steuer_id", "tax_file_number",
]  # fmt: skip


def _same(digits: str) -> bool:
    return len(set(digits)) == 1


def _two_digit_year(digits: str) -> bool:
    """Whether year, month and day of two digits each are a date in either century."""
    year, month, day = int(digits[:2]), int(digits[2:4]), int(digits[4:6])
    return is_date(1900 + year, month, day) or is_date(2000 + year, month, day)


def nhs(digits: str) -> bool:
    """NHS number of the United Kingdom: modulus 11 (NHS Data Dictionary). 999 begins numbers for tests."""
    check = 11 - weighted(digits, range(10, 1, -1)) % 11
    return check != 10 and check % 11 == int(digits[9]) and not _same(digits) and not digits.startswith("999")


def nino(value: str) -> bool:
    """National Insurance number (HMRC, NIM39110): prefixes that are given; it has no check digit."""
    return (
        value[0] not in "DFIQUV"
        and value[1] not in "DFIOQUV"
        and value[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")
        and value[8] in "ABCD"
        and value[2:8] != "123456"
    )


def bsn(digits: str) -> bool:
    """Burgerservicenummer of the Netherlands: the test of eleven, the last weight -1."""
    return not _same(digits) and digits != "123456782" and weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def nir(value: str) -> bool:
    """Numéro de sécurité sociale (INSEE): sex, month, department, 97 less the remainder; 2A and 2B are Corsica."""
    body = value[:13].replace("2A", "19", 1).replace("2B", "18", 1) if value[5:7] in ("2A", "2B") else value[:13]
    if not body.isdigit():
        return False
    month = int(value[3:5])
    if not (1 <= month <= 12 or 20 <= month <= 42 or 50 <= month <= 99) or body[5:7] == "00":
        return False
    return 97 - int(body) % 97 == int(value[13:15])


_DNI: Final = "TRWAGMYFPDXBNJZSQVHLCKE"


def dni(value: str) -> bool:
    """Documento nacional de identidad of Spain: the letter is the number modulo 23."""
    return value[:8] not in ("12345678", "00000000", "99999999") and _DNI[int(value[:8]) % 23] == value[8]


def nie(value: str) -> bool:
    """Número de identidad de extranjero of Spain: X, Y, Z stand for 0, 1, 2, then as a DNI."""
    return (
        value[1:8] not in ("1234567", "0000000")
        and _DNI[int("XYZ".index(value[0]) * 10**7 + int(value[1:8])) % 23] == value[8]
    )


def steuer_id(digits: str) -> bool:
    """Steuer-Identifikationsnummer of Germany: one digit twice or three times among ten, ISO 7064 modulus 11,10."""
    counts = sorted(digits[:10].count(digit) for digit in set(digits[:10]))
    return (
        digits[0] != "0" and counts[-1] in (2, 3) and counts[:-1].count(1) == len(counts) - 1 and iso_7064_11_10(digits)
    )


_ODD: Final = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
         10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip


def codice_fiscale(value: str) -> bool:
    """Codice fiscale of Italy (D.M. 23 December 1976): sums of two tables over odd and even places, modulo 26.

    Digits may be the letters LMNPQRSTUV, where two persons would have the same.
    """
    total = sum(
        _ODD[character] if place % 2 == 0 else int(character, 36) - 10 * (not character.isdigit())
        for place, character in enumerate(value[:15])
    )
    return chr(65 + total % 26) == value[15]


def cpf(digits: str) -> bool:
    """Cadastro de pessoas físicas of Brazil: two check digits, modulus 11."""
    if _same(digits) or digits == "12345678909":
        return False
    first = weighted(digits, range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(digits, range(11, 1, -1)) * 10 % 11 % 10
    return digits[9:] == f"{first}{second}"


def cnpj(value: str) -> bool:
    """Cadastro nacional da pessoa jurídica of Brazil: two check digits; letters count as their code less 48."""
    if _same(value[:12]) or value == "12345678000195" or not value[12:].isdigit():
        return False
    weights = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
    first = weighted(value[:12], weights[1:]) % 11
    first = 0 if first < 2 else 11 - first
    second = weighted(value[:12] + str(first), weights) % 11
    return value[12:] == f"{first}{0 if second < 2 else 11 - second}"


_PROVINCES: Final = frozenset(
    "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83".split()  # noqa: SIM905
)


def resident_id(value: str) -> bool:
    """Resident identity number of China (GB 11643): province, date of birth, ISO 7064 modulus 11-2."""
    if value[:2] not in _PROVINCES or not is_date(int(value[6:10]), int(value[10:12]), int(value[12:14])):
        return False
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[weighted(value, weights) % 11] == value[17]


def aadhaar(digits: str) -> bool:
    """Aadhaar of India: Verhoeff's check digit; it does not begin with 0 or 1."""
    return digits[0] not in "01" and not _same(digits) and digits != digits[::-1] and verhoeff(digits)


def personnummer(digits: str) -> bool:
    """Personnummer of Sweden, ten digits: date (60 added to the day of a samordningsnummer) and Luhn's check digit."""
    day = int(digits[4:6])
    birth = digits[:4] + f"{day - 60 if day > 60 else day:02}"
    return _two_digit_year(birth) and luhn(digits)


def hetu(value: str) -> bool:
    """Henkilötunnus of Finland: date, the nine digits modulo 31 as a character. From 900 on numbers are for tests."""
    if not _two_digit_year(value[4:6] + value[2:4] + value[:2]) or not 2 <= int(value[7:10]) <= 899:
        return False
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(value[:6] + value[7:10]) % 31] == value[10]


def itin(digits: str) -> bool:
    """Individual taxpayer number of the United States (IRS Publication 1915): ranges of its fourth and fifth digit."""
    group = int(digits[3:5])
    return 50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or group >= 94


def cpr(digits: str) -> bool:
    """CPR number of Denmark: a date; since 2007 it has no check digit."""
    return _two_digit_year(digits[4:6] + digits[2:4] + digits[:2])


def fodselsnummer(digits: str) -> bool:
    """Fødselsnummer of Norway: date (40 added to the day of a D-number), two check digits, modulus 11."""
    day = int(digits[:2])
    if not _two_digit_year(digits[4:6] + digits[2:4] + f"{day - 40 if day > 40 else day:02}"):
        return False
    return (
        weighted(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11 == 0
        and weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0
    )


def pesel(digits: str) -> bool:
    """PESEL of Poland: date with the century in the month, check digit."""
    century, month = divmod(int(digits[2:4]), 20)
    year = (1900, 2000, 2100, 2200, 1800)[century] + int(digits[:2])
    return is_date(year, month, int(digits[4:6])) and weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def rijksregister(digits: str) -> bool:
    """Rijksregisternummer of Belgium: 97 less the remainder; from 2000 on a 2 is set before it."""
    month = int(digits[2:4])
    if not (0 <= month <= 12 and int(digits[4:6]) <= 31) or _same(digits):
        return False
    check = int(digits[9:])
    return check in (97 - int(digits[:9]) % 97, 97 - int("2" + digits[:9]) % 97)


def ahv(digits: str) -> bool:
    """AHV number of Switzerland: 756 and the check digit of an EAN. The sheet's example is nobody's."""
    return digits not in ("7569217076985", "7561234567897") and weighted(digits, (1, 3) * 6 + (1,)) % 10 == 0


def rodne_cislo(digits: str) -> bool:
    """Rodné číslo of Czechia and Slovakia: date (month + 50 for women, + 20 where numbers ran out), modulus 11."""
    month = int(digits[2:4]) % 50
    month -= 20 if month > 20 else 0
    if not _two_digit_year(f"{digits[:2]}{month:02}{digits[4:6]}"):
        return False
    return int(digits) % 11 == 0 or (int(digits[:9]) % 11 == 10 and digits[9] == "0")


def cnp(digits: str) -> bool:
    """Cod numeric personal of Romania: date, county, check digit."""
    if digits[0] == "0" or not _two_digit_year(digits[1:7]) or not 1 <= int(digits[7:9]) <= 52:
        return False
    check = weighted(digits, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return (1 if check == 10 else check) == int(digits[12])


def egn(digits: str) -> bool:
    """EGN of Bulgaria: date with the century in the month, check digit."""
    month = int(digits[2:4])
    century = 1800 if 20 < month <= 32 else 2000 if 40 < month <= 52 else 1900
    month -= {1800: 20, 1900: 0, 2000: 40}[century]
    if not is_date(century + int(digits[:2]), month, int(digits[4:6])):
        return False
    return weighted(digits, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10 == int(digits[9])


def isikukood(digits: str) -> bool:
    """Isikukood of Estonia and asmens kodas of Lithuania: century, date, check digit with two sets of weights."""
    century = {"1": 1800, "2": 1800, "3": 1900, "4": 1900, "5": 2000, "6": 2000}.get(digits[0])
    if century is None or not is_date(century + int(digits[1:3]), int(digits[3:5]), int(digits[5:7])):
        return False
    check = weighted(digits, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if check == 10:
        check = weighted(digits, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return check == int(digits[10])


def oib(digits: str) -> bool:
    """OIB of Croatia: ISO 7064, modulus 11,10."""
    return not _same(digits) and digits != "12345678903" and iso_7064_11_10(digits)


def nif_pt(digits: str) -> bool:
    """NIF of persons in Portugal (1, 2, 3 and 45): modulus 11."""
    if not (digits[0] in "123" or digits[:2] == "45") or digits == "123456789":
        return False
    check = 11 - weighted(digits, range(9, 1, -1)) % 11
    return (0 if check > 9 else check) == int(digits[8])


def sin(digits: str) -> bool:
    """Social insurance number of Canada: Luhn's check digit; 0 (examples) and 8 are not given."""
    return digits[0] not in "08" and not _same(digits) and luhn(digits)


def tax_file_number(digits: str) -> bool:
    """Tax file number of Australia: modulus 11. 123 456 782 is the tax office's example."""
    return digits != "123456782" and not _same(digits) and weighted(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def australian_medicare(digits: str) -> bool:
    """Medicare number of Australia: begins with 2 to 6, check digit modulus 10 in the ninth place."""
    return digits[0] in "23456" and weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(digits[8])


def south_african_id(digits: str) -> bool:
    """Identity number of South Africa: date, citizenship, Luhn's check digit."""
    return _two_digit_year(digits) and digits[10] in "012" and luhn(digits)


def rrn(digits: str) -> bool:
    """Resident registration number of South Korea: date, sex; numbers given since October 2020 have no check digit."""
    century = {"1": 1900, "2": 1900, "5": 1900, "6": 1900, "3": 2000, "4": 2000, "7": 2000, "8": 2000}.get(digits[6])
    if century is None or not is_date(century + int(digits[:2]), int(digits[2:4]), int(digits[4:6])):
        return False
    check = (11 - weighted(digits, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10
    return check == int(digits[12]) or (century == 2000 and digits[:2] >= "20")


def my_number(digits: str) -> bool:
    """Individual Number of Japan: modulus 11 (ministerial order 85 of 2014)."""
    remainder = weighted(digits, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return not _same(digits) and (0 if remainder <= 1 else 11 - remainder) == int(digits[11])


def curp(value: str) -> bool:
    """CURP of Mexico: date, check digit over 37 characters (Ñ between N and O)."""
    if not _two_digit_year(value[4:10]) or not value[17].isdigit():
        return False
    alphabet = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    total = sum(alphabet.index(character) * (18 - place) for place, character in enumerate(value[:17]))
    return (10 - total % 10) % 10 == int(value[17])


def rut(value: str) -> bool:
    """RUT of Chile: modulus 11, K for ten."""
    body = value[:-1]
    if body in ("12345678", "11111111"):
        return False
    check = 11 - weighted(body[::-1], (2, 3, 4, 5, 6, 7, 2, 3)) % 11
    return {10: "K", 11: "0"}.get(check, str(check)) == value[-1]


def kimlik(digits: str) -> bool:
    """T.C. kimlik numarası of Türkiye: two check digits."""
    values = [int(digit) for digit in digits]
    tenth = (7 * sum(values[0:9:2]) - sum(values[1:8:2])) % 10
    return digits[0] != "0" and not _same(digits[:9]) and values[9] == tenth and values[10] == sum(values[:10]) % 10


def nric(value: str) -> bool:
    """NRIC and FIN of Singapore: weights, an offset by the first letter, a table for each."""
    first = value[0]
    total = weighted(value[1:8], (2, 7, 6, 5, 4, 3, 2)) + {"S": 0, "T": 4, "F": 0, "G": 4, "M": 3}[first]
    place = 10 - total % 11 if first == "M" else total % 11
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK", "M": "KLJNPQRTUWX"}
    return value[1:8] != "1234567" and letters[first][place] == value[8]
