"""Signals and rules ``dialogue``: the tone that Llama 3.1 cleans out of post-training data.

The report (arXiv 2407.21783, section 4.2.3, "Data cleaning") names excessive emoji, excessive exclamation marks and
overused apologies ("I'm sorry", "I apologize"), and gives no thresholds and no list: both are ours. It balances the
share of apologetic samples and does not drop them all, so that rule only tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from numpy.typing import NDArray

from filters.batch import Batch, ratio
from filters.family import Family
from filters.rule import Rule
from kernels.characters import Counted
from kernels.occurrences import PhraseGroup

__all__ = ["APOLOGIES", "FAMILY", "RULES"]

APOLOGIES: Final = (
    *("i'm sorry", "i’m sorry", "i am sorry", "i'm so sorry", "i’m so sorry", "i am so sorry", "i'm terribly sorry"),
    *("i'm very sorry", "i am very sorry", "i'm really sorry", "i'm afraid i can", "sorry for the confusion"),
    *("sorry for any confusion", "sorry for the inconvenience", "sorry for any inconvenience", "sorry about that"),
    *("i apologize", "i apologise", "i do apologize", "i do apologise", "i sincerely apologi", "my apologies"),
    *("we apologize", "we apologise", "we're sorry", "we are sorry", "apologies for the", "apologies for any"),
)
"""Lower case; any case counts."""


_APOLOGIES: Final = PhraseGroup(APOLOGIES, fold=True)


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    apologies = batch.occurrences(_APOLOGIES)
    return {
        "emoji": batch.characters[:, Counted.EMOJI],
        "emoji_ratio": ratio(batch.characters[:, Counted.EMOJI], batch.tokens),
        "exclamation_ratio": ratio(batch.characters[:, Counted.EXCLAMATIONS], batch.tokens),
        "apologies": apologies,
        "apology_ratio": ratio(apologies, batch.word_counts),
    }


FAMILY = Family(
    "dialogue",
    {
        "emoji": "emoji, a joined sequence or a flag as one",
        "emoji_ratio": "emoji for each token",
        "exclamation_ratio": "exclamation marks for each token, a run of them being one token",
        "apologies": "phrases that apologise",
        "apology_ratio": "such phrases for each word",
    },
    _measure,
    phrases=(_APOLOGIES,),
)

RULES = (
    Rule(name="dialogue-emoji", signal="dialogue.emoji_ratio", max=0.02),
    Rule(name="dialogue-exclamations", signal="dialogue.exclamation_ratio", max=0.05),
    Rule(name="dialogue-apologies", signal="dialogue.apologies", max=0, action="tag"),
)
