"""Gold pages as arrays: what the models are trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels.words import WORD, Words, words
from pipelines.extract.encoding import decode_html
from pipelines.extract.extraction import ExtractionError
from pipelines.extract.learn.gold import GoldPage
from pipelines.extract.learn.labels import labels
from pipelines.extract.page.features import (
    NAME_BUCKETS,
    WORD_BUCKETS,
    Seen,
    Tables,
    names_of,
    seen,
    tag_buckets,
    text_bucket,
)
from pipelines.extract.page.parse import Page, parse
from pipelines.extract.page.text import Texts, texts

SHRINK = 4.0
"""Pages that the prior of a table's bucket counts as."""
MOST_BLOCKS = 5000


@dataclass(frozen=True)
class Example:
    """One page, parsed, with the labels of its blocks."""

    gold: GoldPage
    html: NDArray[np.uint8]
    page: Page
    texts: Texts
    words: Words
    share: NDArray[np.float32]  # of main text, by block; -1 unknown
    count: NDArray[np.int32]  # words, by block

    def text(self, keep: NDArray[np.bool_]) -> str:
        """The text of some blocks, a line each."""
        whole, bounds = self.texts.batch.data.tobytes(), self.texts.batch.offsets
        return "\n".join(whole[bounds[b] : bounds[b + 1]].decode("utf-8", "replace") for b in np.flatnonzero(keep))


def examples(pages: Iterable[GoldPage]) -> list[Example]:
    """Parse and label pages; pages without text, or of more than MOST_BLOCKS blocks, are left out."""
    found: list[Example] = []
    for gold in pages:
        try:
            text, _ = decode_html(gold.html)
        except ExtractionError:
            continue
        html = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
        page = parse(html)
        if not 0 < len(page.block_element) <= MOST_BLOCKS:
            continue
        inside = texts(html, page)
        split = words(inside.batch)
        of_word = np.cumsum(np.concatenate([[0], split.kinds == WORD]))
        count = np.diff(of_word[split.offsets]).astype(np.int32)
        found.append(Example(gold, html, page, inside, split, labels(gold, inside, split), count))
    return found


def folds(some: list[Example], count: int, seed: int) -> NDArray[np.int64]:
    """Give each example a fold; examples of one host have the same."""
    hosts = sorted({one.gold.host for one in some})
    order = np.random.default_rng(seed).permutation(len(hosts))
    fold = {host: int(order[k]) % count for k, host in enumerate(hosts)}
    return np.array([fold[one.gold.host] for one in some])


def tables(some: list[Example], stops: NDArray[np.uint64]) -> Tables:
    """Learn the log odds of names and words, each page counting once for each of them."""
    name_pages: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    word_pages: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for one in some:
        known = one.share >= 0
        names: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
        spelled: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
        offsets, buckets = names_of(one.html, one.page)
        of_tags = tag_buckets(one.page)
        for b in np.flatnonzero(known):
            weight = 1.0 + float(one.count[b])
            share = float(one.share[b])
            element = int(one.page.run_element[one.page.block_run[b]])
            seen_names: set[int] = set(of_tags[b].tolist())
            while element >= 0:
                seen_names.update(buckets[offsets[element] : offsets[element + 1]].tolist())
                element = int(one.page.parent[element])
            for bucket in seen_names:
                names[bucket][0] += weight * share
                names[bucket][1] += weight
            low, high = int(one.words.offsets[b]), int(one.words.offsets[b + 1])
            hashes = one.words.hashes[low:high][one.words.kinds[low:high] == WORD]
            some_words = {int(value) % WORD_BUCKETS for value in hashes[:40].tolist()}
            if 0 < len(hashes) <= 6:
                some_words.add(text_bucket(hashes))
            for bucket in some_words:
                spelled[bucket][0] += share
                spelled[bucket][1] += 1
        for bucket, (share, weight) in names.items():
            name_pages[bucket][0] += share / weight
            name_pages[bucket][1] += 1
        for bucket, (share, weight) in spelled.items():
            word_pages[bucket][0] += share / weight
            word_pages[bucket][1] += 1
    return Tables(_odds(name_pages, NAME_BUCKETS), _odds(word_pages, WORD_BUCKETS), stops)


def _odds(found: dict[int, list[float]], size: int) -> NDArray[np.float32]:
    total = sum(pages for _, pages in found.values())
    prior = sum(share for share, _ in found.values()) / max(1.0, total)
    scores = np.zeros(size, np.float32)
    for bucket, (share, pages) in found.items():
        p = (share + SHRINK * prior) / (pages + SHRINK)
        scores[bucket] = np.log(p / (1 - p)) - np.log(prior / (1 - prior))
    return scores


def looked_at(some: list[Example], with_tables: Callable[[int], Tables]) -> list[Seen]:
    """Features of each example, with the tables that its number is given."""
    return [seen(one.html, one.page, one.texts, one.words, with_tables(k)) for k, one in enumerate(some)]
