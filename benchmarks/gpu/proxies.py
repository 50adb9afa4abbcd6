"""Proxies an hour: what `pomona optimize` and `compare` have to wait for, by processes that share the GPU."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.engines.settings import Settings, opened
from pipelines.proxies.proxy import HELDOUT, Folder, Proxy, train_all
from pipelines.proxies.settings import ProxySettings

MODELS = {
    "1M": "{width: 128, layers: 4, heads: 4, kv_heads: 2, head_dim: 32, ffn_width: 384}",
    "25M": "{width: 512, layers: 8, heads: 8, kv_heads: 4, head_dim: 64, ffn_width: 1344}",
}
TOKENS = 2 << 20


def measure(tokens: Path, device: str, workers: tuple[int, ...], count: int, most: int = TOKENS) -> dict[str, Any]:
    """Proxies an hour of each size, so many at once; the start of the processes is counted in."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        texts = Path(place) / "heldout.parquet"
        random = np.random.default_rng(0)
        documents = [random.integers(3, 4096, 400).astype(np.uint32) for _ in range(50)]
        columns = {
            "id": [str(n) for n in range(50)],
            "group": ["made"] * 50,
            "bytes": [1600] * 50,
            "tokens": pa.array(documents, HELDOUT.field("tokens").type),
        }
        pq.write_table(pa.table(columns, schema=HELDOUT), texts)
        for name, model in MODELS.items():
            settings = ProxySettings(
                model=model, tokens=most, sequence_length=512, batch_size=32, peak_lr=0.003, device=device
            )
            for at_once in workers:
                proxies = [
                    Proxy(Folder(tokens), settings.config("made", 100 * at_once + seed), {"made": texts})
                    for seed in range(count * at_once)
                ]
                with opened(Settings(workers=at_once)) as engine:
                    began = time.perf_counter()
                    trained = train_all(proxies, Path(place) / "scores", engine)
                    seconds = time.perf_counter() - began
                found[f"{name}, {at_once} at once"] = {
                    "parameters": trained[0].parameters,
                    "tokens": trained[0].tokens,
                    "proxies": len(trained),
                    "seconds": seconds,
                    "an_hour": 3600 * len(trained) / seconds,
                    "seconds_each": sum(one.seconds for one in trained) / len(trained),
                }
    return found
