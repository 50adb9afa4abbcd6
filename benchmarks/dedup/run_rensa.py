"""rensa: RMinHash of 112 permutations over 5-word shingles (words by white space) and its LSH of 14 bands.

rensa joins nothing by itself: a query names candidates, which are joined here as its own deduplicator does, where the
estimated similarity reaches 0.7.
"""

from __future__ import annotations

import answer
from rensa import RMinHash, RMinHashLSH


def cluster(texts: list[str]) -> list[int]:
    found = answer.Union(len(texts))
    index = RMinHashLSH(0.7, 112, 14)
    signatures = []
    for number, text in enumerate(texts):
        words = text.lower().split()
        signature = RMinHash(112, 0)
        signature.update([" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))])
        for other in index.query(signature):
            if signature.jaccard(signatures[other]) >= 0.7:
                found.union(number, other)
        index.insert(number, signature)
        signatures.append(signature)
    return [found.find(number) for number in range(len(texts))]


answer.run(cluster)
