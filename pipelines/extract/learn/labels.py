"""What share of each block is main text, by aligning a page's blocks with its gold text."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from numpy.typing import NDArray

from kernels.words import WORD, Words
from pipelines.extract.learn.gold import SHINGLE, GoldPage, plain, tokens
from pipelines.extract.page.text import Texts

SURE = 0.7
"""Share of a block's shingles in the gold text from which on the block's place in it is believed."""
REACH = 60
"""Words by which a short block may stand away from where its neighbours stand in the gold text."""


def block_tokens(found: Words) -> list[list[int]]:
    """Hashes of the words of each block."""
    return [
        found.hashes[low:high][found.kinds[low:high] == WORD].tolist()
        for low, high in zip(found.offsets[:-1].tolist(), found.offsets[1:].tolist(), strict=True)
    ]


def labels(page: GoldPage, texts: Texts, found: Words) -> NDArray[np.float32]:
    """Return each block's share of main text, -1 where it is not known."""
    blocks = block_tokens(found)
    if page.text is None:
        return _of_snippets(page, texts)
    gold = tokens(page.text)
    share = np.zeros(len(blocks), np.float32)
    if not gold:
        return share
    where: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for at in range(len(gold) - SHINGLE + 1):
        where[tuple(gold[at : at + SHINGLE])].append(at)
    place = np.full(len(blocks), -1)
    left = Counter({key: len(found_at) for key, found_at in where.items()})
    for b, block in enumerate(blocks):
        if len(block) < SHINGLE + 1:
            continue
        keys = [tuple(block[at : at + SHINGLE]) for at in range(len(block) - SHINGLE + 1)]
        hits = [key for key in keys if left[key] > 0]
        share[b] = len(hits) / len(keys)
        if share[b] >= SURE:
            left.subtract(keys)  # a text that stands twice on the page and once in the gold is main text once
            place[b] = int(np.median([where[key][0] for key in hits]))
        elif share[b] < 0.15:
            share[b] = 0
    # A short block that is a line of the gold, and stands on the page no more often than there, is main text.
    lines = Counter(tuple(tokens(line)) for line in page.text.split("\n") if line.strip())
    on_page = Counter(tuple(block) for block in blocks)
    for b, block in enumerate(blocks):
        key = tuple(block)
        if key and lines[key] >= on_page[key] > 0:
            share[b] = 1
    # A short block is main text where the gold has it between what its neighbours have there.
    starts: dict[int, list[int]] = defaultdict(list)
    for at, token in enumerate(gold):
        starts[token].append(at)
    before = _running(place, forward=True)
    after = _running(place, forward=False)
    used: set[int] = set()
    for b, block in enumerate(blocks):
        if not block or len(block) >= SHINGLE + 1 or share[b] == 1:
            continue
        low, high = before[b], after[b]
        if low < 0 and high < 0:
            low, high = 0, len(gold)
        elif low < 0:
            low = high - REACH
        elif high < 0 or high < low:
            high = low + 4 * REACH
        for at in starts.get(block[0], ()):
            inside = low - 3 <= at <= high + 3 and (at - low < 4 * REACH or high - at < REACH)
            if inside and at not in used and gold[at : at + len(block)] == block:
                share[b] = 1
                used.update(range(at, at + len(block)))
                break
    return share


def _running(place: NDArray[np.int64], *, forward: bool) -> NDArray[np.int64]:
    """For each block, the place of the nearest placed block before it (or after it), -1 where there is none."""
    result = np.full(len(place), -1)
    last = -1
    order = range(len(place)) if forward else range(len(place) - 1, -1, -1)
    for b in order:
        result[b] = last
        if place[b] >= 0:
            last = place[b]
    return result


def _of_snippets(page: GoldPage, texts: Texts) -> NDArray[np.float32]:
    whole, bounds = texts.batch.data.tobytes(), texts.batch.offsets
    count = len(bounds) - 1
    share = np.full(count, -1, np.float32)
    for b in range(count):
        text = plain(whole[bounds[b] : bounds[b + 1]].decode("utf-8", "replace"))
        if any(_same(text, one) for one in page.present):
            share[b] = 1
        elif any(_same(text, one) for one in page.absent):
            share[b] = 0
    return share


def _same(text: str, snippet: str) -> bool:
    snippet = plain(snippet)
    return snippet in text or (len(text) >= 12 and text in snippet)
