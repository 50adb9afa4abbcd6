"""Real pages as text: the main text of the pages that `benchmarks.corpus` keeps, and of POMONA_DATA's gold pages."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.environments import BENCH

SHORTEST = 200
"""Characters of a page's text: a frame without text can hold no item."""


def pages(limit: int) -> pa.Table:
    """Return url and text of real pages, each text once, spread over all origins; always the same.

    The texts are extracted once and kept under `.bench/`. Raises FileNotFoundError where the corpus has not been made.
    """
    kept = BENCH / "decontam" / f"pages-{limit}.parquet"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        table = _extracted(limit)
        part = kept.with_suffix(".part")
        pq.write_table(table, part, compression="zstd")
        part.rename(kept)
    return pq.read_table(kept)


def _extracted(limit: int) -> pa.Table:
    from pipelines.extract import extract_html
    from pipelines.extract.extraction import ExtractionError

    origins = sorted((BENCH / "corpus").glob("pages-*/*.parquet"))
    if not origins:
        raise FileNotFoundError(f"{BENCH / 'corpus'}: no pages; `python -m benchmarks.corpus` makes them")
    seen: set[str] = set()
    urls: list[str] = []
    texts: list[str] = []
    for number, path in enumerate(origins):
        print(f"pages: {number + 1} of {len(origins)} origins, {len(texts)} texts", file=sys.stderr, flush=True)
        for page in _spread(path, len(origins), limit).to_pylist():
            try:
                text = extract_html(page["html"], page["url"]).text
            except ExtractionError:  # an empty frame
                continue
            if len(text) >= SHORTEST and text not in seen:
                seen.add(text)
                urls.append(page["url"])
                texts.append(text)
    order = pa.table({"url": pa.array(urls), "text": pa.array(texts, pa.large_string())})
    return order.take(list(range(min(limit, len(urls))))) if len(urls) <= limit else _thinned(order, limit)


def _spread(path: Path, origins: int, limit: int) -> pa.Table:
    """Take an origin's share with room to spare, those with the smallest digests: small origins give all they have."""
    table = pq.read_table(path).sort_by("digest")
    return table.slice(0, max(2 * limit // origins, 1))


def _thinned(table: pa.Table, limit: int) -> pa.Table:
    step = table.num_rows / limit
    return table.take([int(k * step) for k in range(limit)])
