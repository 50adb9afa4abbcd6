"""Which pages a corpus of a size holds: the same share of every origin, and a smaller corpus is in every larger one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import xxhash


@dataclass(frozen=True)
class Chosen:
    """A page of the corpus: its origin, and its row there."""

    origin: str
    row: int
    digest: str


def choose(origins: Mapping[str, Sequence[str]], pages: int, seed: int = 0) -> list[Chosen]:
    """Choose pages: first one of each origin, then a second one of each, and so on; origins run out at their ends.

    Args:
        origins: digests of the pages of each origin.
        pages: how many to choose.
        seed: of the order of pages within an origin and of origins within a round.

    Raises:
        ValueError: there are fewer distinct pages.
    """
    salt = seed.to_bytes(8, "little")
    order: list[tuple[int, str, str, int]] = []
    seen: set[str] = set()
    for origin, digests in sorted(origins.items()):
        keyed = sorted((xxhash.xxh3_64_hexdigest(salt + digest.encode()), row) for row, digest in enumerate(digests))
        place = 0
        for key, row in keyed:
            if digests[row] not in seen:  # a page that two origins have counts for the first
                seen.add(digests[row])
                order.append((place, key, origin, row))
                place += 1
    if len(order) < pages:
        raise ValueError(f"{pages} pages were asked for, and there are {len(order)} distinct ones")
    return [Chosen(origin, row, origins[origin][row]) for _, _, origin, row in sorted(order)[:pages]]
