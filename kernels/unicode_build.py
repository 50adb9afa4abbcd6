"""Build ``unicode_tables.npz``, the properties of every code point that the kernels look up.

    python -m kernels.unicode_build

The file is committed, and not built when a kernel is first used, for two reasons: words and hashes must not change with
the Unicode version of the running Python (an index of hashes outlives it), and loading takes 1 ms where building takes
300.
"""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.unicode import BLOCK, SCRIPTS, TABLES, TokenClass

# First words of the character names of a script whose writing does not put spaces between words: Han, kana, and the
# scripts of line breaking class SA (UAX #14: Thai, Lao, Khmer, Myanmar, Tai Le, New Tai Lue, Tai Tham, Tai Viet, Ahom),
# with the other ideographs.
_UNSPACED = frozenset(
    "Hani Hira Kana Bopo Thai Laoo Khmr Mymr Tale Talu Lana Tavt Ahom Tang Nshu Kits".split()  # noqa: SIM905
)

# Letters (Lm) that lengthen or voice the kana before them, as a mark would.
_KANA_MARKS = frozenset({0x30FC, 0xFF70, 0xFF9E, 0xFF9F})
_JOINERS = frozenset({0x200C, 0x200D})  # ZWNJ and ZWJ change what is read: part of the word, as a mark
_ZERO_WIDTH_SPACE = 0x200B  # Cf in Unicode, a word boundary in Thai and Khmer
_ASCII_SYMBOLS = frozenset(map(ord, "#%&*/@\\_"))  # operators and signs that Unicode files under punctuation
_MID_LETTER = frozenset({0x27, 0x2019, 0xB7, 0x5F3, 0x5F4, 0x2027})  # UAX #29 WB6/7, without ':'
_SINGLE = {0x2C: TokenClass.MID_COMMA, 0x2E: TokenClass.FULL_STOP, 0x2D: TokenClass.HYPHEN}  # UAX #29 WB6/7 and WB11/12

# Code points that end a sentence: Sentence_Terminal of Unicode 15 (PropList.txt) and the Khmer signs U+17D6, U+17D9 and
# U+17DA, which is the list that FineWeb's and spaCy's code use.
_TERMINAL = """
21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736 17D4-17D6
17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E 1C3B-1C3C 1C7E-1C7F 203C-203D 2047-2049 2E2E
2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE52
FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143 111C5-111C6
111CD 111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 1173C-1173E 11944
11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 16B37-16B38 16B44 16E98 1BC9F
1DA88
"""


def _ranges(listed: str) -> list[tuple[int, int]]:
    """Parse "21 61D-61F" into inclusive ranges of code points."""
    ends = [item.split("-") for item in listed.split()]
    return [(int(pair[0], 16), int(pair[-1], 16)) for pair in ends]


def token_class(code: int, category: str, script: str) -> TokenClass:
    """The class of one code point, see ``kernels.words`` for the rule that reads it."""
    if code in _KANA_MARKS or code in _JOINERS or category[0] == "M":
        return TokenClass.MARK
    if code in _MID_LETTER:
        return TokenClass.MID_LETTER
    if code in _SINGLE:
        return _SINGLE[code]
    if code == _ZERO_WIDTH_SPACE:
        return TokenClass.SEPARATOR
    if category == "Nd":
        return TokenClass.DIGIT
    if category[0] in "LN":
        return TokenClass.UNSPACED if script in _UNSPACED and category in ("Lo", "Nl") else TokenClass.LETTER
    if category == "Cf":
        return TokenClass.FORMAT
    if category[0] in "ZC" and category not in ("Co", "Cn"):
        return TokenClass.SEPARATOR
    if category[0] == "P" and code not in _ASCII_SYMBOLS:
        return TokenClass.PUNCTUATION
    return TokenClass.SYMBOL


def script_of(code: int, category: str) -> str:
    """ISO 15924 code of a letter, mark or letter number, from its name; ``Zyyy`` for what belongs to no one script."""
    if category[0] not in "LM" and category != "Nl":
        return "Zyyy"
    name = unicodedata.name(chr(code), "")
    for prefix in ("MATHEMATICAL ", "DOUBLE-STRUCK ", "BLACK-LETTER "):
        if name.startswith(prefix):
            return "Zyyy"
    for prefix in ("FULLWIDTH ", "HALFWIDTH ", "COMBINING ", "MODIFIER LETTER ", "SMALL "):
        name = name.removeprefix(prefix)
    for words in (3, 2, 1):
        script = SCRIPTS.get(" ".join(name.split(" ")[:words]))
        if script is not None:
            return script
    return "Zyyy"


def simple_fold(code: int) -> int:
    """Simple case folding (CaseFolding.txt, statuses C and S): one code point for one."""
    character = chr(code)
    for folded in (character.casefold(), character.lower()):
        if len(folded) == 1:
            return ord(folded)
    return code


def two_stage(values: NDArray[Any]) -> tuple[NDArray[np.uint16], NDArray[Any]]:
    """Split a flat table into (number of the block of each BLOCK code points, the distinct blocks in a row)."""
    blocks, number = np.unique(values.reshape(-1, BLOCK), axis=0, return_inverse=True)
    return number.reshape(-1).astype(np.uint16), blocks.reshape(-1)


def build() -> dict[str, NDArray[Any]]:
    """Every table of the file, by name."""
    script_number = {script: number for number, script in enumerate(sorted(set(SCRIPTS.values()) | {"Zyyy"}))}
    terminal = {code for first, last in _ranges(_TERMINAL) for code in range(first, last + 1)}
    properties = np.zeros(sys.maxunicode + 1, np.uint16)
    fold = np.zeros(sys.maxunicode + 1, np.int32)
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        category = unicodedata.category(character)
        script = script_of(code, category)
        properties[code] = (
            int(token_class(code, category, script))
            | character.isalpha() << 4
            | character.isupper() << 5
            | character.isspace() << 6
            | (code in terminal) << 7
            | script_number[script] << 8
        )
        fold[code] = simple_fold(code) - code
    property_index, property_blocks = two_stage(properties)
    fold_index, fold_blocks = two_stage(fold)
    return {
        "property_index": property_index,
        "properties": property_blocks,
        "fold_index": fold_index,
        "folds": fold_blocks,
        "scripts": np.array(sorted(script_number), dtype="U4"),
        "version": np.array(unicodedata.unidata_version),
    }


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).parent / TABLES, allow_pickle=False, **build())
