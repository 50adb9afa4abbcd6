"""rensa's MinHash of 112 permutations over 5-word shingles; words by white space, its quickest way."""

from __future__ import annotations

import timing
from rensa import RMinHash


def minhash(texts: list[str]) -> None:
    for text in texts:
        words = text.split()
        signature = RMinHash(112, 0)
        signature.update([" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))])
        signature.digest()


timing.run({"minhash": minhash})
