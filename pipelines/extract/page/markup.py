"""Reading markup: where tags, comments and raw elements end, attributes, and what some of them say."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from pipelines.extract.page.names import ATTRIBUTE, FNV_OFFSET, FNV_PRIME

_OFFSET, _PRIME = np.uint64(FNV_OFFSET), np.uint64(FNV_PRIME)
_CLASS, _ALT, _SRC = ATTRIBUTE["class"], ATTRIBUTE["alt"], ATTRIBUTE["src"]
_ONES, _HIGHS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)


@njit(cache=True, nogil=True, inline="always")
def is_space(byte) -> Any:
    """Whether a byte is ASCII whitespace as HTML has it."""
    return byte == 32 or (9 <= byte <= 13 and byte != 11)


@njit(cache=True, nogil=True)
def number_of(table, key) -> Any:
    """Look a name's hash up; -1 where it is not known."""
    size = np.uint64(len(table.keys) - 1)
    slot = key & size
    while table.values[slot] >= 0:
        if table.keys[slot] == key:
            return np.int64(table.values[slot])
        slot = (slot + np.uint64(1)) & size
    return np.int64(-1)


@njit(cache=True, nogil=True)
def key_of(html, low, high) -> Any:
    """Hash bytes as they are."""
    state = _OFFSET
    for at in range(low, high):
        state = (state ^ np.uint64(html[at])) * _PRIME
    return state


@njit(cache=True, nogil=True)
def folded_key_of(html, low, high) -> Any:
    """Hash bytes with ASCII capitals as small letters."""
    state = _OFFSET
    for at in range(low, high):
        byte = html[at]
        if 65 <= byte <= 90:
            byte += np.uint8(32)
        state = (state ^ np.uint64(byte)) * _PRIME
    return state


@njit(cache=True, nogil=True)
def seek(html, words, at, n, byte) -> Any:
    """Return where a byte stands next, n where it does not.

    `words` are the same bytes, eight in one: a byte of a word is 0 where taking 1 from each sets a highest bit that the
    word did not have (Mycroft's test). Scripts, comments and long values are most of a page.
    """
    while at < n and at & 7:
        if html[at] == byte:
            return at
        at += 1
    same = np.uint64(byte) * _ONES
    word, last = at >> 3, n >> 3
    while word < last:
        other = words[word] ^ same
        if (other - _ONES) & ~other & _HIGHS:
            break
        word += 1
    at = max(at, word << 3)
    while at < n and html[at] != byte:
        at += 1
    return at


@njit(cache=True, nogil=True)
def comment_end(html, words, at, n) -> Any:
    """Return where the comment that begins at `at` ("<!--") ends."""
    j = at + 4
    if j < n and html[j] == 62:  # <!-->
        return j + 1
    if j + 1 < n and html[j] == 45 and html[j + 1] == 62:  # <!--->
        return j + 2
    while True:
        j = seek(html, words, j, n, 62)
        if j >= n:
            return n
        if j - at >= 6 and html[j - 1] == 45 and html[j - 2] == 45:  # -->
            return j + 1
        if j - at >= 7 and html[j - 1] == 33 and html[j - 2] == 45 and html[j - 3] == 45:  # --!>
            return j + 1
        j += 1


@njit(cache=True, nogil=True)
def raw_end(html, words, at, n, name_low, name_high) -> Any:
    """Return where the end tag begins that closes a raw element of this name; n where there is none."""
    length = name_high - name_low
    j = seek(html, words, at, n, 60)
    while j + 2 + length <= n:
        if html[j + 1] == 47:
            same = True
            for k in range(length):
                if (html[j + 2 + k] | 32) != (html[name_low + k] | 32):
                    same = False
                    break
            if same:
                after = j + 2 + length
                if after >= n or is_space(html[after]) or html[after] == 62 or html[after] == 47:
                    return j
        j = seek(html, words, j + 1, n, 60)
    return n


@njit(cache=True, nogil=True)
def tag_end(html, words, at, n) -> Any:
    """Return the position after the ">" of a tag whose name ends at `at`, past quoted values."""
    j = at
    while j < n and html[j] != 62:
        if html[j] == 61:  # =
            j += 1
            while j < n and is_space(html[j]):
                j += 1
            if j < n and (html[j] == 34 or html[j] == 39):
                quote = html[j]
                j += 1
                j = seek(html, words, j, n, quote)
                j += 1
        else:
            j += 1
    return min(n, j + 1)


