"""How much a word says: its rarity among benchmark questions, in nats.

weight(w) = ln((N0 + N + 1) / (d0(w) + d(w) + 1)), where d(w) of N different questions hold w. Questions are no sample
of the language of texts, and a small index holds few, so as many as it has (at least N0 = 10,000) are imagined beside
them, of which a fifth holds each of the commonest English words and 2 any other word.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from decontam.tokens import Tokens, tokens

__all__ = ["Rarity"]

_LEAST_IMAGINED: Final = 10_000
_HOLD_COMMON: Final = 0.2  # share of the imagined questions
_HOLD_OTHER: Final = 2

# Function words and the verbs and nouns of questions; digits are everywhere in mathematics.
_COMMON: Final = """
the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you
were all her she there would their we him been has when who will no more if out so up what than them can other into
about some its time only could these two may then do first any my now such like our over me even most made after also
did many before must through back years where much your way well down should because each just those how too state good
very make world still own see work long get here between both life being under never day same another know while last
might us great old year off come since against go came right used take three does following statement statements true
false correct answer question choose option options best describes likely which example given find write function number
value list return if whether using use 0 1 2 3 4 5 6 7 8 9 10 a b c d e
"""


class Rarity:
    """Weights of words, from the different questions of an index."""

    def __init__(self, questions: Tokens, drop_labels: bool) -> None:
        """Count in how many of ``questions`` (each given once) every word occurs."""
        number = np.repeat(np.arange(len(questions.offsets) - 1), np.diff(questions.offsets))
        order = np.lexsort((number, questions.hashes))
        word, text = questions.hashes[order], number[order]
        new_word = np.concatenate(([True], word[1:] != word[:-1])) if len(word) else np.zeros(0, np.bool_)
        new_pair = new_word | np.concatenate(([True], text[1:] != text[:-1])) if len(word) else new_word
        self._words = word[new_word]
        pairs = np.cumsum(new_pair)
        starts = np.flatnonzero(new_word)
        ends = np.append(starts[1:], len(word)) - 1
        self._counts = pairs[ends] - pairs[starts] + 1 if len(word) else np.zeros(0, np.int64)
        self._common = np.sort(tokens(pa.array([_COMMON]), drop_labels).hashes)
        self._total = len(questions.offsets) - 1

    def weights(self, hashes: NDArray[np.uint64]) -> NDArray[np.float32]:
        """Return the weight of each word."""
        imagined = max(self._total, _LEAST_IMAGINED)
        held = np.where(_among(self._common, hashes), _HOLD_COMMON * imagined, _HOLD_OTHER).astype(np.float64)
        if len(self._words):
            at = np.minimum(np.searchsorted(self._words, hashes), len(self._words) - 1)
            held += np.where(self._words[at] == hashes, self._counts[at], 0)
        return np.log((imagined + self._total + 1) / (held + 1)).astype(np.float32)


def _among(ordered: NDArray[np.uint64], values: NDArray[np.uint64]) -> NDArray[np.bool_]:
    at = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return ordered[at] == values
