"""Code points in a byte buffer: decoding UTF-8 and looking properties up.

The tables are two-stage (a block number for every 128 code points, then the distinct blocks), 50 kB in all, and are
passed to each kernel as an argument: as globals they would be frozen into Numba's cache and survive a new table.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from enum import IntEnum
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "SCRIPTS",
    "TABLES",
    "TokenClass",
    "Unicode",
    "ascii_units",
    "decode_part",
    "decode_text",
    "script_codes",
    "unicode_tables",
]

TABLES: Final = "unicode_tables.npz"
BLOCK: Final = 128
SHIFT: Final = 7  # log2(BLOCK)
REPLACEMENT: Final = 0xFFFD  # what each byte that is not UTF-8 reads as

# Bits of a property word.
CLASS_MASK: Final = 15  # a TokenClass
ALPHA: Final = 16  # str.isalpha
UPPER: Final = 32  # str.isupper
SPACE: Final = 64  # str.isspace
TERMINAL: Final = 128  # ends a sentence
SCRIPT_SHIFT: Final = 8  # a number of script_codes() above it

# A unit is what a kernel needs of one code point, in 32 bits: the code point under simple case folding, then the low 8
# bits of its property word, then its length in bytes less one.
UNIT_CODE_MASK: Final = (1 << 21) - 1
UNIT_PROPERTIES: Final = 21
UNIT_CLASS: Final = CLASS_MASK << UNIT_PROPERTIES
UNIT_LENGTH: Final = 29


class TokenClass(IntEnum):
    """What a code point is to the word rule of ``kernels.words``."""

    SEPARATOR = 0  # spaces and control characters
    LETTER = 1  # letters, and numbers that are no decimal digits (², Ⅳ, ½)
    MARK = 2  # combining marks, ZWJ, ZWNJ, kana length and voicing marks
    DIGIT = 3  # decimal digits
    UNSPACED = 4  # letters of scripts written without spaces
    PUNCTUATION = 5
    SYMBOL = 6  # mathematics, currency, # % & * / @ \\ _, emoji, private use, unassigned, and bytes that are not UTF-8
    FORMAT = 7  # soft hyphen, direction marks: invisible, in no hash
    MID_LETTER = 8  # ' ’ · between two letters: part of the word
    MID_COMMA = 9  # , between two digits: part of the number
    FULL_STOP = 10  # . between two digits or letters: part of the number or word
    HYPHEN = 11  # - : a sign beside a digit, punctuation elsewhere


class Unicode(NamedTuple):
    """The tables that a kernel takes."""

    property_index: NDArray[np.uint16]
    properties: NDArray[np.uint16]
    fold_index: NDArray[np.uint16]
    folds: NDArray[np.int32]


@cache
def _tables() -> tuple[Unicode, tuple[str, ...]]:
    with files("kernels").joinpath(TABLES).open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        tables = Unicode(stored["property_index"], stored["properties"], stored["fold_index"], stored["folds"])
        scripts = tuple(str(script) for script in stored["scripts"])
    for table in tables:
        table.flags.writeable = False
    return tables, scripts


def unicode_tables() -> Unicode:
    """The tables, read once a process (1 ms)."""
    return _tables()[0]


def script_codes() -> tuple[str, ...]:
    """ISO 15924 code of each script number; ``Zyyy`` stands for characters of no one script."""
    return _tables()[1]


@njit(cache=True, nogil=True)
def decode_text(data, start, end, tables, units) -> Any:
    """Write a unit for each code point of ``data[start:end]`` and return how many there are.

    Kernels decode a text once, here, and then walk ``units`` (uint32, at least ``end - start`` long): a helper called
    for each character would count references to its arrays, atomically, each time (measured: eight times slower).

    A byte that begins no well-formed UTF-8 sequence (Unicode 15, table 3-7) reads as U+FFFD of length 1.
    """
    return decode_part(data, start, end, tables, ascii_units(tables), units)


@njit(cache=True, nogil=True)
def ascii_units(tables) -> Any:
    """The unit of each of the first 128 code points."""
    property_index, property_blocks, _, _ = tables
    units = np.empty(128, np.uint32)
    for code in range(128):
        fold = code + 32 if 65 <= code <= 90 else code
        word = np.int64(property_blocks[(np.int64(property_index[0]) << SHIFT) | code])
        units[code] = fold | ((word & (1 << SCRIPT_SHIFT) - 1) << UNIT_PROPERTIES)
    return units


@njit(cache=True, nogil=True)
def decode_part(data, start, end, tables, ascii_table, units) -> Any:
    """``decode_text`` for a caller that decodes many short parts and has the ASCII units already."""
    property_index, property_blocks, fold_index, fold_blocks = tables
    at = start
    count = 0
    while at < end:
        code = np.int64(data[at])
        if code < 0x80:
            units[count] = ascii_table[code]
            count += 1
            at += 1
            continue
        length = 1
        if 0xC2 <= code <= 0xF4:
            length = 2 if code < 0xE0 else (3 if code < 0xF0 else 4)
            if at + length <= end:
                code &= 0x7F >> length
                whole = True
                for k in range(1, length):
                    byte = np.int64(data[at + k])
                    whole &= byte & 0xC0 == 0x80
                    code = (code << 6) | (byte & 0x3F)
                if length == 3:
                    whole &= code >= 0x800 and not 0xD800 <= code < 0xE000  # neither overlong nor a surrogate
                elif length == 4:
                    whole &= 0x10000 <= code <= 0x10FFFF
                if not whole:
                    code = np.int64(REPLACEMENT)
                    length = 1
            else:
                code = np.int64(REPLACEMENT)
                length = 1
        else:
            code = np.int64(REPLACEMENT)
        low = code & (BLOCK - 1)
        word = np.int64(property_blocks[(np.int64(property_index[code >> SHIFT]) << SHIFT) | low])
        fold = code + np.int64(fold_blocks[(np.int64(fold_index[code >> SHIFT]) << SHIFT) | low])
        units[count] = fold | ((word & (1 << SCRIPT_SHIFT) - 1) << UNIT_PROPERTIES) | ((length - 1) << UNIT_LENGTH)
        count += 1
        at += length
    return count


# Beginning of a character's name -> ISO 15924 code.
SCRIPTS: Final[dict[str, str]] = {
    "ADLAM": "Adlm", "AHOM": "Ahom", "ANATOLIAN HIEROGLYPH": "Hluw", "ARABIC": "Arab", "ARMENIAN": "Armn",
    "AVESTAN": "Avst", "BALINESE": "Bali", "BAMUM": "Bamu", "BASSA VAH": "Bass", "BATAK": "Batk", "BENGALI": "Beng",
    "BHAIKSUKI": "Bhks", "BOPOMOFO": "Bopo", "BRAHMI": "Brah", "BUGINESE": "Bugi", "BUHID": "Buhd",
    "CANADIAN SYLLABICS": "Cans", "CARIAN": "Cari", "CAUCASIAN ALBANIAN": "Aghb", "CHAKMA": "Cakm", "CHAM": "Cham",
    "CHEROKEE": "Cher", "CHORASMIAN": "Chrs", "CJK UNIFIED": "Hani", "CJK COMPATIBILITY": "Hani", "COPTIC": "Copt",
    "CUNEIFORM": "Xsux", "CYPRIOT": "Cprt", "CYPRO-MINOAN": "Cpmn", "CYRILLIC": "Cyrl", "DESERET": "Dsrt",
    "DEVANAGARI": "Deva", "DIVES AKURU": "Diak", "DOGRA": "Dogr", "DUPLOYAN": "Dupl", "EGYPTIAN HIEROGLYPH": "Egyp",
    "ELBASAN": "Elba", "ELYMAIC": "Elym", "ETHIOPIC": "Ethi", "FEMININE ORDINAL": "Latn", "MASCULINE ORDINAL": "Latn",
    "GEORGIAN": "Geor", "GLAGOLITIC": "Glag", "GOTHIC": "Goth", "GRANTHA": "Gran", "GREEK": "Grek",
    "GUJARATI": "Gujr", "GUNJALA GONDI": "Gong", "GURMUKHI": "Guru", "HANGUL": "Hang", "HANIFI ROHINGYA": "Rohg",
    "HANUNOO": "Hano", "HATRAN": "Hatr", "HEBREW": "Hebr", "HENTAIGANA": "Hira", "HIRAGANA": "Hira",
    "IDEOGRAPHIC": "Hani", "IMPERIAL ARAMAIC": "Armi", "INSCRIPTIONAL PAHLAVI": "Phli",
    "INSCRIPTIONAL PARTHIAN": "Prti", "JAVANESE": "Java", "KAITHI": "Kthi", "KANNADA": "Knda", "KATAKANA": "Kana",
    "KATAKANA-HIRAGANA": "Kana", "KAYAH LI": "Kali", "KHAROSHTHI": "Khar", "KHITAN SMALL": "Kits", "KHMER": "Khmr",
    "KHOJKI": "Khoj", "KHUDAWADI": "Sind", "LAO": "Laoo", "LATIN": "Latn", "LEPCHA": "Lepc", "LIMBU": "Limb",
    "LINEAR A": "Lina", "LINEAR B": "Linb", "LISU": "Lisu", "LYCIAN": "Lyci", "LYDIAN": "Lydi", "MAHAJANI": "Mahj",
    "MAKASAR": "Maka", "MALAYALAM": "Mlym", "MANDAIC": "Mand", "MANICHAEAN": "Mani", "MARCHEN": "Marc",
    "MASARAM GONDI": "Gonm", "MEDEFAIDRIN": "Medf", "MEETEI MAYEK": "Mtei", "MENDE KIKAKUI": "Mend",
    "MEROITIC CURSIVE": "Merc", "MEROITIC HIEROGLYPHIC": "Mero", "MIAO": "Plrd", "MODI": "Modi", "MONGOLIAN": "Mong",
    "MRO": "Mroo", "MULTANI": "Mult", "MYANMAR": "Mymr", "NABATAEAN": "Nbat", "NANDINAGARI": "Nand",
    "NEW TAI LUE": "Talu", "NEWA": "Newa", "NKO": "Nkoo", "NUSHU": "Nshu", "NYIAKENG PUACHUE": "Hmnp",
    "OGHAM": "Ogam", "OL CHIKI": "Olck", "OLD HUNGARIAN": "Hung", "OLD ITALIC": "Ital", "OLD NORTH ARABIAN": "Narb",
    "OLD PERMIC": "Perm", "OLD PERSIAN": "Xpeo", "OLD SOGDIAN": "Sogo", "OLD SOUTH ARABIAN": "Sarb",
    "OLD TURKIC": "Orkh", "OLD UYGHUR": "Ougr", "ORIYA": "Orya", "OSAGE": "Osge", "OSMANYA": "Osma",
    "PAHAWH HMONG": "Hmng", "PALMYRENE": "Palm", "PAU CIN": "Pauc", "PHAGS-PA": "Phag", "PHOENICIAN": "Phnx",
    "PSALTER PAHLAVI": "Phlp", "REJANG": "Rjng", "ROMAN NUMERAL": "Latn", "RUNIC": "Runr", "SAMARITAN": "Samr",
    "SAURASHTRA": "Saur", "SHARADA": "Shrd", "SHAVIAN": "Shaw", "SIDDHAM": "Sidd", "SIGNWRITING": "Sgnw",
    "SINHALA": "Sinh", "SOGDIAN": "Sogd", "SORA SOMPENG": "Sora", "SOYOMBO": "Soyo", "SUNDANESE": "Sund",
    "SYLOTI NAGRI": "Sylo", "SYRIAC": "Syrc", "TAGALOG": "Tglg", "TAGBANWA": "Tagb", "TAI LE": "Tale",
    "TAI THAM": "Lana", "TAI VIET": "Tavt", "TAKRI": "Takr", "TAMIL": "Taml", "TANGSA": "Tnsa", "TANGUT": "Tang",
    "TELUGU": "Telu", "THAANA": "Thaa", "THAI": "Thai", "TIBETAN": "Tibt", "TIFINAGH": "Tfng", "TIRHUTA": "Tirh",
    "TOTO": "Toto", "UGARITIC": "Ugar", "VAI": "Vaii", "VITHKUQI": "Vith", "WANCHO": "Wcho", "WARANG CITI": "Wara",
    "YEZIDI": "Yezi", "YI SYLLABLE": "Yiii", "ZANABAZAR SQUARE": "Zanb",
}  # fmt: skip
