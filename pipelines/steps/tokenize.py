"""Documents → tokens: train the tokenizer on what the first stage will see, then encode every document once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import tokenizer
from pipelines.engines.plan import Output, Plan, Tables
from pipelines.ledger import FAILED, KEPT, Account, verdicts
from pipelines.recipe import TokenizerUse
from pipelines.steps import token_sample
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
from pipelines.steps.token_sample import Sample
from pipelines.storage import FileEntry, at, read_bytes, sha256, write_bytes
from pipelines.storage import size as size_of
from pipelines.token_encoder import Encoder

TOKENS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("count", pa.int32()),
        pa.field("tokens", pa.large_list(pa.field("token", pa.uint32(), nullable=False))),
    ]
)
"""A document's tokens without its end mark; `count` is with it."""


def train(
    steps: Steps, documents: Finished, weights: Mapping[str, float], settings: TokenizerUse, seed: int
) -> Finished:
    """Run the step that trains the tokenizer, or takes the file given. Its account is empty: it decides on no record.

    Its facts name the token that ends documents (`eos`, `eos_id`) and how many ids a model needs (`vocab_size`).
    """

    def body(folder: Path, _: str) -> Body:
        texts: list[str] = []
        if settings.file is not None:
            state = read_bytes(settings.file.path)
        else:
            asked = Sample(weights, settings.sample_bytes, seed)
            texts = list(token_sample.texts(steps, folder, documents.parts("documents"), asked))
            if not texts:
                raise RunFailed(
                    "step 06-tokenizer: no document is left to train the tokenizer on; "
                    "see report.html or `pomona why` for what dropped them"
                )
            state = tokenizer.train(texts, settings.vocab_size).to_str().encode()
        path = folder / "tokenizer" / "tokenizer.json"
        write_bytes(path, state)
        made = tokenizer.load(path)
        eos, number = tokenizer.end_of_text(made, settings.eos)
        facts = {
            "vocab_size": tokenizer.size(made),
            "eos": eos,
            "eos_id": number,
            "documents": len(texts),
            "bytes": sum(len(t.encode()) for t in texts),
        }
        entry = FileEntry(path="tokenizer/tokenizer.json", rows=0, bytes=size_of(path) or 0, sha256=sha256(path))
        return Body(Account(), {"tokenizer": [entry]}, facts, token_sample.SCRAP)

    parameters: dict[str, Any] = {"eos": settings.eos}
    if settings.file is not None:
        parameters["file"] = sha256(settings.file.path)
    else:
        parameters |= {"vocab_size": settings.vocab_size, "sample_bytes": settings.sample_bytes}
        parameters |= {"weights": dict(weights), "seed": seed}
    return steps.perform(
        "06-tokenizer",
        code=(
            "pipelines.tokenizer",
            "pipelines.steps.token_sample",
            "pipelines.steps.tokenize",
            "pipelines.mixture.supply",
        ),
        parameters=parameters,
        inputs=[documents.digest] if settings.file is None else [],
        body=body,
    )


LOSSY = "tokens-differ"
"""Reason of a document whose tokens do not spell it."""


@dataclass(frozen=True)
class Encode:
    """Encodes the texts of a table: a kept row for each whose tokens spell it, a failed one for the others.

    With `keep_lossy` those are kept too, and the ledger says at which byte they first differ.
    """

    step: str
    path: str
    keep_lossy: bool = False

    def __call__(self, table: pa.Table) -> Tables:
        """Return tokens and ledger rows."""
        encoded = _encoder(self.path).encode(table["text"])
        tokens = pa.LargeListArray.from_arrays(
            pa.array(encoded.offsets), pa.array(encoded.tokens), type=TOKENS_SCHEMA.field("tokens").type
        )
        counts = pa.array((np.diff(encoded.offsets) + 1).astype(np.int32))
        rows = pa.table(
            [table["id"].cast(pa.string()), table["source"].cast(pa.string()), counts, tokens], schema=TOKENS_SCHEMA
        )
        lossy = pa.array(encoded.lost >= 0)
        if not pc.any(lossy).as_py():
            return {"tokens": rows, "ledger": verdicts(table, self.step)}
        places = pc.binary_join_element_wise('{"differs_at_byte":', pa.array(encoded.lost).cast(pa.string()), "}", "")
        evidence = pc.if_else(lossy, places, "")
        if self.keep_lossy:
            return {"tokens": rows, "ledger": verdicts(table, self.step, evidence=evidence)}
        ledger = verdicts(
            table,
            self.step,
            verdict=pc.if_else(lossy, FAILED, KEPT),
            reason=pc.if_else(lossy, LOSSY, ""),
            evidence=evidence,
        )
        return {"tokens": rows.filter(pc.invert(lossy)), "ledger": ledger}


@lru_cache(maxsize=2)
def _encoder(path: str) -> Encoder:
    return Encoder.open(at(path))


def run(steps: Steps, documents: Finished, trained: Finished, *, keep_lossy: bool = False) -> Finished:
    """Run the step that encodes."""
    step = "07-tokenize"

    def body(folder: Path, _: str) -> Body:
        plan = Plan(
            name=step,
            shards=partition_shards([documents.parts("documents")]),
            read=ReadParts(("id", "uri", "source", "text"), 1024),
            emit=Encode(step, str(trained.parts("tokenizer")[0]), keep_lossy),
            outputs={"tokens": Output(TOKENS_SCHEMA), "ledger": LEDGER_OUTPUT},
            emit_fault=StepErrors(step),
            conserve=("ledger",),
        )
        return steps.run_plan(plan, folder)

    return steps.perform(
        step,
        code=(
            "pipelines.tokenizer",
            "pipelines.token_encoder",
            "pipelines.code_points",
            "pipelines.steps.tokenize",
            "kernels.bpe",
            "kernels.pretokens",
        ),
        parameters={"keep_lossy": keep_lossy},
        inputs=[documents.digest, trained.digest],
        body=body,
    )
