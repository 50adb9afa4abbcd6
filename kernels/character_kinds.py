"""What characters beyond ASCII are to the counts of ``kernels.characters``: tables, made once a process."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["IS_ACCENTED", "IS_EMOJI", "IS_INVISIBLE", "IS_MATHS", "IS_PRIVATE", "LIMIT", "character_kinds"]

# Emoji_Presentation=Yes, emoji-data.txt of Unicode 17. A character that is not here is an emoji where U+FE0F follows.
_EMOJI: Final = """
231A-231B 23E9-23EC 23F0 23F3 25FD-25FE 2614-2615 2648-2653 267F 2693 26A1 26AA-26AB 26BD-26BE 26C4-26C5 26CE 26D4 26EA
26F2-26F3 26F5 26FA 26FD 2705 270A-270B 2728 274C 274E 2753-2755 2757 2795-2797 27B0 27BF 2B1B-2B1C 2B50 2B55 1F004
1F0CF 1F18E 1F191-1F19A 1F1E6-1F1FF 1F201 1F21A 1F22F 1F232-1F236 1F238-1F23A 1F250-1F251 1F300-1F320 1F32D-1F335
1F337-1F37C 1F37E-1F393 1F3A0-1F3CA 1F3CF-1F3D3 1F3E0-1F3F0 1F3F4 1F3F8-1F43E 1F440 1F442-1F4FC 1F4FF-1F53D 1F54B-1F54E
1F550-1F567 1F57A 1F595-1F596 1F5A4 1F5FB-1F64F 1F680-1F6C5 1F6CC 1F6D0-1F6D2 1F6D5-1F6D9 1F6DC-1F6DF 1F6EB-1F6EC
1F6F4-1F6FC 1F7E0-1F7EB 1F7F0 1F90C-1F93A 1F93C-1F945 1F947-1F9FF 1FA70-1FA7C 1FA80-1FAC6 1FAC8 1FACC-1FADD 1FADF-1FAEB
1FAEF-1FAFA
"""
# General category Sm outside ASCII, with arrows, letterlike symbols, mathematical alphanumerics, super- and subscripts.
_MATHS: Final = """
AC B1-B3 B9 D7 F7 3F6 606-608 2044 2052 2070-209C 2100-214F 2190-21FF 2200-22FF 2320-2321 237C 239B-23B3 23DC-23E1
27C0-27FF 2900-2AFF 2B30-2B4C FE62 FE64-FE66 FF0B FF1C-FF1E FF5C FF5E 1D400-1D7FF
"""
_INVISIBLE: Final = "AD 61C 180E 200B 200E-200F 202A-202E 2060-206F FEFF FFF9-FFFB"
_PRIVATE: Final = "E000-F8FF FDD0-FDEF FFFE-FFFF 1FFFE-1FFFF"
_ACCENTED: Final = "E0 C0 E2 C2 E4 C4 E8-EA C8-CA EE-EF CE-CF F4 D4 F6 D6 FB-FC DB-DC"
# Where Windows-1252 differs from Latin-1: the code points of its bytes 0x80 to 0x9F (0: undefined).
_WINDOWS_1252: Final = (
    "20AC 0 201A 192 201E 2026 2020 2021 2C6 2030 160 2039 152 0 17D 0 "
    "0 2018 2019 201C 201D 2022 2013 2014 2DC 2122 161 203A 153 0 17E 178"
)

LIMIT: Final = 0x20000  # above it there are only Han letters, tags and private use
IS_EMOJI: Final = 1
IS_MATHS: Final = 2
IS_INVISIBLE: Final = 4
IS_PRIVATE: Final = 8
IS_ACCENTED: Final = 16


@cache
def character_kinds() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The kinds of code points below the limit, and the byte above 0x7F that each below U+2200 stands for."""
    kinds = np.zeros(LIMIT, np.uint8)
    for listed, bit in (
        (_EMOJI, IS_EMOJI),
        (_MATHS, IS_MATHS),
        (_INVISIBLE, IS_INVISIBLE),
        (_PRIVATE, IS_PRIVATE),
        (_ACCENTED, IS_ACCENTED),
    ):
        for item in listed.split():
            first, _, last = item.partition("-")
            kinds[int(first, 16) : int(last or first, 16) + 1] |= bit
    stands_for = np.zeros(0x2200, np.uint8)
    stands_for[0x80:0x100] = np.arange(0x80, 0x100)
    for offset, code in enumerate(_WINDOWS_1252.split()):
        if int(code, 16):
            stands_for[int(code, 16)] = 0x80 + offset
    for table in (kinds, stands_for):
        table.flags.writeable = False
    return kinds, stands_for
