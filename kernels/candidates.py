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
_STREET_BYTES: Final = 72
_STREET_WORDS: Final = 7
_HASHES: Final = 4096
_LETTERS: Final = 26


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
    lengths = np.zeros(_LETTERS * _LETTERS, np.uint8)
    for country, length in iban_lengths.items():
        lengths[(ord(country[0]) - 65) * _LETTERS + ord(country[1]) - 65] = length
    starts = np.zeros(1 << 16, np.bool_)
    for start in key_starts:
        starts[ord(start[0]) << 8 | ord(start[1])] = True
    words = np.zeros(_HASHES, np.bool_)
    for word in street_words:
        state = 0
        for byte in word.encode():
            state = (state * 31 + byte) & 0xFFFFFFFF
        words[state % _HASHES] = True
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


@njit(cache=True, nogil=True, inline="always")
def _is_digit(byte) -> Any:
    return 48 <= byte <= 57


@njit(cache=True, nogil=True, inline="always")
def _is_letter(byte) -> Any:
    return 97 <= (byte | 32) <= 122


@njit(cache=True, nogil=True, inline="always")
def _is_word(byte) -> Any:
    return _is_digit(byte) or _is_letter(byte) or byte == 95


@njit(cache=True, nogil=True)
def _separators(data, at, end) -> Any:
    """Bytes of the separators from ``at`` to the next digit, and whether it is one point; 0 where there is no group.

    One of space, hyphen, point, slash, no-break and thin space, Unicode's hyphens and dashes; two if one is a
    parenthesis.
    """
    at_first = at
    count = 0
    brackets = 0
    while at < end and count < 3:
        byte = data[at]
        if byte in (32, 45, 46, 47):
            at += 1
        elif byte in (40, 41):
            at += 1
            brackets += 1
        elif byte == 0xC2 and at + 1 < end and data[at + 1] == 0xA0:
            at += 2
        elif (
            byte == 0xE2
            and at + 2 < end
            and data[at + 1] == 0x80
            and (data[at + 2] in (0x89, 0xAF) or 0x90 <= data[at + 2] <= 0x93)
        ):
            at += 3
        else:
            break
        count += 1
    if count == 0 or at >= end or not _is_digit(data[at]) or count > 1 + brackets:
        return 0, False
    return at - at_first, count == 1 and data[at_first] == 46


@njit(cache=True, nogil=True)
def _iban_end(data, start, end, lengths) -> Any:
    """End of the IBAN that begins here; 0 where none does."""
    first, second = (data[start] | 32) - 97, (data[start + 1] | 32) - 97
    length = lengths[first * _LETTERS + second]
    if length == 0 or not (_is_digit(data[start + 2]) and _is_digit(data[start + 3])):
        return 0
    at = start
    count = 0
    spaced = False
    head = np.int64(0)  # the first four characters as digits, which the checksum wants behind the others
    scale = np.int64(1)
    rest = np.int64(0)
    while at < end and count < length:
        byte = data[at]
        if byte == 32 and count % 4 == 0 and count > 0 and (spaced or count == 4):
            spaced = True
            at += 1
            continue
        if spaced and count % 4 == 0 and count > 4 and data[at - 1] != 32:
            return 0
        if _is_digit(byte):
            value, width = np.int64(byte - 48), np.int64(10)
        elif _is_letter(byte):
            value, width = np.int64((byte | 32) - 87), np.int64(100)
        else:
            return 0
        if count < 4:
            head = head * width + value
            scale *= width
        else:
            rest = (rest * width + value) % 97
        count += 1
        at += 1
    if count < length or (at < end and _is_word(data[at])):
        return 0
    return at if (rest * (scale % 97) + head) % 97 == 1 else 0


