"""datatrove's filters as its FineWeb example configures them, and its MinHash signatures."""

from __future__ import annotations

import timing
from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.utils.text import split_into_parts

FILTERS = {
    "gopher": [GopherRepetitionFilter(), GopherQualityFilter()],
    "c4": [C4QualityFilter(filter_no_terminal_punct=False)],
    "fineweb": [FineWebQualityFilter()],
}
FILTERS["gopher + c4 + fineweb"] = [*FILTERS["gopher"], *FILTERS["c4"], *FILTERS["fineweb"]]


def filtered(name: str):
    """Ask every filter about every text, as all signals are measured; a pipeline stops at the first that drops it."""

    def work(texts: list[str]) -> None:
        split_into_parts.cache_clear()
        for number, text in enumerate(texts):
            for one in FILTERS[name]:
                one.filter(Document(text=text, id=str(number)))

    return work


def minhash(texts: list[str]) -> None:
    split_into_parts.cache_clear()
    for text in texts:
        shingles = SIGNATURES.get_shingles(text)
        if len(shingles):
            SIGNATURES.get_signature(shingles)


SIGNATURES = MinhashDedupSignature("signatures", config=MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8))
timing.run({**{name: filtered(name) for name in FILTERS}, "minhash": minhash})
