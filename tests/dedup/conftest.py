"""Real text for the tests: the language reference that Python carries, cut into paragraphs and documents."""

from __future__ import annotations

import random
from collections.abc import Callable
from pydoc_data.topics import topics

import pyarrow as pa
import pytest


@pytest.fixture(scope="session")
def pages() -> list[str]:
    """Distinct pages of the Python language reference, 1 kB or more each, in a fixed order."""
    return sorted({page for page in topics.values() if len(page) > 1000}, key=lambda page: (len(page), page))


@pytest.fixture(scope="session")
def vocabulary(pages: list[str]) -> list[str]:
    return sorted({word.lower() for page in pages for word in page.split() if word.isalpha()})


@pytest.fixture(scope="session")
def planted(vocabulary: list[str]) -> Callable[[float, int, int, int], list[tuple[str, str]]]:
    """Pairs of texts of real words whose sets of 5-word shingles have a given Jaccard similarity.

    The shared part of `shared` words has shared - 4 shingles; each text goes on with `own` words of its own, which add
    `own` shingles each, so that J = (shared - 4) / (shared - 4 + 2 own). Words are drawn so that no 5-gram repeats by
    chance (1 in 10^14).
    """

    def make(similarity: float, shingles: int, count: int, seed: int) -> list[tuple[str, str]]:
        rng = random.Random(seed)
        own = round(shingles * (1 - similarity) / 2)
        shared = shingles - 2 * own + 4
        pairs = []
        for _ in range(count):
            common = rng.choices(vocabulary, k=shared)
            left, right = (" ".join(common + rng.choices(vocabulary, k=own)) for _ in range(2))
            pairs.append((left, right))
        return pairs

    return make


@pytest.fixture(scope="session")
def table() -> Callable[..., pa.Table]:
    def make(texts: list[str], ids: list[str] | None = None, quality: list[float | None] | None = None) -> pa.Table:
        names = ids or [f"d{i:05d}" for i in range(len(texts))]
        columns = {"id": pa.array(names), "text": pa.array(texts, pa.large_string())}
        if quality is not None:
            columns["quality"] = pa.array(quality, pa.float64())
        return pa.table(columns)

    return make


@pytest.fixture
def documents(pages: list[str], table: Callable[..., pa.Table]) -> pa.Table:
    return table([" ".join(page.split()) for page in pages[:30]], [f"page-{i}" for i in range(30)])
