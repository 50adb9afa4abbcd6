from __future__ import annotations

import builtins
from typing import Any

import pytest

from filters.pii import MissingExtra, find, phone

FOUND = {
    "or call (415) 752-5275.": "(415) 752-5275",
    "by calling 480-931-3573.": "480-931-3573",
    "1-800-800-1504": "1-800-800-1504",
    "Fax: 345-899-3560x4587": "345-899-3560x4587",
    "reach us: +46 (0)8 928 571 38 fax": "+46 (0)8 928 571 38",
    "+49 30 901820": "+49 30 901820",
    "001-415-752-5275": "001-415-752-5275",
    "01 84 17 61 18": "01 84 17 61 18",
    "03.93.92.16.85": "03.93.92.16.85",
    "Ring 020 7219 3000": "020 7219 3000",
    "Tel. 0494 92 82 32": "0494 92 82 32",
    "Telefon: 030 901820": "030 901820",
    "teléfono 912 582 852": "912 582 852",
    "咨询电话：021-58405921；": "021-58405921",
    "手机13800138000": "13800138000",
    "('+1 415-752-5275')": "+1 415-752-5275",
}
LEFT_ALONE = [
    "(212) 555-0123, 555-0199, 020 7946 0958, 07700 900123, +44 1632 960001, 01 99 00 12 34",
    "01 02 03 04 05, 1234567890, 123-456-7890, 0123456789",
    "phone book of 1999-2004, on 2004-04-16, 12/05/2011 14",
    "calls | 3000 | total 136.448116, shmget(key=5440001, size=4011376640), pH 7.1234-8.5678",
    "R-00353-01851-44275, 3.14159265358, +2.7182818284, 1.7.3-2.1.4 tel",
    "5.12.1234567 pages 1001-1009, 1/2 3/4 5/6, no 2015-1234567",
    "58405921, 9472 7916, 06 12 34",
]


@pytest.mark.parametrize(("text", "value"), FOUND.items())
def test_found(text: str, value: str) -> None:
    assert [(span.kind, span.value) for span in find(f"🙂 {text}")] == [("phone", value)]


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_left_alone(text: str) -> None:
    assert find(text) == []


def test_the_language_says_where() -> None:
    assert [span.value for span in find("Erreichbar unter 030 901820.", "de")] == ["030 901820"]
    assert find("Erreichbar unter 030 901820.") == []
    assert find("Erreichbar unter 030 901820.", "ja") == []


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "phonenumbers":
            raise ModuleNotFoundError(name=name)
        return real(name, *rest)

    phone._library.cache_clear()
    phone._is_valid.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    try:
        with pytest.raises(MissingExtra, match=r"phonenumberslite.*\.\[curate\]"):
            find("+49 30 901820")
        assert find("no number") == []
    finally:
        phone._library.cache_clear()
