"""Documents → tokens: train the tokenizer on what the first stage will see, then encode every document once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import tokenizer
from pipelines.document import id_bits
from pipelines.engines.plan import Output, Plan, Tables
from pipelines.ledger import Account, verdicts
from pipelines.mixture import shuffled
from pipelines.steps.step import (
    LEDGER_OUTPUT,
    Body,
    Finished,
    ReadParts,
    RunFailed,
    StepErrors,
    Steps,
    partition_shards,
)
from pipelines.storage import FileEntry, at, read_table, sha256
from pipelines.storage import size as size_of

TOKENS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("count", pa.int32()),
        pa.field("tokens", pa.large_list(pa.field("token", pa.uint32(), nullable=False))),
    ]
)
"""A document's tokens without its end mark; `count` is with it."""


def sample(parts: list[Path], weights: Mapping[str, float], size: int, seed: int) -> Iterator[str]:
    """Yield texts for the tokenizer: `size` bytes in all, each source its share, chosen and ordered by seeded id."""
    about: list[pa.Table] = []
    for number, path in enumerate(parts):
        table = read_table(path, ["id", "source", "text"])
        lengths = pc.binary_length(table["text"])
        columns = {"id": table["id"], "source": table["source"], "bytes": lengths}
        rows = np.arange(table.num_rows)
        about.append(pa.table({**columns, "part": np.full(len(rows), number), "row": rows}))
    listing = pa.concat_tables(about)
    key = shuffled(id_bits(listing["id"]), seed, "tokenizer")
    names = np.asarray(listing["source"].to_pylist(), dtype=object)
    lengths = listing["bytes"].to_numpy()
    chosen = np.zeros(len(key), bool)
    for name, weight in weights.items():
        rows = np.flatnonzero(names == name)
        rows = rows[np.argsort(key[rows], kind="stable")]
        before = np.cumsum(lengths[rows]) - lengths[rows]
        chosen[rows[before < size * weight]] = True
    part, row = listing["part"].to_numpy(), listing["row"].to_numpy()
    for number, path in enumerate(parts):
        rows = np.sort(row[chosen & (part == number)])
        if len(rows):
            yield from read_table(path, ["text"])["text"].take(pa.array(rows)).to_pylist()


def train(
    steps: Steps, documents: Finished, weights: Mapping[str, float], vocab_size: int, size: int, seed: int
) -> Finished:
    """Run the step that trains the tokenizer. Its account is empty: it decides on no record."""

    def body(folder: Path, _: str) -> Body:
        texts = list(sample(documents.parts("documents"), weights, size, seed))
        if not texts:
            raise RunFailed(
                "step 06-tokenizer: no document is left to train the tokenizer on; "
                "see report.html or `pomona why` for what dropped them"
            )
        made = tokenizer.train(texts, vocab_size)
        path = folder / "tokenizer" / "tokenizer.json"
        tokenizer.save(made, path)
        facts = {
            "vocab_size": made.get_vocab_size(),
            "documents": len(texts),
            "bytes": sum(len(t.encode()) for t in texts),
        }
        entry = FileEntry(path="tokenizer/tokenizer.json", rows=0, bytes=size_of(path) or 0, sha256=sha256(path))
        return Body(Account(), {"tokenizer": [entry]}, facts)

    return steps.perform(
        "06-tokenizer",
        code=("pipelines.tokenizer", "pipelines.steps.tokenize", "pipelines.mixture"),
        parameters={"vocab_size": vocab_size, "sample_bytes": size, "weights": dict(weights), "seed": seed},
        inputs=[documents.digest],
        body=body,
    )


@dataclass(frozen=True)
class Encode:
    """Encodes the texts of a table; a kept row for each."""

    step: str
    path: str

    def __call__(self, table: pa.Table) -> Tables:
        """Return tokens and ledger rows."""
        library = _tokenizer(self.path)
        encodings = library.encode_batch_fast(table["text"].to_pylist(), add_special_tokens=False)
        lengths = np.fromiter((len(one) for one in encodings), np.int64, len(encodings))
        values = np.concatenate([np.asarray(one.ids, np.uint32) for one in encodings] or [np.empty(0, np.uint32)])
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        tokens = pa.LargeListArray.from_arrays(
            pa.array(offsets, pa.int64()), pa.array(values), type=TOKENS_SCHEMA.field("tokens").type
        )
        counts = pa.array((lengths + 1).astype(np.int32))
        rows = pa.table(
            [table["id"].cast(pa.string()), table["source"].cast(pa.string()), counts, tokens], schema=TOKENS_SCHEMA
        )
        return {"tokens": rows, "ledger": verdicts(table, self.step)}


@lru_cache(maxsize=2)
def _tokenizer(path: str) -> Any:
    return tokenizer.load(at(path))


def run(steps: Steps, documents: Finished, trained: Finished) -> Finished:
    """Run the step that encodes."""
    step = "07-tokenize"

    def body(folder: Path, _: str) -> Body:
        plan = Plan(
            name=step,
            shards=partition_shards([documents.parts("documents")]),
            read=ReadParts(("id", "uri", "source", "text"), 1024),
            emit=Encode(step, str(trained.parts("tokenizer")[0])),
            outputs={"tokens": Output(TOKENS_SCHEMA), "ledger": LEDGER_OUTPUT},
            emit_fault=StepErrors(step),
            conserve=("ledger",),
        )
        return steps.run_plan(plan, folder)

    return steps.perform(
        step,
        code=("pipelines.tokenizer", "pipelines.steps.tokenize"),
        parameters={},
        inputs=[documents.digest, trained.digest],
        body=body,
    )
