"""The token shards of one stage, as the pipelines write them.

A folder `tokens/<stage>` holds `manifest.json`, `part-*.bin` and `documents.parquet`. Shards are little-endian uint16
(uint32 for vocabularies over 65,535), documents back to back, each ended by the end-of-text token. They are read here
as one long virtual array over all shards, memory-mapped, with positions in tokens.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trainer.data.runs import Runs, spread
from trainer.errors import DataError


class ShardEntry(BaseModel):
    """One shard in the manifest; `path` is relative to the manifest's folder."""

    model_config = ConfigDict(frozen=True)

    path: str
    sha256: str
    tokens: int = Field(gt=0)


class TokenizerEntry(BaseModel):
    """The tokenizer that made the shards; `path` is relative to the manifest's folder."""

    model_config = ConfigDict(frozen=True)

    path: str
    sha256: str


class PhaseEntry(BaseModel):
    """A stretch of the stored order with weights of its own: sequences are shuffled within it, never out of it."""

    model_config = ConfigDict(frozen=True)

    tokens: int = Field(gt=0)
    weights: Mapping[str, float] = {}


class ExcludedEntry(BaseModel):
    """Documents taken down after the stage was written: a Parquet table with one int64 column `document`."""

    model_config = ConfigDict(frozen=True)

    path: str
    sha256: str
    documents: int = Field(ge=0)