@njit(cache=True, nogil=True)
def read_attributes(html, words, at, n, names, count, attr_name, attr_low, attr_high) -> Any:
    """Read the attributes of a tag whose name ends at `at`; known ones are noted.

    Of a name that a tag has twice the first counts (HTML, 13.2.5.33): a tag with a million classes has one.

    Returns the number of noted attributes, the position after the tag, and whether it closes itself.
    """
    j = at
    closed = False
    noted = np.uint64(0)  # a bit for each name
    while j < n:
        while j < n and (is_space(html[j]) or html[j] == 47):
            closed = html[j] == 47
            j += 1
        if j >= n:
            return count, n, closed
        if html[j] == 62:
            return count, j + 1, closed
        closed = False
        low = j
        j += 1  # a "=" may begin a name
        while j < n and not (is_space(html[j]) or html[j] == 61 or html[j] == 62 or html[j] == 47):
            j += 1
        high = j
        while j < n and is_space(html[j]):
            j += 1
        value_low = value_high = j
        if j < n and html[j] == 61:
            j += 1
            while j < n and is_space(html[j]):
                j += 1
            if j < n and (html[j] == 34 or html[j] == 39):
                quote = html[j]
                j += 1
                value_low = j
                j = seek(html, words, j, n, quote)
                value_high = j
                j += 1
            else:
                value_low = j
                while j < n and not is_space(html[j]) and html[j] != 62:
                    j += 1
                value_high = j
        if high - low <= 12 and count < len(attr_name):
            found = number_of(names.attributes, folded_key_of(html, low, high))
            if found > 0 and not noted >> np.uint64(found) & np.uint64(1):
                noted |= np.uint64(1) << np.uint64(found)
                attr_name[count] = found
                attr_low[count] = value_low
                attr_high[count] = min(value_high, n)
                count += 1
    return count, n, closed


@njit(cache=True, nogil=True)
def contains(html, low, high, word) -> Any:
    """Whether a value contains an ASCII word in small letters."""
    length = len(word)
    for at in range(low, high - length + 1):
        k = 0
        while k < length:
            byte = html[at + k]
            if 65 <= byte <= 90:
                byte += np.uint8(32)
            if byte != word[k]:
                break
            k += 1
        if k == length:
            return True
    return False


@njit(cache=True, nogil=True)
def hidden_style(html, low, high, none, hidden) -> Any:
    """Whether a style says display:none or visibility:hidden; spaces apart."""
    for at in range(low, high):
        if html[at] != 58:  # :
            continue
        j = at + 1
        while j < high and is_space(html[j]):
            j += 1
        before = at
        while before > low and is_space(html[before - 1]):
            before -= 1
        last = html[before - 1] | 32 if before > low else 0
        if last == 121 and (  # displa-y, visibilit-y
            contains(html, j, min(high, j + 4), none) or contains(html, j, min(high, j + 6), hidden)
        ):
            return True
    return False


@njit(cache=True, nogil=True)
def says_drawn(html, low, high, names) -> Any:
    """Whether a class says that this was drawn from a formula."""
    at = low
    while at < high:
        while at < high and is_space(html[at]):
            at += 1
        start = at
        while at < high and not is_space(html[at]):
            at += 1
        # Most classes are told apart by their first letter, of "katex" and "MathJax".
        likely = at > start and (html[start] == 107 or html[start] == 77)
        if likely and number_of(names.drawn, key_of(html, start, at)) > 0:
            return True
    return False


@njit(cache=True, nogil=True)
def has_class(html, low, high, word) -> Any:
    """Whether a class attribute has a class of this name."""
    length = len(word)
    for at in range(low, high - length + 1):
        whole = (at == low or is_space(html[at - 1])) and (at + length == high or is_space(html[at + length]))
        if whole and contains(html, at, at + length, word):
            return True
    return False


@njit(cache=True, nogil=True)
def alt_of_formula(html, element_low, element_high, attr_name, attr_low, attr_high, words) -> Any:
    """Number of the alt attribute of an image that shows a formula, -1 for other images.

    Classes tex, latex, mwe-math*; sources latex.php, codecogs.com, tex.cgi (OpenWebMath, 2310.06786, section 3.1);
    class math, as Sphinx's imgmath has it.
    """
    alt, shows = -1, False
    for k in range(element_low, element_high):
        low, high = attr_low[k], attr_high[k]
        if attr_name[k] == _ALT:
            alt = k
        elif attr_name[k] == _CLASS:
            if contains(html, low, high, words[0]):
                shows = True
            for word in (words[1], words[2], words[7]):
                shows |= has_class(html, low, high, word)
        elif attr_name[k] == _SRC and not contains(html, low, min(high, low + 5), words[6]):
            far = min(high, low + 500)
            shows |= (
                contains(html, low, far, words[3])
                or contains(html, low, far, words[4])
                or contains(html, low, far, words[5])
            )
    return alt if shows and alt >= 0 and attr_high[alt] > attr_low[alt] else -1
