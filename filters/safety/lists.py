"""Lists with context: how densely the words of a list stand in a text, where nothing around them explains them.

Entries are matched on whole tokens ("Scunthorpe" holds none), the longest first. Each has a weight: 1 for what is
said of one thing alone, a tenth for what medicine, law and commerce say as well ("breasts" is in no list, "sex" is
ambiguous), half in the languages other than English, whose lists in LDNOOBW hold swearing and sex together. English
swearing, insults and slurs count nothing: rude is not adult, and not hate. A passage with two words of medicine, law,
research or reporting (``own_lists.yaml``) has no hits: a page on breast cancer or a court report explains its words.

The score is h / (h + 3 + 0.02 w), h the sum of the weights, w the words of the text: half where there are three hits
and two in a hundred words more. No single word reaches it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from filters.batch import Batch, sums
from filters.naughty import naughty_words
from filters.safety.model import PASSAGE
from kernels.known_runs import KnownRuns, count_known_runs, known_runs
from kernels.sentence_spans import Spans, passages

__all__ = ["AMBIGUOUS", "FOREIGN", "LISTED", "WordLists", "list_scores", "word_lists"]

FOREIGN: Final = 0.5
AMBIGUOUS: Final = 0.1
PHRASE: Final = 2.0
"""Weight of a phrase of our own lists, all of which say what they mean."""

_FEWEST: Final = 3.0
_DENSITY: Final = 0.02
_EXPLAINS: Final = 2

LISTED: Final = ("adult_sexual_material", "discrimination", "self_harm", "regulated_goods")
"""The categories that have a list."""


class WordLists(NamedTuple):
    """The lists, compiled."""

    groups: Mapping[str, tuple[tuple[float, KnownRuns], ...]]
    """By category: entries with their weight."""
    context: KnownRuns


@cache
def word_lists() -> WordLists:
    """The lists of this package."""
    with files("filters.safety").joinpath("own_lists.yaml").open(encoding="utf-8") as stream:
        own: dict[str, list[Any]] = yaml.safe_load(stream)
    with files("filters.safety").joinpath("ldnoobw.json").open(encoding="utf-8") as stream:
        lists: dict[str, list[str]] = json.load(stream)["lists"]
    apart = {*own["rude"], *own["ambiguous"]}
    foreign = {entry for language, entries in lists.items() if language != "en" for entry in entries}
    adult = (
        (1.0, known_runs([word for word in naughty_words() if word not in apart])),
        (AMBIGUOUS, known_runs(own["ambiguous"])),
        (FOREIGN, known_runs(sorted(foreign - set(naughty_words()) - apart))),
    )
    phrases = {name: ((PHRASE, known_runs(own[name])),) for name in LISTED if name in own}
    return WordLists({"adult_sexual_material": adult, **phrases}, known_runs(own["context"]))


def list_scores(batch: Batch, sentences: Spans) -> dict[str, NDArray[np.float64]]:
    """The score of each listed category, for each text."""
    found = passages(sentences, batch.found.kinds, PASSAGE)
    hashes = batch.folded
    lists = word_lists()
    explained = count_known_runs(found.bounds, hashes, lists.context) >= _EXPLAINS
    scores: dict[str, NDArray[np.float64]] = {}
    for name in LISTED:
        hits = np.zeros(len(batch))
        for weight, entries in lists.groups[name]:
            counts = np.where(explained, 0, count_known_runs(found.bounds, hashes, entries))
            hits += weight * sums(counts, found.offsets)
        scores[name] = hits / (hits + _FEWEST + _DENSITY * batch.word_counts)
    return scores
