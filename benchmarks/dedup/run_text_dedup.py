"""text-dedup: its signatures of 14 x 8 over 5-grams, its buckets and its union-find; nothing is verified.

Its command reads and writes Hugging Face data sets; what runs here is the function that it maps over one, and the loop
that follows (`text_dedup/minhash.py`).
"""

from __future__ import annotations

from collections import defaultdict

import answer
import numpy as np
from text_dedup.minhash import RNG, SIGNATURE_COLUMN, embed_func
from text_dedup.utils import UnionFind, sha1_hash

PRIME = np.uint64((1 << 61) - 1)
RANGES = [(i * 8, (i + 1) * 8) for i in range(14)]
PERMUTATIONS = (
    RNG.randint(1, PRIME, size=(112,), dtype=np.uint64),
    RNG.randint(0, PRIME, size=(112,), dtype=np.uint64),
)


def cluster(texts: list[str]) -> list[int]:
    tables: list[dict[bytes, set[int]]] = [defaultdict(set) for _ in RANGES]
    for number, text in enumerate(texts):
        made = embed_func(
            text,
            number,
            num_perm=112,
            ngram_size=5,
            min_length=5,
            hashranges=RANGES,
            permutations=PERMUTATIONS,
            hash_func=lambda data: sha1_hash(data, d=32),
            dtype=np.uint64,
            max_hash=np.uint32((1 << 32) - 1),
            modulo_prime=PRIME,
        )
        for table, value in zip(tables, made[SIGNATURE_COLUMN], strict=True):
            table[value].add(number)
    found = UnionFind()
    for table in tables:
        for bucket in table.values():
            for number in bucket:
                found.union(number, min(bucket))
    return [found.find(number) for number in range(len(texts))]


answer.run(cluster)
