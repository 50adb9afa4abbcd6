"""Fertility: how many tokens a tokenizer spends on a word and how many bytes it puts in a token, by language."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kernels.strings import text_batch
from kernels.tokens import WORD, tokens
from pipelines.recipe_errors import RecipeError, nearest
from pipelines.run import read as read_run
from pipelines.storage import read_batches
from pipelines.token_encoder import Encoder

_ROWS = 4096
ALL = "all"


class Fertility(NamedTuple):
    """One language, or all. Words are those of `kernels.words`, in unspaced scripts a letter each."""

    language: str
    documents: int
    bytes: int
    words: int
    tokens: int
    """Without end marks."""
    lossy: int
    """Documents whose tokens do not spell them."""

    @property
    def tokens_per_word(self) -> float:
        """0 where there are no words."""
        return self.tokens / self.words if self.words else 0.0

    @property
    def bytes_per_token(self) -> float:
        """0 where there are no tokens."""
        return self.bytes / self.tokens if self.tokens else 0.0


def measure(encoder: Encoder, tables: Iterable[pa.Table]) -> list[Fertility]:
    """Encode texts (columns `text`, `language`) and sum up by language, most tokens first, after the sum of all."""
    sums: dict[str, np.ndarray[Any, np.dtype[np.int64]]] = {}
    for table in tables:
        encoded = encoder.encode(table["text"])
        batch = text_batch(table["text"])
        found = tokens(batch)
        words = np.concatenate([[0], np.cumsum(found.kinds == WORD)])[found.offsets]
        names = pc.fill_null(table["language"], "und").cast(pa.string())
        columns = [
            np.ones(table.num_rows, np.int64),
            np.diff(batch.offsets),
            np.diff(words),
            np.diff(encoded.offsets),
            (encoded.lost >= 0).astype(np.int64),
        ]
        values = np.stack(columns, axis=1)
        coded = (names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names).dictionary_encode()
        codes = coded.indices.to_numpy()
        for number, name in enumerate(coded.dictionary.to_pylist()):
            sums[name] = sums.get(name, np.zeros(5, np.int64)) + values[codes == number].sum(axis=0)
    rows = [Fertility(name, *row.tolist()) for name, row in sums.items()]
    rows.sort(key=lambda row: (-row.tokens, row.language))
    whole = np.sum([*sums.values(), np.zeros(5, np.int64)], axis=0)
    return [Fertility(ALL, *whole.tolist()), *rows]


def of_run(run: Path, stage: str | None) -> list[Fertility]:
    """The documents of one stage of a run, by the run's tokenizer; each once, whatever its weight.

    Raises:
        RunFailed: there is no finished run. RecipeError: no such stage.
    """
    stages: list[str] = read_run(run)["stages"]
    chosen = stages[0] if stage is None else stage
    if chosen not in stages:
        raise RecipeError([f"--stage {chosen}: not a stage of {run}{nearest(chosen, stages)}"])
    encoder = Encoder.open(run / "tokenizer" / "tokenizer.json")
    parts = sorted((run / "mixture" / chosen).glob("part-*.parquet"))
    return measure(encoder, (table for part in parts for table in read_batches(part, _ROWS, ["text", "language"])))


def of_file(tokenizer: Path, texts: Path) -> list[Fertility]:
    """The texts of a Parquet or JSON Lines file (`text`, and `language` where there is one), by a tokenizer.json.

    Raises:
        RecipeError: a file is missing, is no tokenizer, or has no column `text`.
    """
    for option, path in (("TOKENIZER", tokenizer), ("--texts", texts)):
        if not path.is_file():
            raise RecipeError([f"{option} {path}: no such file"])
    try:
        encoder = Encoder.open(tokenizer)
    except ValueError as error:
        raise RecipeError([f"{tokenizer}: {error}"]) from error
    return measure(encoder, _tables(texts))


def _tables(path: Path) -> Iterator[pa.Table]:
    if path.suffix == ".parquet":
        names = pq.read_schema(path).names
        _expect_text(path, names)
        for table in read_batches(path, _ROWS, [name for name in ("text", "language") if name in names]):
            yield table if "language" in names else table.append_column("language", pa.nulls(len(table), pa.string()))
        return
    rows: list[dict[str, Any]] = []
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="\n") as file:
        for line in file:
            rows.append(json.loads(line))
            _expect_text(path, rows[-1])
            if len(rows) == _ROWS:
                yield _table(rows)
                rows = []
    if rows:
        yield _table(rows)


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    columns = {"text": pa.large_string(), "language": pa.string()}
    return pa.table({name: pa.array([row.get(name) for row in rows], kind) for name, kind in columns.items()})


def _expect_text(path: Path, names: Iterable[str]) -> None:
    if "text" not in names:
        raise RecipeError([f"--texts {path}: no column or field `text`; found {', '.join(sorted(names))}"])
