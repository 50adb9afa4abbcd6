"""What the planning process holds: the two places where its memory grows with the data, each run and measured."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

EDGES = 1_000_000
DOCUMENTS = 200_000


def peak_of(work: Callable[[], Any]) -> int:
    """Bytes that Python, NumPy and Arrow hold at most while something runs, beyond what they held before."""
    pool = pa.default_memory_pool()
    own = pa.proxy_memory_pool(pool)  # counts for itself, from nothing
    pa.set_memory_pool(own)
    tracemalloc.start()
    try:
        result = work()
        python = tracemalloc.get_traced_memory()[1]
        del result
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(pool)
    return python + (own.max_memory() or 0)


def bytes_an_edge() -> float:
    """Peak bytes for each edge of joining components in one task: random pairs of half as many documents as edges."""
    from pipelines.steps.dedup_components import WHOLE_SCHEMA, Join

    nodes = np.random.default_rng(0).integers(0, 2**64, EDGES // 2, np.uint64)
    ends = np.random.default_rng(1).integers(0, len(nodes), (2, EDGES))
    key = pa.array(np.zeros(EDGES, np.uint8))
    table = pa.table([key, *(pa.array(nodes[side]) for side in ends)], schema=WHOLE_SCHEMA)
    Join()(table.slice(0, 100))  # compiled before it is measured
    return peak_of(lambda: Join()(table)) / EDGES + table.nbytes / EDGES


def bytes_a_document() -> float:
    """Peak bytes for each document of choosing a mixture, from the listing of documents and their tokens."""
    from pipelines.ledger import Account
    from pipelines.recipe import Recipe
    from pipelines.steps import mix
    from pipelines.steps.step import Finished
    from pipelines.storage import FileEntry

    random = np.random.default_rng(2)
    ids = pa.array([random.bytes(16).hex() for _ in range(DOCUMENTS)])
    counts = pa.array(random.integers(100, 2000, DOCUMENTS), pa.int32())
    recipe = Recipe.model_validate(
        {
            "name": "driver",
            "sources": [{"name": "pages", "type": "warc", "paths": ["."]}],
            "heldout": {"fraction": 0.01},
            "stages": {"web": {"tokens": DOCUMENTS * 500, "weights": {"pages": 1.0}}},
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokens" / "part-00000.parquet"
        path.parent.mkdir()
        pq.write_table(pa.table({"id": ids, "source": pa.repeat(pa.scalar("pages"), DOCUMENTS), "count": counts}), path)
        entry = FileEntry(path="tokens/part-00000.parquet", rows=DOCUMENTS, bytes=path.stat().st_size, sha256="")
        listed = Finished("07-tokenize", "given", Path(folder), Account(), {"tokens": [entry]})

        def chosen() -> Any:
            choices = mix.choose(listed, recipe)
            return mix.order_stage(choices, "web", 0)

        return peak_of(chosen) / DOCUMENTS