@njit(cache=True, nogil=True)
def _street(data, at, end, words) -> Any:
    """Whether a word for streets is among the next, or a postal code is next (``12, 10115 Berlin``)."""
    place = at
    if place < end and _is_letter(data[place]) and (place + 1 == end or not _is_word(data[place + 1])):
        place += 1  # 12a
    gap = place
    while gap < end and gap < place + 4 and data[gap] in (32, 44, 10, 45):
        gap += 1
    if place < gap < end:
        code = gap
        while code < end and code < gap + 3 and (65 <= data[code] <= 90 or data[code] == 45):
            code += 1
        first = code
        digits = 0
        while code < end and code < first + 7 and (_is_digit(data[code]) or data[code] in (32, 45)):
            digits += _is_digit(data[code])
            code += 1
        if 4 <= digits <= 5 and code < end and data[code - 1] == 32 and data[first] not in (32, 45):
            return True
    if at >= end or data[at] not in (32, 44):
        return False
    last = min(end, at + _STREET_BYTES)
    seen = 0
    state = np.uint32(0)
    size = 0
    for k in range(at, last + 1):
        byte = data[k] if k < last else 32
        if _is_letter(byte) or byte >= 128:
            state = np.uint32(state * np.uint32(31) + np.uint32(byte | 32 if byte < 128 else byte))
            size += 1
            continue
        if size:
            if words[state % np.uint32(_HASHES)]:
                return True
            seen += 1
            if seen == _STREET_WORDS:
                return False
        if byte in (10, 33, 63, 59):  # the end of a line or a sentence
            return False
        state = np.uint32(0)
        size = 0
    return False


@njit(cache=True, nogil=True)
def _is_date(sizes, heads, groups) -> Any:
    """Whether groups have the sizes of a date, with an hour behind it or not, or of two years; a year begins 1 or 2."""
    if groups == 2:
        return sizes[0] == 4 and sizes[1] == 4 and heads[0] in (49, 50) and heads[1] in (49, 50)
    if groups in (3, 4):
        early = sizes[0] == 4 and sizes[1] <= 2 and sizes[2] <= 2 and heads[0] in (49, 50)
        late = sizes[0] <= 2 and sizes[1] <= 2 and sizes[2] == 4 and heads[2] in (49, 50)
        return (early or late) and (groups == 3 or sizes[3] <= 2)
    return False


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
                    and (_is_word(data[p - 1]) or data[p - 1] in (37, 43, 45) or data[p - 1] > 127)
                ):
                    k = p + 1
                    while k < end and k < p + 66 and (_is_word(data[k]) or data[k] == 45 or data[k] > 127):
                        k += 1
                    if p + 1 < k < end and data[k] == 46:
                        kinds[found], starts[found], ends[found] = AT, p, p + 1
                        found += 1
                rows[before:found] = row
                continue
            # The token: p is its first digit.
            first = p
            while first > low and first > token_free and _is_word(data[first - 1]):
                first -= 1
            last = p
            digits = 0
            upper = lower = under = False
            hexadecimal = base58 = True
            while last < end and _is_word(data[last]):
                byte = data[last]
                digits += _is_digit(byte)
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
                while head > low and head > chain_free and (_is_word(data[head - 1]) or data[head - 1] == 45):
                    head -= 1
                while head < first and data[head] == 45:
                    head += 1
                if head - 3 >= low and data[head - 1] == 46 and data[head - 2] == 71 and data[head - 3] == 83:
                    head -= 3  # "SG.", as SendGrid's begin: a point ends a chain
                tail = last
                while tail < end and (_is_word(data[tail]) or data[tail] == 45):
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
                lettered = digits == size - 1 and size <= 5 and _is_letter(data[last - 1])  # 12a
                if lettered and _street(data, last, end, street_words):
                    kinds[found], starts[found], ends[found] = STREET, first, last
                    found += 1
                if (
                    not under
                    and size >= 4
                    and first + 4 < end
                    and _is_letter(data[first])
                    and _is_letter(data[first + 1])
                    and (15 <= size <= 34 or (size == 4 and data[last] == 32))
                ):
                    stop = _iban_end(data, first, end, lengths)
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
            if first >= number_free and not (previous > 64 and _is_word(previous)):
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
                    gap, point = _separators(data, stop, end)
                    if not gap:
                        break
                    k = stop + gap
                    while k < end and _is_digit(data[k]):
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
                if total >= 7 and not (groups == 1 and total > 19) and (plus or not _is_date(sizes, heads, groups)):
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
            if size <= 6 and last < end and _street(data, last, end, street_words):
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
