"""Signals and rules ``encoding``: text that was decoded wrongly, or holds what nobody reads.

A page in the wrong encoding shows mojibake ("Ã©" for é, "â€™" for ’), replacement characters, C1 control characters or
bytes that are not UTF-8 (an unpaired surrogate reaches Arrow as three such bytes). The principle for mojibake is that
of ftfy (Speer 2019): characters whose Windows-1252 bytes are well-formed UTF-8; see ``kernels.characters`` for when
one counts. No recipe publishes thresholds; those of the rules are ours. Of 885 pages, nine are wrongly decoded in some
part, with mojibake in up to 2% of their characters; the rule drops the three of them that show it all over.

A ratio is for each code point of the text; a byte that is not UTF-8 counts as one. It is 0 for the empty text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from numpy.typing import NDArray

from filters.batch import Batch, ratio
from filters.family import Family
from filters.rule import Rule
from kernels.characters import Counted

__all__ = ["FAMILY", "RULES"]

_RATIOS: Final = {
    "invalid_ratio": (Counted.INVALID, "bytes that are not UTF-8"),
    "replacement_ratio": (Counted.REPLACEMENTS, "replacement characters, U+FFFD"),
    "control_ratio": (Counted.CONTROLS, "control characters, tab, newline, form feed and carriage return apart"),
    "private_ratio": (Counted.PRIVATE, "private-use characters and code points that are none"),
    "invisible_ratio": (Counted.INVISIBLE, "invisible characters and direction marks, joiners apart"),
    "mojibake_ratio": (Counted.MOJIBAKE, "characters of UTF-8 read as Windows-1252 or Latin-1"),
}


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    # A continuation byte that continues nothing is no character of its own in ``chars``.
    whole = batch.chars + batch.characters[:, Counted.INVALID]
    return {name: ratio(batch.characters[:, column], whole) for name, (column, _) in _RATIOS.items()}


FAMILY = Family("encoding", {name: f"{what}, for each character" for name, (_, what) in _RATIOS.items()}, _measure)

RULES = (
    Rule(name="encoding-invalid-bytes", signal="encoding.invalid_ratio", max=0.001),
    Rule(name="encoding-replacements", signal="encoding.replacement_ratio", max=0.001),
    Rule(name="encoding-controls", signal="encoding.control_ratio", max=0.001),
    Rule(name="encoding-private-use", signal="encoding.private_ratio", max=0.01),
    Rule(name="encoding-invisible", signal="encoding.invisible_ratio", max=0.01),
    Rule(name="encoding-mojibake", signal="encoding.mojibake_ratio", max=0.005),
)
