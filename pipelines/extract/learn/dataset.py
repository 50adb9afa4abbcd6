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
from pipelines.extract.page.features import Seen, seen
from pipelines.extract.page.parse import Page, parse
from pipelines.extract.page.tables import NAME_BUCKETS, WORD_BUCKETS, Tables, names_of, tag_buckets, text_bucket
from pipelines.extract.page.text import Texts, texts

SHRINK = 4.0
"""Pages that the prior of a table's bucket counts as."""
MOST_BLOCKS = 20_000

Shares = tuple[NDArray[np.int32], NDArray[np.float64]]


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
    names: Shares  # buckets of names, and the share of main text where they are
    spelled: Shares  # buckets of words

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
        share = labels(gold, inside, split)
        found.append(Example(gold, html, page, inside, split, share, count, *_shares(html, page, split, share, count)))
    return found


def folds(some: list[Example], count: int, seed: int) -> NDArray[np.int64]:
    """Give each example a fold; examples of one host have the same."""
    hosts = sorted({one.gold.host for one in some})
    order = np.random.default_rng(seed).permutation(len(hosts))
    fold = {host: int(order[k]) % count for k, host in enumerate(hosts)}
    return np.array([fold[one.gold.host] for one in some])


def tables(some: list[Example], stops: NDArray[np.uint64]) -> Tables:
    """Learn the log odds of names and words, each page counting once for each of them."""
    return Tables(
        _odds([one.names for one in some], NAME_BUCKETS), _odds([one.spelled for one in some], WORD_BUCKETS), stops
    )


def _shares(
    html: NDArray[np.uint8], page: Page, split: Words, share: NDArray[np.float32], count: NDArray[np.int32]
) -> tuple[Shares, Shares]:
    """What share of the blocks with a name, and of those with a word, is main text on a page."""
    names: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    spelled: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    offsets, buckets = names_of(html, page)
    of_tags = tag_buckets(page)
    inherited: list[frozenset[int]] = []
    for element, outer in enumerate(page.parent.tolist()):
        own = buckets[offsets[element] : offsets[element + 1]].tolist()
        above = inherited[outer] if outer >= 0 else frozenset[int]()
        inherited.append(above.union(own) if own else above)
    for b in np.flatnonzero(share >= 0).tolist():
        weight = 1.0 + float(count[b])
        part = float(share[b])
        element = int(page.run_element[page.block_run[b]])
        for bucket in inherited[element].union(of_tags[b].tolist()):
            pair = names[bucket]
            pair[0] += weight * part
            pair[1] += weight
        low, high = int(split.offsets[b]), int(split.offsets[b + 1])
        hashes = split.hashes[low:high][split.kinds[low:high] == WORD]
        some_words = set((hashes[:40] % np.uint64(WORD_BUCKETS)).tolist())
        if 0 < len(hashes) <= 6:
            some_words.add(text_bucket(hashes))
        for bucket in some_words:
            pair = spelled[bucket]
            pair[0] += part
            pair[1] += 1
    return _as_shares(names), _as_shares(spelled)


def _as_shares(found: dict[int, list[float]]) -> Shares:
    return np.array(list(found), np.int32), np.array([part / weight for part, weight in found.values()])


def _odds(found: list[Shares], size: int) -> NDArray[np.float32]:
    share, pages = np.zeros(size), np.zeros(size)
    for buckets, shares in found:
        share[buckets] += shares
        pages[buckets] += 1
    prior = share.sum() / max(1.0, pages.sum())
    p = (share + SHRINK * prior) / (pages + SHRINK)
    scores = np.log(p / (1 - p)) - np.log(prior / (1 - prior))
    return np.where(pages > 0, scores, 0).astype(np.float32)


def looked_at(some: list[Example], with_tables: Callable[[int], Tables]) -> list[Seen]:
    """Features of each example, with the tables that its number is given."""
    return [seen(one.html, one.page, one.texts, one.words, with_tables(k)) for k, one in enumerate(some)]