class TokenManifest(BaseModel):
    """What `tokens/<stage>/manifest.json` says; fields that the trainer does not use are left alone."""

    model_config = ConfigDict(frozen=True)

    stage: str
    dtype: Literal["uint16", "uint32"]
    vocab_size: int = Field(gt=0)
    eos_id: int = Field(ge=0)
    tokens: int = Field(gt=0)
    shards: tuple[ShardEntry, ...] = Field(min_length=1)
    tokenizer: TokenizerEntry
    phases: tuple[PhaseEntry, ...] = ()
    """In order; none means one phase."""
    excluded: ExcludedEntry | None = None

    @model_validator(mode="after")
    def _sums(self) -> Self:
        for name, parts in (("shards", self.shards), ("phases", self.phases)):
            total = sum(part.tokens for part in parts)
            if parts and total != self.tokens:
                raise ValueError(f"tokens is {self.tokens}, but the {name} sum to {total}")
        return self


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class TokenStage:
    """Memory-mapped tokens of one stage with the table of its documents.

    A shard's size is checked on opening and its SHA-256 when it is first read from, so that opening stays cheap and
    no token of a changed shard ever reaches a model. Threads may share a stage; a process that it is sent to opens the
    files again.

    Args:
        manifest: `tokens/<stage>` or the manifest.json in it.
        verify: check each shard's SHA-256 when it is first read from.
        excluded: rows of documents.parquet that carry no loss and are not shown, besides those the manifest excludes.

    Raises:
        DataError: manifest, shard, documents.parquet or the table of excluded documents is missing, malformed or
        disagrees with the manifest.
    """

    def __init__(self, manifest: Path | str, *, verify: bool = True, excluded: Iterable[int] = ()) -> None:
        given = Path(manifest)
        self.manifest_path = given if given.suffix == ".json" else given / "manifest.json"
        self.folder = self.manifest_path.parent
        self.manifest = _read_manifest(self.manifest_path)
        self.digest = sha256(self.manifest_path)
        """SHA-256 of the manifest; since that names every shard's digest, it stands for the stage's whole content."""
        self.dtype = np.dtype("<u2" if self.manifest.dtype == "uint16" else "<u4")
        lengths = [shard.tokens for shard in self.manifest.shards]
        self.bases: NDArray[np.int64] = np.cumsum([0, *lengths], dtype=np.int64)
        """Global token position at which each shard starts; the last entry is the number of tokens."""
        self._verify, self._lock = verify, threading.Lock()
        self._verified = [not verify] * len(lengths)
        self._maps = [self._open(index) for index in range(len(lengths))]
        self.document_starts, self.document_ends = self._read_documents()
        """Global token position at which each document starts, ascending, and ends; int64 [documents] each."""
        self._named = tuple(int(row) for row in excluded)
        self.excluded = self._read_excluded()
        """bool [documents]: masked documents."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (str(self.manifest_path), self._verify, self._named)

    @property
    def tokens(self) -> int:
        """Tokens in all shards, end-of-text tokens included."""
        return self.manifest.tokens

    @property
    def tokenizer_path(self) -> Path:
        """The tokenizer.json named by the manifest."""
        return (self.folder / self.manifest.tokenizer.path).resolve()

    @property
    def phase_starts(self) -> NDArray[np.int64]:
        """Global token position at which each phase starts, and the number of tokens; int64 [phases + 1]."""
        sizes = [phase.tokens for phase in self.manifest.phases] or [self.tokens]
        return np.cumsum([0, *sizes], dtype=np.int64)

    @cached_property
    def layout_digest(self) -> str:
        """SHA-256 of where everything lies, not of what it says: shards, phases and documents by their lengths.

        Two stages of one layout have the same order. A stage from which documents were taken down keeps its layout;
        another mixture, or another order of the same documents, has another.
        """
        state = hashlib.sha256()
        facts = {
            "stage": self.manifest.stage,
            "shards": [shard.tokens for shard in self.manifest.shards],
            "phases": self.phase_starts.tolist(),
            "tokenizer": self.manifest.tokenizer.sha256,
        }
        state.update(json.dumps(facts, sort_keys=True).encode())
        state.update(np.ascontiguousarray(self.document_starts, "<i8").tobytes())
        return state.hexdigest()

    def read(self, runs: Runs) -> NDArray[np.generic]:
        """The tokens of runs, one after the other; in the type of the shards. A run lies within one document."""
        if len(self._maps) == 1:
            return self._checked(self._shard(0)[spread(runs.position, runs.length)], runs)
        shard = np.searchsorted(self.bases, runs.position, side="right") - 1
        ends = np.cumsum(runs.length)
        out = np.empty(int(ends[-1]) if len(ends) else 0, self.dtype)
        for index in np.unique(shard).tolist():
            chosen = np.flatnonzero(shard == index)
            length = runs.length[chosen]
            places = spread(ends[chosen] - length, length)
            out[places] = self._shard(index)[spread(runs.position[chosen] - self.bases[index], length)]
        return self._checked(out, runs)

    def _checked(self, tokens: NDArray[Any], runs: Runs) -> NDArray[Any]:
        if tokens.size and int(tokens.max()) >= self.manifest.vocab_size:
            place = int(np.searchsorted(np.cumsum(runs.length), int(tokens.argmax()), side="right"))
            row = int(self.document_rows(runs.position[place : place + 1])[0])
            raise DataError(
                f"{self.folder}: a token id of {int(tokens.max())} in document {row} of documents.parquet, but "
                f"vocab_size is {self.manifest.vocab_size}; tokenize the stage again"
            )
        return tokens

    def document_rows(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row in documents.parquet of the document each global position belongs to; same shape."""
        return np.searchsorted(self.document_starts, positions, side="right") - 1

    def describe(self, rows: NDArray[np.int64]) -> pa.Table:
        """The rows of documents.parquet with all columns (shard, start, length, id, source), in the order asked."""
        table = pq.read_table(self.folder / "documents.parquet", memory_map=True)
        return table.take(rows)

    def _shard(self, index: int) -> NDArray[np.generic]:
        if not self._verified[index]:
            with self._lock:
                if not self._verified[index]:
                    entry = self.manifest.shards[index]
                    self._same(self.folder / entry.path, entry.sha256, "the shard", "restore the shard")
                    self._verified[index] = True
        return self._maps[index]

    def _same(self, path: Path, expected: str, what: str, remedy: str) -> None:
        found = sha256(path)
        if found != expected:
            raise DataError(
                f"{path}: {what} has changed: sha256 is {found}, the manifest expects {expected}; {remedy} or "
                "tokenize the stage again"
            )

    def _open(self, index: int) -> NDArray[np.generic]:
        entry = self.manifest.shards[index]
        path = self.folder / entry.path
        if not path.is_file():
            raise DataError(
                f"{path}: the shard is missing; the manifest expects {entry.tokens} tokens, sha256 {entry.sha256}"
            )
        expected, size = entry.tokens * self.dtype.itemsize, path.stat().st_size
        if size != expected:
            raise DataError(
                f"{path}: the shard has changed: {size} bytes, sha256 {sha256(path)}; the manifest expects "
                f"{expected} bytes ({entry.tokens} tokens of {self.manifest.dtype}), sha256 {entry.sha256}"
            )
        return np.memmap(path, dtype=self.dtype, mode="r")

    def _read_documents(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        path = self.folder / "documents.parquet"
        if not path.is_file():
            raise DataError(f"{path}: not found; it names the document of every token")
        try:
            table = pq.read_table(path, columns=["shard", "start", "length"], memory_map=True)
        except (pa.ArrowInvalid, KeyError) as error:
            raise DataError(
                f"{path}: cannot be read ({error}); expected columns shard, start, length, id, source"
            ) from error
        shard, start, length = (table[name].to_numpy().astype(np.int64) for name in ("shard", "start", "length"))
        if not len(shard) or int(shard.min()) < 0 or int(shard.max()) >= len(self.manifest.shards):
            raise DataError(
                f"{path}: shard numbers must lie in 0..{len(self.manifest.shards) - 1} and there must be a document"
            )
        starts = self.bases[shard] + start
        ends = starts + length
        gaps = np.flatnonzero(ends != np.append(starts[1:], self.tokens))
        if int(starts[0]) != 0 or len(gaps):
            row = int(gaps[0]) if len(gaps) else 0
            follows = int(np.append(starts[1:], self.tokens)[row])
            raise DataError(
                f"{path}: row {row} covers tokens {int(starts[row])}..{int(ends[row])} of the stage, "
                f"but the next document starts at {follows}; documents must lie back to back to the end"
            )
        wrong = np.flatnonzero((length < 1) | (ends > self.bases[shard + 1]))
        if len(wrong):
            row = int(wrong[0])
            raise DataError(
                f"{path}: row {row} has {int(length[row])} tokens from {int(start[row])} of shard {int(shard[row])}, "
                f"which holds {self.manifest.shards[int(shard[row])].tokens}; a document has at least its end mark and "
                "lies within one shard"
            )
        return starts, ends

    def _read_excluded(self) -> NDArray[np.bool_]:
        mask = np.zeros(len(self.document_starts), bool)
        rows = np.asarray(self._named, np.int64)
        where = "excluded"
        if (entry := self.manifest.excluded) is not None:
            path = self.folder / entry.path
            where = f"{path} or excluded"
            if not path.is_file():
                raise DataError(f"{path}: not found; the manifest names it as the documents that were taken down")
            self._same(path, entry.sha256, "the table of excluded documents", "restore it")
            try:
                listed = pq.read_table(path, columns=["document"])["document"].to_numpy()
            except (pa.ArrowInvalid, KeyError) as error:
                raise DataError(f"{path}: cannot be read ({error}); expected one int64 column document") from error
            if len(listed) != entry.documents:
                raise DataError(f"{path}: {len(listed)} documents, the manifest expects {entry.documents}")
            rows = np.concatenate([rows, listed.astype(np.int64)])
        if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= len(mask)):
            outside = int(rows[(rows < 0) | (rows >= len(mask))][0])
            raise DataError(f"{where}: no document {outside}; documents.parquet has rows 0..{len(mask) - 1}")
        mask[rows] = True
        return mask


def _reopened(manifest: str, verify: bool, excluded: tuple[int, ...]) -> TokenStage:
    return TokenStage(manifest, verify=verify, excluded=excluded)


def _read_manifest(path: Path) -> TokenManifest:
    if not path.is_file():
        raise DataError(f"{path}: not found; expected the manifest of a tokenized stage (tokens/<stage>/manifest.json)")
    try:
        return TokenManifest.model_validate(json.loads(path.read_text("utf-8")))
    except (ValidationError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: not a valid token manifest: {error}") from error
