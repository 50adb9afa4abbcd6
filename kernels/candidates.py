"""Where in a batch of texts a number, an address or a key may stand: one walk from digit to digit and from @ to @.

Prose has few of either, so sixty-four bytes that have none cost a comparison. Around each digit the walk reads the
token (letters, digits, underscores), the run of groups of digits that it begins (``415-555-2671``) and the chain
(tokens and hyphens); each byte belongs to one of each, so that the walk is linear on any text. What can be told from
the bytes is told here: the checksum of an IBAN, the four groups of an IPv4 address, dates, which are no
telephone numbers.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import at_least_a_block, bits_below, first_bit, last_block, mask_between, mask_equal
from kernels.candidate_forms import (
    HASHES,
    LETTERS,
    iban_end,
    is_date,
    is_digit,
    is_letter,
    is_word,
    separators,
    street,
)
from kernels.strings import TextBatch

__all__ = [
    "AT", "BASE58", "BECH32", "HEX_ADDRESS", "IBAN", "ID_TOKEN", "IPV4", "IPV6", "KEY", "NUMBER", "SPACED_ID",
    "STREET", "Candidates", "Tables", "candidates", "character_positions", "tables",
]  # fmt: skip

AT: Final = 1
"""An @ between two characters that an address can have; start is its place."""
NUMBER: Final = 2
"""Groups of digits, at least 7 in all, with single separators; start may be + or (."""
IPV4: Final = 3
"""Four groups of at most three digits, joined by points."""
IPV6: Final = 4
"""Start of a token with colons that can be a global IPv6 address."""
IBAN: Final = 5
"""A country's length and a right checksum, in one or in groups of four."""
BASE58: Final = 6
"""A token of 25 to 52 characters of base58, upper and lower case and digits."""
BECH32: Final = 7
"""A token that begins as an address in bech32."""
HEX_ADDRESS: Final = 8
"""0x and 40 hexadecimal digits."""
ID_TOKEN: Final = 9
"""A token of 8 to 18 letters and digits, at least 6 of them digits."""
SPACED_ID: Final = 10
"""Three groups of two digits between two letters and one."""
KEY: Final = 11
"""A chain of at least 16 characters that begins as a key does."""
STREET: Final = 12
"""A house number with a word for streets behind it, or with a postal code."""

_MOST_GROUPS: Final = 16


class Tables(NamedTuple):
    """What the walk looks up."""

    iban_lengths: NDArray[np.uint8]  # by two letters, 0 where no country has them
    key_starts: NDArray[np.bool_]  # by two bytes
    street_words: NDArray[np.bool_]  # by hash; another word may share it


class Candidates(NamedTuple):
    """Places in the order of their row; positions are those of ``TextBatch.data``."""

    rows: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def tables(iban_lengths: dict[str, int], key_starts: Iterable[str], street_words: Iterable[str]) -> Tables:
    """Make the tables.

    Args:
        iban_lengths: by country, two capital letters.
        key_starts: two ASCII characters each.
        street_words: lower case; letters beyond ASCII as they are written.
    """
    lengths = np.zeros(LETTERS * LETTERS, np.uint8)
    for country, length in iban_lengths.items():
        lengths[(ord(country[0]) - 65) * LETTERS + ord(country[1]) - 65] = length
    starts = np.zeros(1 << 16, np.bool_)
    for start in key_starts:
        starts[ord(start[0]) << 8 | ord(start[1])] = True
    words = np.zeros(HASHES, np.bool_)
    for word in street_words:
        state = 0
        for byte in word.encode():
            state = (state * 31 + byte) & 0xFFFFFFFF
        words[state % HASHES] = True
    return Tables(lengths, starts, words)


def candidates(batch: TextBatch, looked_up: Tables) -> Candidates:
    """Find the places."""
    return Candidates(*_walk(at_least_a_block(batch.data), batch.offsets, *looked_up))


def character_positions(
    data: NDArray[np.uint8], start: int, end: int, places: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int]:
    """Turn rising positions of bytes of one text into positions of code points.

    Returns:
        Those, and the number of code points from ``start`` to ``end``: bytes that are not UTF-8 are not counted as
        Python counts them, and the number then differs from Python's.
    """
    return _characters(data, start, end, places)


@njit(cache=True, nogil=True)
def _characters(data, start, end, places) -> Any:
    found = np.empty(len(places), np.int64)
    count = 0
    k = 0
    for at in range(start, end):
        while k < len(places) and places[k] <= at:
            found[k] = count
            k += 1
        count += (data[at] & 0xC0) != 0x80
    while k < len(places):
        found[k] = count
        k += 1
    return found, count


@njit(cache=True, nogil=True)
def _walk(data, offsets, lengths, key_starts, street_words) -> Any:
    room = 256
    rows, kinds = np.empty(room, np.int64), np.empty(room, np.uint8)
    starts, ends = np.empty(room, np.int64), np.empty(room, np.int64)
    found = 0
    sizes, heads = np.zeros(_MOST_GROUPS, np.int64), np.zeros(_MOST_GROUPS, np.uint8)  # of a run's groups
    row = 0
    token_free = chain_free = number_free = np.int64(offsets[0])  # where the next of each may begin
    for base in range(offsets[0], offsets[-1], 64):
        at = last_block(base, len(data))
        wanted = mask_between(data, at, 48, 57) | mask_equal(data, at, 64)
        wanted = (wanted >> np.uint64(base - at)) & bits_below(offsets[-1] - base)
        while wanted:
            p = base + first_bit(wanted)
            wanted &= wanted - np.uint64(1)
            if p < token_free:
                continue
            while offsets[row + 1] <= p:
                row += 1
            low, end = offsets[row], offsets[row + 1]
            if found + 12 > room:  # no place gives more
                room *= 2
                old = rows, kinds, starts, ends
                rows, kinds = np.empty(room, np.int64), np.empty(room, np.uint8)
                starts, ends = np.empty(room, np.int64), np.empty(room, np.int64)
                rows[:found], kinds[:found], starts[:found], ends[:found] = (
                    old[0][:found],
                    old[1][:found],
                    old[2][:found],
                    old[3][:found],
                )
            before = found
            if data[p] == 64:
                if (
                    p > low
                    and p + 1 < end
                    and (is_word(data[p - 1]) or data[p - 1] in (37, 43, 45) or data[p - 1] > 127)
                ):
                    k = p + 1
                    while k < end and k < p + 66 and (is_word(data[k]) or data[k] == 45 or data[k] > 127):
                        k += 1
                    if p + 1 < k < end and data[k] == 46:
                        kinds[found], starts[found], ends[found] = AT, p, p + 1
                        found += 1
                rows[before:found] = row
                continue
            # The token: p is its first digit.
            first = p
            while first > low and first > token_free and is_word(data[first - 1]):
                first -= 1
            last = p
            digits = 0
            upper = lower = under = False
            hexadecimal = base58 = True
            while last < end and is_word(data[last]):
                byte = data[last]
                digits += is_digit(byte)
                last += 1
            token_free = last
            size = last - first
            mixed = digits < size
            if mixed and size <= 64:
                for k in range(first, last):
                    byte = data[k]
                    if 65 <= byte <= 90:
                        upper = True
                        hexadecimal &= byte <= 70
                        base58 &= byte not in (73, 79)
                    elif byte >= 97:
                        lower = True
                        hexadecimal &= byte <= 102 or k == first + 1
                        base58 &= byte != 108
                    elif byte == 95:
                        under = True
                    elif byte == 48:
                        base58 = False
            # The chain, at its first digit.
            if p >= chain_free:
                head = first
                while head > low and head > chain_free and (is_word(data[head - 1]) or data[head - 1] == 45):
                    head -= 1
                while head < first and data[head] == 45:
                    head += 1
                if head - 3 >= low and data[head - 1] == 46 and data[head - 2] == 71 and data[head - 3] == 83:
                    head -= 3  # "SG.", as SendGrid's begin: a point ends a chain
                tail = last
                while tail < end and (is_word(data[tail]) or data[tail] == 45):
                    tail += 1
                chain_free = tail
                if tail - head >= 16 and key_starts[np.int64(data[head]) << 8 | np.int64(data[head + 1])]:
                    kinds[found], starts[found], ends[found] = KEY, head, tail
                    found += 1
            previous = data[first - 1] if first > low else np.uint8(32)
            if size == 4 and data[first] in (50, 51) and last + 1 < end and data[last] == 58:
                if previous not in (46, 58):
                    kinds[found], starts[found], ends[found] = IPV6, first, last
                    found += 1
            elif previous == 58 and first - 7 >= low and (data[first - 3] | 32) == 102:  # ::ffff:8.8.8.8
                kinds[found], starts[found], ends[found] = IPV6, first - 7, last
                found += 1
            if mixed:
                lettered = digits == size - 1 and size <= 5 and is_letter(data[last - 1])  # 12a
                if lettered and street(data, last, end, street_words):
                    kinds[found], starts[found], ends[found] = STREET, first, last
                    found += 1
                if (
                    not under
                    and size >= 4
                    and first + 4 < end
                    and is_letter(data[first])
                    and is_letter(data[first + 1])
                    and (15 <= size <= 34 or (size == 4 and data[last] == 32))
                ):
                    stop = iban_end(data, first, end, lengths)
                    if stop:
                        kinds[found], starts[found], ends[found] = IBAN, first, stop
                        found += 1
                        token_free = max(token_free, stop)
                        number_free = max(number_free, stop)
                if not under and size <= 64:
                    kind = 0
                    if size == 42 and hexadecimal and data[first] == 48 and data[first + 1] in (88, 120):
                        kind = HEX_ADDRESS
                    elif 25 <= size <= 52 and base58 and upper and lower:
                        kind = BASE58
                    elif 8 <= size <= 18 and digits >= 6:
                        kind = ID_TOKEN
                    if kind:
                        kinds[found], starts[found], ends[found] = kind, first, last
                        found += 1
                if size >= 14 and not under and not (upper and lower):
                    a, b, c, d = data[first] | 32, data[first + 1] | 32, data[first + 2] | 32, data[first + 3] | 32
                    bitcoin = a == 98 and b == 99 and c == 49  # bc1
                    litecoin = a == 108 and b == 116 and c == 99 and d == 49  # ltc1
                    cardano = a == 97 and b == 100 and c == 100 and d == 114  # addr1
                    if bitcoin or litecoin or cardano:
                        kinds[found], starts[found], ends[found] = BECH32, first, last
                        found += 1
                rows[before:found] = row
                continue
            # A run of groups.
            if first >= number_free and not (previous > 64 and is_word(previous)):
                run = first
                while run > low and run > number_free and first - run < 2 and data[run - 1] in (40, 43):  # ( and +
                    run -= 1
                plus = run < first
                total = size
                sizes[0], heads[0] = size, data[first]
                groups = 1
                dotted = 1 if size <= 3 else -99
                quad = first
                stop = last
                while groups < _MOST_GROUPS:
                    gap, point = separators(data, stop, end)
                    if not gap:
                        break
                    k = stop + gap
                    while k < end and is_digit(data[k]):
                        k += 1
                    width = k - stop - gap
                    if point:
                        dotted = dotted + 1 if width <= 3 else -99
                    else:
                        if dotted == 4:
                            kinds[found], starts[found], ends[found] = IPV4, quad, stop
                            found += 1
                        quad = stop + gap
                        dotted = 1 if width <= 3 else -99
                    sizes[groups], heads[groups] = width, data[stop + gap]
                    groups += 1
                    total += width
                    stop = k
                if dotted == 4:
                    kinds[found], starts[found], ends[found] = IPV4, quad, stop
                    found += 1
                number_free = stop
                if total >= 7 and not (groups == 1 and total > 19) and (plus or not is_date(sizes, heads, groups)):
                    kinds[found], starts[found], ends[found] = NUMBER, run, stop
                    found += 1
                elif (
                    total == 6
                    and groups == 3
                    and sizes[0] == 2
                    and sizes[1] == 2
                    and first - 3 >= low
                    and previous == 32
                    and 65 <= data[first - 2] <= 90
                    and 65 <= data[first - 3] <= 90
                ):
                    kinds[found], starts[found], ends[found] = SPACED_ID, first - 3, stop
                    found += 1
            if size <= 6 and last < end and street(data, last, end, street_words):
                kinds[found], starts[found], ends[found] = STREET, first, last
                found += 1
            if (
                8 <= size <= 10
                and last + 2 < end
                and data[last] == 58
                and data[last + 1] == 65
                and data[last + 2] == 65
            ):
                kinds[found], starts[found], ends[found] = KEY, first, last
                found += 1
            rows[before:found] = row
    return rows[:found], kinds[:found], starts[:found], ends[:found]
