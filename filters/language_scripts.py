"""Which languages a script leaves to choose from.

Languages of lid.176 by the scripts that they are written in, and languages that it does not know and that have a script
to themselves; from ISO 15924 and the likely subtags of CLDR. Where a label says its own script ("eng_Latn", as
GlotLID and OpenLID have it), that is what counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALONE", "candidates"]

ALONE: Final = {
    "Bali": "ban", "Batk": "btx", "Bugi": "bug", "Cakm": "ccp", "Cans": "cr", "Cham": "cjm", "Cher": "chr",
    "Copt": "cop", "Goth": "got", "Java": "jv", "Kali": "eky", "Lana": "nod", "Lepc": "lep", "Limb": "lif",
    "Lisu": "lis", "Mand": "mid", "Mong": "mn", "Mtei": "mni", "Nkoo": "nqo", "Olck": "sat", "Osge": "osa",
    "Plrd": "hmd", "Rohg": "rhg", "Samr": "sam", "Saur": "saz", "Sund": "su", "Sylo": "syl", "Syrc": "syr",
    "Tale": "tdd", "Talu": "khb", "Tavt": "blt", "Tfng": "tzm", "Tglg": "tl", "Vaii": "vai", "Wcho": "nnp",
    "Yiii": "ii",
}  # fmt: skip
"""The language of a script that no label of lid.176 is written in, where it has one: its own, or its first by far.

Canadian syllabics and Tifinagh are more than one language: ``language_letters`` tells Inuktitut and Tuareg apart.
"""

_WRITTEN: Final = {
    "Arab": "ar arz azb az ckb fa kk ku ky lrc ms mzn pnb ps sd ug ur uz",
    "Armn": "hy",
    "Beng": "as bn bpy",
    "Bopo": "zh",
    "Cyrl": (
        "av az ba be bg bs bxr ce cv hbs kk krc kv ky lez mhr mk mn mrj myv os rue ru sah sr tg tk tt tyv uk uz xal"
    ),
    "Deva": "bho dty gom hi mai mr ne new sa sd",
    "Ethi": "am",
    "Geor": "ka xmf",
    "Grek": "el",
    "Gujr": "gu",
    "Guru": "pa",
    "Hang": "ko",
    "Hani": "ja zh",
    "Hebr": "he yi",
    "Jpan": "ja",
    "Khmr": "km",
    "Knda": "kn",
    "Laoo": "lo",
    "Mlym": "ml",
    "Mymr": "my",
    "Orya": "or",
    "Sinh": "si",
    "Taml": "ta",
    "Telu": "te",
    "Thaa": "dv",
    "Thai": "th",
    "Tibt": "bo",
}
_BY_LETTERS: Final = frozenset({"wuu", "yue"})
"""Labels that lid.176 hardly gives, and to Mandarin as soon as to Cantonese and Wu: letters decide."""
_ALSO_LATIN: Final = frozenset({"az", "bs", "gom", "hbs", "ku", "ms", "sr", "tk", "uz"})
_HAN: Final = {"Hans": "Hani", "Hant": "Hani", "Kore": "Hang"}
_UMBRELLA: Final = {"hbs": frozenset({"bs", "hr", "sr"})}
"""Labels that are no answer where the languages under them are labels too."""


def candidates(codes: Sequence[str], label_scripts: Sequence[str], scripts: Sequence[str]) -> NDArray[np.bool_]:
    """Say which labels a text may have, by the script of most of its letters.

    Args:
        codes: the language of each label.
        label_scripts: the script that each label itself names; "" where it names none.
        scripts: scripts asked about.

    Returns:
        (scripts, labels). A script that no label is written in has none.
    """
    known = set(codes)
    elsewhere = {code for written in _WRITTEN.values() for code in written.split()} | _BY_LETTERS
    elsewhere -= _ALSO_LATIN
    found = np.zeros((len(scripts), len(codes)), np.bool_)
    for row, script in enumerate(scripts):
        written = set(_WRITTEN.get(script, "").split())
        for column, (code, own) in enumerate(zip(codes, label_scripts, strict=True)):
            if own:
                found[row, column] = _HAN.get(own, own) == script or (own == "Jpan" and script == "Hani")
            elif script == "Latn":
                found[row, column] = code not in elsewhere
            else:
                found[row, column] = code in written
            if not own and _UMBRELLA.get(code, frozenset()) & known:
                found[row, column] = False
    return found
