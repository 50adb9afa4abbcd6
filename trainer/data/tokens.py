"""The token shards of one stage, as the pipelines write them.

A folder `tokens/<stage>` holds `manifest.json`, `part-*.bin` and `documents.parquet`. Shards are little-endian uint16
(uint32 for vocabularies over 65,535), documents back to back, each ended by the end-of-text token. They are read here
as one long virtual array over all shards, memory-mapped, with positions in tokens.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

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


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class TokenStage:
    """Memory-mapped tokens of one stage with the table of its documents.

    A shard's size is checked on opening and its SHA-256 when it is first read from, so that opening stays cheap and
    no token of a changed shard ever reaches a model.

    Raises:
        DataError: manifest, shard or documents.parquet is missing, malformed or disagrees with the manifest.
    """

    def __init__(self, manifest: Path | str, *, verify: bool = True) -> None:
        given = Path(manifest)
        self.manifest_path = given if given.suffix == ".json" else given / "manifest.json"
        self.folder = self.manifest_path.parent
        self.manifest = _read_manifest(self.manifest_path)
        self.digest = sha256(self.manifest_path)
        """SHA-256 of the manifest; since that names every shard's digest, it stands for the stage's whole content."""
        self.dtype = np.dtype("<u2" if self.manifest.dtype == "uint16" else "<u4")
        self.bases: NDArray[np.int64] = np.concatenate(
            ([0], np.cumsum([shard.tokens for shard in self.manifest.shards]))
        ).astype(np.int64)
        """Global token position at which each shard starts; the last entry is the number of tokens."""
        if int(self.bases[-1]) != self.manifest.tokens:
            raise DataError(
                f"{self.manifest_path}: tokens is {self.manifest.tokens}, but the shards sum to {int(self.bases[-1])}"
            )
        self._verified = [not verify] * len(self.manifest.shards)
        self._maps = [self._open(index) for index in range(len(self.manifest.shards))]
        self.document_starts = self._read_documents()
        """Global token position of each document, ascending; int64 [documents]."""

    @property
    def tokens(self) -> int:
        """Tokens in all shards, end-of-text tokens included."""
        return self.manifest.tokens

    @property
    def tokenizer_path(self) -> Path:
        """The tokenizer.json named by the manifest."""
        return (self.folder / self.manifest.tokenizer.path).resolve()

    def gather(self, starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """Windows of `length` tokens from global positions: int64 [len(starts), length]. Windows may cross shards."""
        out = np.empty((len(starts), length), dtype=np.int64)
        for row, start in enumerate(starts.tolist()):
            shard = int(np.searchsorted(self.bases, start, side="right")) - 1
            filled = 0
            while filled < length:
                tokens = self._shard(shard)
                begin = start + filled - int(self.bases[shard])
                part = tokens[begin : begin + length - filled]
                out[row, filled : filled + len(part)] = part
                filled += len(part)
                shard += 1
        if out.size and int(out.max()) >= self.manifest.vocab_size:
            raise DataError(
                f"{self.folder}: a token id of {int(out.max())} in the windows at {starts.tolist()}, but vocab_size is "
                f"{self.manifest.vocab_size}; tokenize the stage again"
            )
        return out

    def document_rows(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row in documents.parquet of the document each global position belongs to; same shape."""
        return np.searchsorted(self.document_starts, positions, side="right") - 1

    def describe(self, rows: NDArray[np.int64]) -> pa.Table:
        """The rows of documents.parquet with all columns (shard, start, length, id, source), in the order asked."""
        table = pq.read_table(self.folder / "documents.parquet", memory_map=True)
        return table.take(rows)

    def _shard(self, index: int) -> NDArray[np.generic]:
        if not self._verified[index]:
            entry = self.manifest.shards[index]
            found = sha256(self.folder / entry.path)
            if found != entry.sha256:
                raise DataError(
                    f"{self.folder / entry.path}: the shard has changed: sha256 is {found}, the manifest expects "
                    f"{entry.sha256}; restore the shard or tokenize the stage again"
                )
            self._verified[index] = True
        return self._maps[index]

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

    def _read_documents(self) -> NDArray[np.int64]:
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
        follows = np.append(starts[1:], self.tokens)
        gaps = np.flatnonzero(starts + length != follows)
        if int(starts[0]) != 0 or len(gaps):
            row = int(gaps[0]) if len(gaps) else 0
            raise DataError(
                f"{path}: row {row} covers tokens {int(starts[row])}..{int(starts[row] + length[row])} of the stage, "
                f"but the next document starts at {int(follows[row])}; documents must lie back to back to the end"
            )
        return starts


def _read_manifest(path: Path) -> TokenManifest:
    if not path.is_file():
        raise DataError(f"{path}: not found; expected the manifest of a tokenized stage (tokens/<stage>/manifest.json)")
    try:
        return TokenManifest.model_validate(json.loads(path.read_text("utf-8")))
    except (ValidationError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: not a valid token manifest: {error}") from error
