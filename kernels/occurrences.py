"""Many fixed phrases at once: how often the phrases of each group occur in ranges of bytes.

Every phrase is looked for by one of its bytes that is rare in texts (its *anchor*: a sign, a space, or else a pair of
letters), sixty-four bytes of the text at once. Only where an anchor stands are the up to four bytes around it looked up
among those of the phrases, and only then is a phrase compared. So hundreds of phrases cost little more than one.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import at_least_a_block, first_bit, last_block, load_word, mask_pair
from kernels.strings import TextBatch

__all__ = ["Finder", "PhraseGroup", "count_occurrences", "finder", "rarest_pair"]

# Bytes that anchor a phrase alone, the best first: none is frequent in prose.
_ANCHORS: Final = b"\\{#<=@\xa6jJ-."
# So many phrases of several words are looked for by their spaces: one byte, frequent as it is, costs less than as many
# pairs of letters.
_SPACED: Final = 12
# Bytes by their frequency in English prose; one that is not here is rarer still.
_FREQUENT: Final = b" etaoinshrdlcumwfgypbvk"
_CASE: Final = 32  # the bit in which an ASCII letter's capital differs
_SLOTS: Final = 4096
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_FOLDED: Final = np.uint64(0x20202020)


class PhraseGroup(NamedTuple):
    """Phrases whose occurrences are counted together."""

    phrases: tuple[str, ...]
    fold: bool = False
    """Whether ASCII upper case in the text equals lower case; the phrases must be lower case then."""


class Finder(NamedTuple):
    """Groups of phrases, compiled."""

    anchors: NDArray[np.int64]
    """(anchors, 6): first byte, bytes to the second, second byte, bits to ignore, where the window begins, its size."""
    slots: NDArray[np.int64]
    """Number of a phrase by the hash of its window; -1 where there is none."""
    entries: NDArray[np.int64]
    """(phrases, 7): the next in the slot or -1, anchor, window, place of the anchor, bounds of the bytes, group."""
    folds: NDArray[np.bool_]
    """Whether case is ignored, a phrase."""
    spelled: NDArray[np.uint8]
    """The phrases' bytes."""
    groups: int


@lru_cache(maxsize=64)
def finder(groups: tuple[PhraseGroup, ...]) -> Finder:
    """Compile groups of phrases.

    Raises:
        ValueError: no phrase at all, an empty one, or upper case in a phrase that is to be folded.
    """
    if not groups or not all(group.phrases and all(group.phrases) for group in groups):
        raise ValueError("phrases: expected at least one, and none empty")
    if any(group.fold and phrase != phrase.lower() for group in groups for phrase in group.phrases):
        raise ValueError("phrases: found upper case, expected lower case where case does not count")
    wanted = [
        (phrase, number)
        for number, group in enumerate(groups)
        for phrase in _without_longer([phrase.encode() for phrase in group.phrases])
    ]
    spaced = sum(b" " in phrase and not set(phrase) & set(_ANCHORS) for phrase, _ in wanted) > _SPACED
    by_anchor: dict[bytes, list[tuple[bytes, int, int, bool]]] = {}
    for phrase, number in wanted:
        anchor, place = _anchor(phrase, by_anchor, spaced=spaced)
        by_anchor.setdefault(anchor, []).append((phrase, place, number, groups[number].fold))
    anchors: list[tuple[int, ...]] = []
    entries: list[tuple[int, ...]] = []
    folds: list[bool] = []
    spelled = b""
    slots = np.full(_SLOTS, -1, np.int64)
    for index, (anchor, members) in enumerate(by_anchor.items()):
        before = min(place for _, place, _, _ in members)
        after = min(len(phrase) - place for phrase, place, _, _ in members)
        before = min(before, max(1, 4 - after))
        size = min(4, before + after)
        lettered = any(97 <= byte <= 122 for byte in anchor)
        anchors.append((anchor[0], len(anchor) - 1, anchor[-1], _CASE if lettered else 0, -before, size))
        for phrase, place, group, fold in members:
            window = int.from_bytes(bytes(byte | _CASE for byte in phrase[place - before :][:size]), "little")
            slot = _slot(window, index)
            entry = (int(slots[slot]), index, window, place, len(spelled), len(spelled) + len(phrase), group)
            slots[slot] = len(entries)
            entries.append(entry)
            folds.append(fold)
            spelled += phrase
    found = Finder(
        np.array(anchors, np.int64),
        slots,
        np.array(entries, np.int64),
        np.array(folds, np.bool_),
        np.frombuffer(spelled, np.uint8),
        len(groups),
    )
    for table in found[:-1]:
        table.flags.writeable = False
    return found


