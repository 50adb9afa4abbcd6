"""datatrove: its signatures of 14 x 8 over 5-grams, joined as its clustering does; nothing is verified.

Its steps pass files; what runs here is the function that makes a signature, and the union of all that share a bucket,
which is what `MinhashDedupBuckets` and `MinhashDedupCluster` compute.
"""

from __future__ import annotations

from collections import defaultdict

import answer
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature

SIGNATURES = MinhashDedupSignature("signatures", config=MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8))


def cluster(texts: list[str]) -> list[int]:
    buckets: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, text in enumerate(texts):
        shingles = SIGNATURES.get_shingles(text)
        if len(shingles):
            for band, values in enumerate(SIGNATURES.get_signature(shingles)):
                buckets[(band, *values)].append(number)
    found = answer.Union(len(texts))
    for members in buckets.values():
        for number in members[1:]:
            found.union(number, members[0])
    return [found.find(number) for number in range(len(texts))]


answer.run(cluster)
