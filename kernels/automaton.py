"""Many fixed phrases at once: one table look-up a byte, however many there are (Aho and Corasick 1975)."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.strings import TextBatch

__all__ = ["Automaton", "automaton", "count_groups"]


class Automaton(NamedTuple):
    """A deterministic automaton over classes of bytes; state 0 is the start."""

    classes: NDArray[np.uint8]  # class of each byte; bytes that are in no phrase share class 0
    moves: NDArray[np.int32]  # (states, classes): the next state
    firsts: NDArray[np.int32]  # states + 1: range of each state in ``ends``
    ends: NDArray[np.int32]  # groups of the phrases that end in a state
    groups: int


def automaton(groups: Sequence[Sequence[str]], *, fold: bool) -> Automaton:
    """Compile groups of phrases.

    Args:
        groups: phrases whose occurrences are counted together; a phrase may be in several groups.
        fold: whether ASCII upper case in the text equals lower case; the phrases must be lower case then.

    Raises:
        ValueError: an empty phrase, no phrase at all, or upper case in a phrase that is to be folded.
    """
    phrases = [(phrase.encode(), number) for number, group in enumerate(groups) for phrase in group]
    if not phrases or not all(phrase for phrase, _ in phrases):
        raise ValueError("phrases: expected at least one, and none empty")
    if fold and any(phrase != phrase.lower() for phrase, _ in phrases):
        raise ValueError("phrases: found upper case, expected lower case where case does not count")
    used = sorted({byte for phrase, _ in phrases for byte in phrase})
    classes = np.zeros(256, np.uint8)
    classes[used] = np.arange(1, len(used) + 1)
    if fold:
        classes[65:91] = classes[97:123]
    children: list[dict[int, int]] = [{}]
    found: list[set[int]] = [set()]
    for phrase, number in phrases:
        state = 0
        for byte in phrase:
            if byte not in children[state]:
                children[state][byte] = len(children)
                children.append({})
                found.append(set())
            state = children[state][byte]
        found[state].add(number)
    moves = np.zeros((len(children), len(used) + 1), np.int32)
    shorter = [0] * len(children)  # the longest proper suffix of a state that is a state
    queue = deque([0])
    while queue:
        state = queue.popleft()
        found[state] |= found[shorter[state]]
        if state:
            moves[state] = moves[shorter[state]]
        for byte, child in children[state].items():
            shorter[child] = int(moves[state, classes[byte]])
            moves[state, classes[byte]] = child
            queue.append(child)
    firsts = np.cumsum([0, *map(len, found)], dtype=np.int32)
    ends = np.array([number for state in found for number in sorted(state)], np.int32)
    return Automaton(classes, moves, firsts, ends, len(groups))


def count_groups(
    batch: TextBatch, starts: NDArray[np.int64], ends: NDArray[np.int64], machine: Automaton
) -> NDArray[np.int64]:
    """Occurrences of each group's phrases in each range of bytes, overlapping ones too.

    Two phrases of one group that end at the same place are one occurrence.

    Returns:
        (ranges, groups).
    """
    return _count(
        *(batch.data, starts, ends), *(machine.classes, machine.moves, machine.firsts, machine.ends), machine.groups
    )


@njit(cache=True, nogil=True)
def _count(data, starts, ends, classes, moves, firsts, outputs, groups) -> Any:
    counts = np.zeros((len(starts), groups), np.int64)
    for i in range(len(starts)):
        state = np.int32(0)
        for at in range(starts[i], ends[i]):
            state = moves[state, classes[data[at]]]
            for k in range(firsts[state], firsts[state + 1]):
                counts[i, outputs[k]] += 1
    return counts
