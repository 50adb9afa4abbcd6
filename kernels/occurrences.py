"""Many fixed phrases at once: how often the phrases of each group occur in ranges of bytes.

Every phrase is looked for by two neighbours of its bytes that are rare in texts (its *anchor*; of a phrase of one byte,
that byte and any behind it). A table says of each pair of bytes whether it is one: the text is walked once, and the
places of anchors are written down without a branch to guess. There the up to four bytes around it are looked up among
those of the phrases, and only where they are found is a phrase compared. So hundreds of phrases cost little more than
one.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import at_least_a_block, load_word
from kernels.strings import TextBatch

__all__ = ["Finder", "PhraseGroup", "count_occurrences", "finder", "rarest_pair"]

# Signs that anchor a phrase alone: rare in prose, and what many phrases begin with where they do at all.
_SIGNS: Final = b"\\{#"
# Pairs of letters by their frequency in English; one that is not here is rarer still.
_FREQUENT: Final = """
th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri ro ic ne ea
ra ce li ch ll be ma si om ur ca el ta la ns di fo ho pe ec pr no ct us ac ot il tr ly nc et ut ss so rs un lo wa ge ie
wh ee wi em ad ol rt po we na ul ni ts mo ow pa im mi ai sh ir su id os iv ia am fi ci vi pl ig tu ev ld ry mp fe bl ab
gh ty op wo sa ay ex ke fr oo av ag if ap gr od bo sp rd do uc bu ei ov by rm ep tt oc fa ef cu rn sc gi da yo cr cl
""".split()  # noqa: SIM905
_RANKS: Final = {pair.encode(): number for number, pair in enumerate(_FREQUENT)}
_CASE: Final = 32  # the bit in which an ASCII letter's capital differs
_SLOT_BITS: Final = 14  # of 32 KiB: what is no phrase's window falls on a free slot nearly always
_STRETCH: Final = 4096  # bytes that are walked before their anchors are looked at
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_FOLDED: Final = np.uint64(0x20202020)
_U1: Final = np.uint64(1)
_U7: Final = np.uint64(7)
_U8: Final = np.uint64(8)
_U32: Final = np.uint64(32)
_U56: Final = np.uint64(56)
_PAIR: Final = np.uint64(0xFFFF)
_TO_SLOT: Final = np.uint64(64 - _SLOT_BITS)


class PhraseGroup(NamedTuple):
    """Phrases whose occurrences are counted together."""

    phrases: tuple[str, ...]
    fold: bool = False
    """Whether ASCII upper case in the text equals lower case; the phrases must be lower case then."""


class Finder(NamedTuple):
    """Groups of phrases, compiled."""

    anchors: NDArray[np.uint8]
    """1 for each pair of bytes that is an anchor, 0 for the others; numbered as ``pairs``."""
    pairs: NDArray[np.uint16]
    """Number of the anchor that each pair of bytes is (the first the lower one of 16 bits); 0 where it is none."""
    windows: NDArray[np.int64]
    """(anchors, 2): where the bytes around an anchor begin, and how many are looked up; the first is no anchor's."""
    slots: NDArray[np.int16]
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
    alone = {phrase.lower() for phrase, _ in wanted if len(phrase) == 1} | {bytes([sign]) for sign in _SIGNS}
    by_anchor: dict[bytes, list[tuple[bytes, int, int, bool]]] = {}
    for phrase, number in wanted:
        anchor, place = _anchor(phrase, alone)
        by_anchor.setdefault(anchor, []).append((phrase, place, number, groups[number].fold))
    pairs = np.zeros(1 << 16, np.uint16)
    windows = [(0, 1)]
    entries: list[tuple[int, ...]] = []
    folds: list[bool] = []
    spelled = b""
    slots = np.full(1 << _SLOT_BITS, -1, np.int16)
    for index, (anchor, members) in enumerate(by_anchor.items(), 1):
        before = min(place for _, place, _, _ in members)
        after = min(len(phrase) - place for phrase, place, _, _ in members)
        before = min(before, max(1, 4 - after))
        size = min(4, before + after)
        windows.append((-before, size))
        for first in {anchor[:1], anchor[:1].upper()}:
            for second in {anchor[1:], anchor[1:].upper()} if len(anchor) == 2 else map(_byte, range(256)):
                pairs[first[0] | second[0] << 8] = index
        for phrase, place, group, fold in members:
            window = int.from_bytes(bytes(byte | _CASE for byte in phrase[place - before :][:size]), "little")
            slot = _slot(window, index)
            entry = (int(slots[slot]), index, window, place, len(spelled), len(spelled) + len(phrase), group)
            slots[slot] = len(entries)
            entries.append(entry)
            folds.append(fold)
            spelled += phrase
    found = Finder(
        (pairs > 0).astype(np.uint8),
        pairs,
        np.array(windows, np.int64),
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
    return max(range(max(1, len(phrase) - 1)), key=lambda place: (_rarity(phrase[place : place + 2]), place))


def _rarity(pair: bytes) -> int:
    """The higher the rarer; a space beside a letter is as frequent as a pair can be."""
    pair = pair.lower()
    if b" " in pair and pair.strip().isalpha():
        return -1
    return _RANKS.get(pair, len(_RANKS))


def _byte(value: int) -> bytes:
    return bytes([value])


def _without_longer(phrases: list[bytes]) -> list[bytes]:
    """The phrases that end with no other: where one of those ends, the other does."""
    return [
        phrase
        for phrase in dict.fromkeys(phrases)
        if not any(phrase != other and phrase.endswith(other) for other in phrases)
    ]


def _anchor(phrase: bytes, alone: Collection[bytes]) -> tuple[bytes, int]:
    """The pair of bytes that a phrase is looked for by (letters in lower case), and its place in the phrase.

    It is one byte of ``alone`` where the phrase has a sign among them, and where its pairs all begin with one: a pair
    can be one anchor only.
    """
    phrase = phrase.lower()
    for sign in _SIGNS:
        if sign in phrase:
            return _byte(sign), phrase.index(sign)
    places = [place for place in range(len(phrase) - 1) if phrase[place : place + 1] not in alone]
    if not places:
        return phrase[:1], 0
    place = max(places, key=lambda place: (_rarity(phrase[place : place + 2]), place))
    return phrase[place : place + 2], place


def _slot(window: int, anchor: int) -> int:
    return ((window ^ (anchor << 32)) * int(_MULTIPLIER) % (1 << 64)) >> (64 - _SLOT_BITS)


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
def _anchored(data, low, high, anchors, places) -> Any:
    """Write down where the anchors between two bytes stand; how many they are."""
    found = np.uint64(0)
    last = np.uint64(min(high, len(data) - 1))
    at = np.uint64(low)
    # Eight at a time: their bytes are loaded once, and the first of the next eight.
    behind = np.uint64(max(min(high, len(data) - 1) - 8, low))
    while at < behind:
        eight = load_word(data, np.int64(at))
        for place in range(_U7):
            places[found] = at + place
            found += np.uint64(anchors[(eight >> (_U8 * place)) & _PAIR])
        places[found] = at + _U7
        found += np.uint64(anchors[(eight >> _U56) | (np.uint64(data[at + _U8]) << _U8)])
        at += _U8
    for place in range(at, last):
        places[found] = place
        found += np.uint64(anchors[np.uint64(data[place]) | (np.uint64(data[place + _U1]) << _U8)])
    if high == len(data):  # nothing stands behind the last byte: it is read as a NUL
        places[found] = last
        found += np.uint64(anchors[np.uint64(data[last])])
    return np.int64(found)


@njit(cache=True, nogil=True)
def _known_windows(data, places, anchors, pairs, windows, slots) -> Any:
    """Of the anchors those around which a phrase may stand; how many they are."""
    kept = np.uint64(0)
    limit = len(data) - 8
    for number in range(anchors):
        place = places[number]
        following = np.uint64(data[place + 1]) if place + 1 < len(data) else np.uint64(0)
        anchor = np.int64(pairs[np.uint64(data[place]) | (following << _U8)])
        at = place + windows[anchor, 0]
        size = windows[anchor, 1]
        loaded = min(max(at, 0), limit)
        window = ((load_word(data, loaded) >> np.uint64(8 * max(at - loaded, 0))) | _FOLDED) & (
            (_U1 << np.uint64(8 * size)) - _U1
        )
        entry = slots[((window ^ (np.uint64(anchor) << _U32)) * _MULTIPLIER) >> _TO_SLOT]
        places[kept] = place
        kept += np.uint64((entry >= 0) & (at >= 0) & (at + size <= len(data)))
    return np.int64(kept)


@njit(cache=True, nogil=True)
def _count(data, starts, ends, anchored, pairs, windows, slots, entries, folds, spelled, groups) -> Any:
    ranges = len(starts)
    counts = np.zeros((ranges, groups), np.int32)
    places = np.empty(_STRETCH + 1, np.int64)
    limit = len(data) - 8
    for row in range(ranges):
        for base in range(starts[row], ends[row], _STRETCH):
            anchors = _anchored(data, base, min(base + _STRETCH, ends[row]), anchored, places)
            for number in range(_known_windows(data, places, anchors, pairs, windows, slots)):
                place = places[number]
                following = np.uint64(data[place + 1]) if place + 1 < len(data) else np.uint64(0)
                anchor = np.int64(pairs[np.uint64(data[place]) | (following << _U8)])
                at = place + windows[anchor, 0]
                loaded = min(at, limit)
                mask = (_U1 << np.uint64(8 * windows[anchor, 1])) - _U1
                window = ((load_word(data, loaded) >> np.uint64(8 * (at - loaded))) | _FOLDED) & mask
                entry = np.int64(slots[((window ^ (np.uint64(anchor) << _U32)) * _MULTIPLIER) >> _TO_SLOT])
                while entry >= 0:
                    if entries[entry, 2] == np.int64(window) and entries[entry, 1] == anchor:
                        begin = place - entries[entry, 3]
                        low = entries[entry, 4]
                        high = entries[entry, 5]
                        if (
                            begin >= starts[row]
                            and begin + high - low <= ends[row]
                            and _matches(data, begin, spelled, low, high, folds[entry])
                        ):
                            counts[row, entries[entry, 6]] += 1
                    entry = entries[entry, 0]
    return counts
