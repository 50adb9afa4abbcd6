"""Proxies trained on an engine, each once: what it is scored by its data, its settings and its held-out sets alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.document import canonical_json
from pipelines.engines.plan import Engine, Hints, Output, Plan, Shard
from pipelines.steps.step import As, code_digest
from pipelines.storage import at, digest_of, exists, read_json, read_table, remove, sha256, write_json, write_parquet
from trainer.recipe import TrainConfig

CODE = (
    "trainer.proxy", "trainer.document_loss", "trainer.loop", "trainer.loss", "trainer.schedules", "trainer.data",
    "trainer.models", "trainer.optimizers", "trainer.stages.pretrain", "pipelines.proxies.proxy",
)  # fmt: skip
"""What decides a proxy's losses besides its settings and torch."""

SCORES = pa.schema(
    [
        pa.field("set", pa.string()),
        pa.field("row", pa.int64()),
        pa.field("nats", pa.float64()),
        pa.field("tokens", pa.int64()),
    ]
)
DONE = pa.schema([pa.field("key", pa.string())])
HELDOUT = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("group", pa.string()),
        pa.field("bytes", pa.int64()),
        pa.field("tokens", pa.large_list(pa.field("token", pa.uint32(), nullable=False))),
    ]
)
"""A held-out set as proxies read it."""


class Data(Protocol):
    """Tokens that a proxy is trained on."""

    @property
    def digest(self) -> str:
        """Names the tokens and their order."""
        ...

    def folder(self, place: Path) -> Path:
        """Return a folder `tokens/<stage>` that holds them; `place` is an empty folder to make it in."""
        ...


@dataclass(frozen=True)
class Folder:
    """Tokens that are there."""

    path: Path

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, which names every shard's digest."""
        return sha256(self.path / "manifest.json")

    def folder(self, place: Path) -> Path:
        """Return the folder."""
        return self.path


@dataclass(frozen=True)
class Proxy:
    """A proxy to train: its data, its settings (the seed among them), what it is scored on, what it starts from."""

    data: Data
    config: TrainConfig
    heldout: Mapping[str, Path]
    start: Path | None = None

    def key(self) -> str:
        """Return the digest that its scores are kept under."""
        import torch

        settings = self.config.model_dump(mode="json")
        for name in ("generate", "checkpoint_every", "evaluate_every", "keep_checkpoints", "heldout"):
            settings.pop(name, None)  # they do not reach the weights
        identity = {
            "data": self.data.digest,
            "settings": settings,
            "heldout": {name: sha256(path) for name, path in self.heldout.items()},
            "start": None if self.start is None else sha256(self.start / "model.safetensors"),
            "code": code_digest(CODE),
            "torch": str(torch.__version__),
        }
        return digest_of(canonical_json(identity).encode())


@dataclass(frozen=True)
class Result:
    """A trained proxy's losses, a row a held-out document."""

    key: str
    parameters: int
    tokens: int
    seconds: float
    nats: Mapping[str, NDArray[np.float64]]
    """By set, nats of each document."""
    counts: Mapping[str, NDArray[np.int64]]
    """By set, predicted tokens of each document."""


@dataclass(frozen=True)
class TrainOne:
    """Trains the proxy that a shard names, and keeps its scores in the cache."""

    cache: str

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield the key, once its scores are kept."""
        from trainer.document_loss import Documents
        from trainer.proxy import train_proxy

        key, proxy = shard.payload
        started = time.monotonic()
        ((_, settings),) = proxy.config.stages.items()
        sets = {
            name: Documents(
                lists(read_table(at(str(path)), ["tokens"])["tokens"]), sequence_length=settings.sequence_length
            )
            for name, path in proxy.heldout.items()
        }
        with tempfile.TemporaryDirectory(prefix="pomona-proxy-") as place:
            scored = train_proxy(proxy.data.folder(Path(place)), proxy.config, sets, proxy.start)
        columns: list[pa.Table] = [
            pa.table(
                {
                    "set": pa.array([name] * len(losses.nats), pa.string()),
                    "row": np.arange(len(losses.nats)),
                    "nats": losses.nats,
                    "tokens": losses.tokens,
                },
                schema=SCORES,
            )
            for name, losses in scored.losses.items()
        ]
        folder = at(self.cache)
        write_parquet(folder / f"{key}.parquet", pa.concat_tables(columns))
        about = {
            "key": key,
            "parameters": scored.parameters,
            "tokens": scored.tokens,
            "seconds": round(time.monotonic() - started, 3),
            "settings": proxy.config.model_dump(mode="json"),
        }
        write_json(folder / f"{key}.json", about)  # last: without it there are no scores
        yield pa.table({"key": [key]}, schema=DONE)


def train_all(
    proxies: Sequence[Proxy], cache: Path, engine: Engine, cpus: float = 1.0, gpus: float = 0.0
) -> list[Result]:
    """Train the proxies that are not in the cache, as tasks of the engine, and return the scores of all in order.

    A run that was cut off loses only the proxies that were in training.
    """
    keys = [proxy.key() for proxy in proxies]
    todo = {key: proxy for key, proxy in zip(keys, proxies, strict=True) if not exists(cache / f"{key}.json")}
    if todo:
        name = f"proxies-{digest_of(canonical_json(sorted(todo)).encode())[:12]}"
        plan = Plan(
            name="proxies",
            shards=[Shard(n, key, (key, proxy)) for n, (key, proxy) in enumerate(todo.items())],
            read=TrainOne(str(cache)),
            emit=As("done"),
            outputs={"done": Output(DONE, ("key",))},
            hints=Hints(cpus=cpus, gpus=gpus),
        )
        engine.run(plan, cache / name)
        remove(cache / name)  # the scores themselves are what is kept
    return [opened(cache, key) for key in keys]


def opened(cache: Path, key: str) -> Result:
    """Read the scores of a trained proxy."""
    about: dict[str, Any] = read_json(cache / f"{key}.json")
    table = read_table(cache / f"{key}.parquet")
    names = np.asarray(table["set"].to_pylist())
    nats, counts = table["nats"].to_numpy(), table["tokens"].to_numpy()
    sets = list(dict.fromkeys(names.tolist()))
    return Result(
        key,
        int(about["parameters"]),
        int(about["tokens"]),
        float(about["seconds"]),
        {name: nats[names == name] for name in sets},
        {name: counts[names == name] for name in sets},
    )


def lists(column: pa.ChunkedArray) -> list[NDArray[np.uint32]]:
    """Return lists as arrays, without a Python object a token."""
    found: list[NDArray[np.uint32]] = []
    for chunk in column.chunks:
        values, offsets = chunk.values.to_numpy(), chunk.offsets.to_numpy()
        found += [values[start:end] for start, end in pairwise(offsets)]
    return found