def count_occurrences(
    batch: TextBatch, starts: NDArray[np.int64], ends: NDArray[np.int64], found: Finder
) -> NDArray[np.int64]:
    """Occurrences of each group's phrases in each range of bytes, overlapping ones too.

    Two phrases of one group that end at the same place are one occurrence.

    Args:
        batch: the texts.
        starts: where each range begins; ranges rise and do not overlap.
        ends: where it ends.
        found: the groups.

    Returns:
        (ranges, groups).
    """
    return _count(at_least_a_block(batch.data), starts, ends, *found).astype(np.int64)


def rarest_pair(phrase: bytes) -> int:
    """Where the two neighbours are that prose has least often; the last of equals, for a character's last bytes."""

    def rank(k: int) -> tuple[int, int]:
        return sum(_FREQUENT.find(phrase[k + j : k + j + 1]) % 99 for j in range(2)), k

    return max(range(max(1, len(phrase) - 1)), key=rank)


def _without_longer(phrases: list[bytes]) -> list[bytes]:
    """The phrases that end with no other: where one of those ends, the other does."""
    return [
        phrase
        for phrase in dict.fromkeys(phrases)
        if not any(phrase != other and phrase.endswith(other) for other in phrases)
    ]


def _anchor(phrase: bytes, used: Iterable[bytes], *, spaced: bool) -> tuple[bytes, int]:
    """The byte or pair of bytes that a phrase is looked for by (letters in lower case), and its place in the phrase."""
    for byte in _ANCHORS:
        if byte in phrase:
            return bytes([byte]).lower(), phrase.index(byte)
    if spaced and b" " in phrase:  # the one with as much on either side as the window takes
        places = [place for place in range(len(phrase)) if phrase[place] == 32]
        return b" ", max(places, key=lambda place: min(place, 1) + min(len(phrase) - place, 3))
    for pair in used:
        if len(pair) == 2 and pair in phrase.lower():
            return pair, phrase.lower().index(pair)
    place = rarest_pair(phrase)
    return phrase[place : place + 2].lower(), place


def _slot(window: int, anchor: int) -> int:
    return ((window ^ (anchor << 32)) * int(_MULTIPLIER) % (1 << 64)) >> 52


@njit(cache=True, nogil=True)
def _matches(data, begin, spelled, low, high, fold) -> Any:
    for k in range(high - low):
        byte = data[begin + k]
        if fold and 65 <= byte <= 90:
            byte += 32
        if byte != spelled[low + k]:
            return False
    return True


@njit(cache=True, nogil=True)
def _count(data, starts, ends, anchors, slots, entries, folds, spelled, groups) -> Any:
    ranges = len(starts)
    counts = np.zeros((ranges, groups), np.int32)
    limit = len(data) - 8
    row = np.int64(0)
    base = np.int64(0)
    while row < ranges:
        base = max(base, starts[row])
        if base >= ends[row]:
            row += 1
            continue
        for index in range(len(anchors)):
            apart = anchors[index, 1]
            at = last_block(base, len(data) - apart)
            candidates = mask_pair(
                data,
                at,
                np.uint8(anchors[index, 0]),
                apart,
                np.uint8(anchors[index, 2]),
                np.uint8(anchors[index, 3]),
            ) >> np.uint64(base - at)
            if candidates == 0:
                continue
            begins = anchors[index, 4]
            size = anchors[index, 5]
            mask = (np.uint64(1) << np.uint64(8 * size)) - np.uint64(1)
            line = row
            while candidates:
                place = base + first_bit(candidates)
                candidates &= candidates - np.uint64(1)
                window_at = place + begins
                if window_at < 0 or window_at + size > len(data):
                    continue
                loaded = min(window_at, limit)
                window = ((load_word(data, loaded) >> np.uint64(8 * (window_at - loaded))) | _FOLDED) & mask
                entry = slots[((window ^ (np.uint64(index) << np.uint64(32))) * _MULTIPLIER) >> np.uint64(52)]
                while entry >= 0:
                    if entries[entry, 2] == np.int64(window) and entries[entry, 1] == index:
                        begin = place - entries[entry, 3]
                        low = entries[entry, 4]
                        high = entries[entry, 5]
                        while line < ranges and ends[line] <= place:
                            line += 1
                        if (
                            line < ranges
                            and begin >= starts[line]
                            and begin + high - low <= ends[line]
                            and _matches(data, begin, spelled, low, high, folds[entry])
                        ):
                            counts[line, entries[entry, 6]] += 1
                    entry = entries[entry, 0]
        base += 64
    return counts
