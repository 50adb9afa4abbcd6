"""What can be counted of a block: of itself, its surroundings and its page."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.words import Words
from pipelines.extract.page.feature_names import FIRST, FLAGS
from pipelines.extract.page.own_features import count_blocks
from pipelines.extract.page.parse import Page
from pipelines.extract.page.surroundings import look_around
from pipelines.extract.page.tables import Tables
from pipelines.extract.page.text import Texts


class Seen(NamedTuple):
    """The features of a page's blocks, and what those in context are made from."""

    features: NDArray[np.float32]  # (blocks, len(FIRST))
    words: NDArray[np.int32]  # of each block
    container: NDArray[np.int32]  # (blocks, 4): elements around the block's own: parent and so on, -1 past the root
    similar: NDArray[np.int32]  # number of the group of blocks of the same make


def seen(html: NDArray[np.uint8], page: Page, texts: Texts, words: Words, tables: Tables) -> Seen:
    """Count everything that the first model sees."""
    features = np.zeros((len(page.block_element), len(FIRST)), np.float32)
    counts = count_blocks(html, page, texts, words, tables, features)
    container, similar = look_around(html, page, counts, np.array(FLAGS, np.int32), features)
    return Seen(features, counts.words, container, similar)
