"""Token folders for proxies: a stage's documents in their order, in whichever tokenizer the comparison asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines import tokenizer
from pipelines.recipe_errors import RecipeError, nearest
from pipelines.storage import (
    at,
    children,
    exists,
    publish,
    read_json,
    read_table,
    sha256,
    write_bytes,
    write_json,
    write_parquet,
)

MANIFEST = "manifest.json"
TOKENIZER = {"path": "../../tokenizer/tokenizer.json"}
Ids = NDArray[np.uint32]


def encoded(path: Path, texts: Sequence[str], batch: int = 1024) -> Iterator[Ids]:
    """Yield the token ids of each text, without an end mark."""
    library = tokenizer.load(path)
    for start in range(0, len(texts), batch):
        some = list(texts[start : start + batch])
        for one in library.encode_batch_fast(some, add_special_tokens=False):
            yield np.asarray(one.ids, np.uint32)


def stage_of(run: Path, stage: str | None) -> str:
    """Return the stage to compare by: the one named, else the first of the run's training stages.

    Raises RecipeError where the run has no such stage.
    """
    known = [one.name for one in children(run / "tokens") if exists(one / MANIFEST)]
    training = [str(one) for one in read_json(run / "run.json")["stages"] if one != "heldout"]
    if stage is None:
        return training[0]
    if stage not in known:
        raise RecipeError([f"--stage {stage}: {run} has no such stage{nearest(stage, training)}"])
    return stage


def in_tokenizer(run: Path, stage: str, wanted: Path, out: Path) -> Path:
    """Return the tokens of a run's stage in the `wanted` tokenizer: the run's own where that is it, else made in `out`.

    The documents, their order and their repetitions are the stage's; stretches of a weight schedule (`phases`) keep
    their documents. Of a document that the stage takes a part of, the same part of its new tokens is taken.
    """
    own = run / "tokens" / stage
    manifest: dict[str, Any] = read_json(own / MANIFEST)
    if manifest["tokenizer"]["sha256"] == sha256(wanted):
        return own
    order = read_table(own / "documents.parquet")
    parts = children(run / "mixture" / stage)
    tables = [read_table(path, ["id", "text", "tokens"]) for path in parts if path.suffix == ".parquet"]
    texts = pa.concat_tables(tables)
    documents = list(encoded(wanted, texts["text"].to_pylist()))
    place = {one: number for number, one in enumerate(texts["id"].to_pylist())}
    rows = np.array([place[one] for one in order["id"].to_pylist()], np.int64)
    lengths = order["length"].to_numpy().astype(np.int64)
    first = order["first"].to_numpy() if "first" in order.column_names else np.zeros_like(lengths)
    parts_of = zip(rows.tolist(), first.tolist(), lengths.tolist(), texts["tokens"].take(rows).to_pylist(), strict=True)
    taken = [_part(documents[row], begin, length, whole) for row, begin, length, whole in parts_of]
    ends = np.cumsum(lengths)
    phases = None
    if manifest.get("phases"):
        borders = np.cumsum([0, *(phase["tokens"] for phase in manifest["phases"])])
        cuts = np.searchsorted(ends, borders, side="left") + (borders > 0)
        cuts[-1] = len(rows)
        sums = np.diff(np.cumsum([0, *(len(one) + 1 for one in taken)])[cuts])
        phases = [{**phase, "tokens": int(n)} for phase, n in zip(manifest["phases"], sums, strict=True)]
    return write(out, stage, taken, order["id"], order["source"], wanted, phases)


def _part(tokens: Ids, begin: int, length: int, whole: int) -> Ids:
    """Return of a document's tokens what `length` of `whole` others from `begin` are in proportion."""
    if length >= whole:
        return tokens
    start, stop = (len(tokens) * place // whole for place in (begin, begin + length))
    return tokens[start:stop]


def write(
    out: Path,
    stage: str,
    documents: Sequence[Ids],
    ids: pa.ChunkedArray,
    sources: pa.ChunkedArray,
    library: Path,
    phases: Sequence[Any] | None = None,
) -> Path:
    """Write documents in order as `out/tokens/<stage>`, each ended by the end mark, as the trainer reads them."""
    made = tokenizer.load(library)
    eos = made.token_to_id("<eos>")
    if eos is None:
        raise RecipeError([f"{library}: the tokenizer has no token <eos>, which ends every document"])
    size = made.get_vocab_size()
    dtype = "uint16" if size <= 65_535 else "uint32"
    lengths = np.array([len(one) + 1 for one in documents], np.int64)
    ends = np.cumsum(lengths)
    tokens = np.full(int(ends[-1]) if len(ends) else 0, eos, np.dtype(dtype).newbyteorder("<"))
    for one, end in zip(documents, ends.tolist(), strict=True):
        tokens[end - 1 - len(one) : end - 1] = one
    folder = out / "tokens" / stage
    write_bytes(folder / "part-00000.bin", tokens.tobytes())
    listing = {
        "shard": pa.array(np.zeros(len(lengths), np.int32)),
        "start": pa.array(ends - lengths),
        "length": pa.array(lengths.astype(np.int32)),
        "id": ids.cast(pa.string()),
        "source": sources.cast(pa.string()),
    }
    write_parquet(folder / "documents.parquet", pa.table(listing))
    publish(library, out / "tokenizer" / "tokenizer.json")
    shard = {"path": "part-00000.bin", "sha256": sha256(folder / "part-00000.bin"), "tokens": len(tokens)}
    manifest: dict[str, Any] = {
        "stage": stage,
        "dtype": dtype,
        "vocab_size": size,
        "eos_id": eos,
        "tokens": len(tokens),
        "shards": [shard],
        "documents": "documents.parquet",
        "tokenizer": {**TOKENIZER, "sha256": sha256(library)},
    }
    if phases:
        manifest["phases"] = list(phases)
    write_json(folder / MANIFEST, manifest)
    return folder


def tokenizer_of(run: Path | None, given: str | None) -> Path:
    """Return the file of the tokenizer to compare by: the one given, else the run's."""
    if given is not None:
        path = at(given)
        if not exists(path):
            raise RecipeError([f"--tokenizer {given}: no such file; expected a tokenizer.json, such as RUN/tokenizer/"])
        return path
    assert run is not None
    return run / "tokenizer" / "tokenizer.json"
