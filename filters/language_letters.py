"""Languages told by letters and small words that those beside them do not write.

lid.176 was trained on Wikipedia: what has no Wikipedia of size it takes for a neighbour (Cantonese for Chinese, Yoruba
for Irish, Shan for Burmese). An orthography decides many such pairs at once. Each mark below is such a fact: where its
patterns make up their share of the letters, the text is in that language. No mark was counted on a test set: letters
are those of the orthographies, words those of the grammars. But which pairs need one, and which mark goes first, was
seen in what FLORES and UDHR confuse (docs/language.md says what they are worth). Shares are round numbers: a letter of
the language's own is one in a hundred or two hundred, a small word one in a hundred, so that a name decides nothing.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["MARKS", "Mark", "apply"]

_FEWEST: Final = 2  # matches


class Mark(NamedTuple):
    """What a language is told by.

    Attributes:
        script: of most letters of the text.
        language: that the text then is in.
        patterns: regular expressions (RE2), and the matches that each needs for 100 letters.
        among: languages that are mistaken for it; empty: all.
    """

    script: str
    language: str
    patterns: tuple[tuple[str, float], ...]
    among: frozenset[str] = frozenset()


def _letters(script: str, language: str, *patterns: tuple[str, float], among: str = "") -> Mark:
    return Mark(
        script,
        language,
        tuple((f"[{characters}]", share) for characters, share in patterns),
        frozenset(among.split()),
    )


def _words(script: str, language: str, share: float, words: str, among: str) -> Mark:
    pattern = rf"(?:^|[^\pL\pM])(?:{'|'.join(words.split())})(?:[^\pL\pM]|$)"
    return Mark(script, language, ((pattern, share),), frozenset(among.split()))


MARKS: Final = (
    _letters("Latn", "vi", ("ơƠưƯấ-ặẤ-Ặế-ệẾ-Ệố-ợỐ-Ợứ-ựỨ-Ự", 1)),
    _letters("Latn", "ig", ("ịỊụỤ", 1)),
    Mark("Latn", "yo", ((r"[ẹẸọỌṣṢ\x{323}\x{329}]", 1),)),
    _letters("Latn", "ha", ("ƙƘ", 0.3)),
    _letters("Latn", "kbp", ("ɩƖ", 1), ("ɖƉ", 0.5)),
    _letters("Latn", "ee", ("ƒƑʋƲ", 0.3), ("ɖƉɔƆ", 0.5)),
    _letters("Latn", "fon", ("ɖƉ", 1), ("ɔƆ", 1)),
    _letters("Latn", "bm", ("ɲƝ", 0.3), ("ɔƆ", 0.5), ("ɛƐ", 0.5)),
    _letters("Latn", "kab", ("ɣƔ", 0.5), ("ḍḌṭṬṣṢẓẒǧǦčČ", 1)),
    _letters("Latn", "se", ("ŧŦ", 0.2), ("đĐŋŊ", 0.5)),
    _letters("Latn", "fo", ("ðÐ", 0.5), ("øØ", 0.5)),
    _letters("Latn", "nv", ("ǫǪįĮ", 0.5), ("łŁ", 0.5)),
    _letters("Latn", "mt", ("ħĦ", 0.5)),
    _letters("Latn", "szl", ("ŏŎ", 0.2), among="pl"),
    _letters("Latn", "ltg", ("yY", 1), among="lv"),
    _words("Latn", "sc", 1, "sos sas dae chi", "ca cbk co es it la lmo nap oc pms pt rm ro scn vec"),
    _words("Latn", "min", 1.5, "nan jo indak dek urang alun bakeh", "id jv min ms su tl"),
    _words(
        "Latn",
        "sr",
        0.5,
        "čovek čoveka čoveku svet sveta svetu vreme vremena uvek gde ovde posle pre mesto deca reč"
        " reči deo takođe svako svakog",
        "bs hr sl",
    ),
    _letters("Cyrl", "os", ("ӕӔ", 1)),
    _letters("Cyrl", "ab", ("ҧҩҿҽԥ", 1)),
    _letters("Cyrl", "az", ("ҝҹҜҸ", 0.5)),
    _letters("Cyrl", "az", ("јЈ", 0.5), ("әӘ", 0.5)),
    _letters("Cyrl", "ba", ("ҡҙҠҘ", 1)),
    _letters("Cyrl", "tg", ("ҷӣӯҶӢӮ", 1)),
    _letters("Cyrl", "uz", ("ўЎ", 0.3), ("қғҳҚҒҲ", 0.5)),
    _letters("Cyrl", "sr", ("ђћЂЋ", 0.5)),
    _letters("Cyrl", "mk", ("ѓќѕЃЌЅ", 0.5)),
    _letters("Arab", "skr", ("ݙݨ", 0.5)),
    _letters("Arab", "ks", ("ٲۄؠ", 1)),
    _letters("Arab", "sd", ("ڀٿڃڇڌڍڦڪڱڻ", 2)),
    _letters("Arab", "ms", ("ڠݢڽۏ", 0.5)),
    _words("Arab", "azb", 1, "بیر بیری ایله اوچون اولان اولاراق دیر ایدی اولوب کیمی سونرا بؤیوک", "fa ar ur mzn"),
    _words("Arab", "arz", 1, "ده دي دى دول اللي اللى مش عشان علشان كده ازاي إزاي بتاع بتاعت عايز عاوز", "ar"),
    _letters("Deva", "ks", ("ॳॴऺऻॖॗ", 0.5)),
    _letters("Deva", "sa", ("ः", 1), among="hi mr ne mai bho gom new dty"),
    _words("Deva", "mai", 1, "अछि छल छथि छलाह छैक छी सँ केँ कएल एहि ओहि जाहि भेल अपन", "hi bho ne mr new"),
    _words("Deva", "bho", 1, "बा बाटे बाड़े बाड़न बानी भइल गइल कइल रहल एगो लोगन खातिर सभे", "hi mai ne mr"),
    _letters("Beng", "as", ("ৰ", 1), among="bn"),
    _letters("Beng", "mni", ("ৱ", 0.5), among="bn"),
    _letters("Ethi", "ti", ("ቐ-ቝኣ", 1)),
    _words("Ethi", "ti", 2, "ናይ ኣብ እዩ እዮም እያ ድማ ነቲ እቲ ካብ ምስ ኩሎም", "am"),
    _letters("Geor", "xmf", ("ჷჸ", 0.5)),
    _letters("Hani", "yue", ("嘅喺咗哋佢嚟啲冇嗰噉咁唔", 1.5), among="ja zh"),
    _letters("Hani", "wuu", ("搿侬㑚", 1), among="ja zh"),
    _letters("Mymr", "shn", ("ၵ-ႍ", 5)),
    _letters("Mymr", "ksw", ("ၡ-ၤ", 3)),
    _letters("Mymr", "mnw", ("ၚ-ၝ", 1)),
    Mark("Tibt", "dz", ((r"་ལུ་|འབད|ཨིན་", 2),)),
    _letters("Tfng", "taq", ("ⴾⵂⵆⵈⵗ", 1)),
    _letters("Cans", "iu", ("ᕙ-ᕝᕿ-ᖓᖠ-ᖦ", 1)),
)


def apply(
    lines: pa.Array[Any], letters: NDArray[np.int64], scripts: NDArray[Any], languages: NDArray[Any]
) -> NDArray[np.bool_]:
    """Write the language of each text that a mark decides into ``languages``; the first mark that fits counts.

    Args:
        lines: the texts.
        letters: how many each has.
        scripts: of most of its letters, ISO 15924.
        languages: taken for it so far; changed in place.

    Returns:
        Which texts a mark decided, also where it says what was there.
    """
    decided = np.zeros(len(languages), np.bool_)
    for script, marks in _by_script().items():
        rows = np.flatnonzero(scripts == script)
        if not len(rows):
            continue
        # One look for all letters at once: few texts have any. Words are looked for among their few languages.
        first = "|".join(mark.patterns[0][0] for mark in marks if not mark.among)
        some = np.zeros(len(languages), np.bool_)
        if first:
            seen = pc.match_substring_regex(lines.take(pa.array(rows)), first)
            some[rows] = seen.to_numpy(zero_copy_only=False)
        for mark in marks:
            if mark.among:
                at = rows[np.isin(languages[rows], [*mark.among, mark.language])]
            else:
                at = rows[some[rows]]
            at = at[~decided[at]]
            for pattern, share in mark.patterns:
                if len(at):
                    found = pc.count_substring_regex(lines.take(pa.array(at)), pattern).to_numpy(zero_copy_only=False)
                    at = at[(found >= _FEWEST) & (100 * found >= share * letters[at])]
            languages[at] = mark.language
            decided[at] = True
    return decided


@cache
def _by_script() -> dict[str, list[Mark]]:
    grouped: dict[str, list[Mark]] = {}
    for mark in MARKS:
        grouped.setdefault(mark.script, []).append(mark)
    return grouped
