"""The recipe that benchmarks run: FineWeb's filters and deduplication over the WARC files of a corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def fineweb(corpus: Path, out: Path, *, partitions: int = 8, extractor: str | None = None) -> Path:
    """Write the recipe for a corpus; return the file. Without an `extractor` pages are read by the default one.

    Rules stand in the order in which datatrove's example applies its filters, so that the first one that fails is the
    one that drops a document there.
    """
    about = json.loads((corpus / "corpus.json").read_text(encoding="utf-8"))
    recipe: dict[str, Any] = {
        "name": "fineweb",
        "partitions": partitions,
        # A page without main text is a failure; documentation has many that hold nothing but links.
        "failure_budget": 0.5,
        "sources": [{"name": "pages", "type": "warc", "paths": [str(corpus / "warc")]}],
        "filters": {
            "families": ["gopher", "c4", "fineweb"],
            "rules": [
                {"signal": "language.score", "min": 0.65},
                {"preset": "gopher"},
                {"preset": "c4"},
                {"preset": "fineweb"},
            ],
            "redact": ["email", "ip"],
        },
        "dedup": {"preset": "fineweb"},
        "tokenizer": {"vocab_size": 4096, "sample_bytes": 1_000_000},
        "heldout": {"fraction": 0.0},
        # Few tokens a page, for whatever the filters leave has to be enough.
        "stages": {"web": {"tokens": 10 * about["pages"], "weights": {"pages": 1.0}}},
    }
    if extractor is not None:
        recipe["extract"] = {"engine": extractor}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")  # JSON is YAML
    return out
