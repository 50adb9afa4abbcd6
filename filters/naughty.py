"""The English List of Dirty, Naughty, Obscene, and Otherwise Bad Words (LDNOOBW, CC-BY-4.0), by which C4 drops pages.

The file ``ldnoobw.json`` names its source and licence.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from kernels.known_runs import KnownRuns, known_hashes, known_runs
from kernels.occurrences import PhraseGroup
from kernels.spaced import spelling_hash

__all__ = ["naughty_hashes", "naughty_phrases", "naughty_runs", "naughty_words"]


@cache
def naughty_words() -> tuple[str, ...]:
    """All 403 entries, words and phrases, in lower case."""
    with files("filters").joinpath("ldnoobw.json").open(encoding="utf-8") as stream:
        return tuple(json.load(stream)["en"])


@cache
def naughty_runs() -> KnownRuns:
    """All entries as runs of tokens."""
    return known_runs(naughty_words())


@cache
def naughty_hashes() -> NDArray[np.uint64]:
    """The single words' spelling."""
    return known_hashes([spelling_hash(word) for word in naughty_words() if " " not in word])


@cache
def naughty_phrases() -> PhraseGroup:
    """The entries of several words."""
    return PhraseGroup(tuple(phrase for phrase in naughty_words() if " " in phrase), fold=True)
