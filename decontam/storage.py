"""An index on disk: one folder of flat arrays, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray
from pyarrow import ipc
from pydantic import ValidationError

from decontam.method import Method
from decontam.seeds import ngrams
from decontam.tokens import tokens

__all__ = ["load", "save"]

FORMAT: Final = "pomona-decontam-index-4"
MANIFEST: Final = "manifest.json"
# Its n-grams tell whether this code splits and hashes words as the code that made an index did.
_PROBE_TEXT: Final = "A probe: don't, 3.14, x^2 \u00e9 e\u0301 \u0e14\u0e35 \u304c \u4e2d\u6587 ends here"


def save(path: Path, method: Method, tables: dict[str, pa.Table], arrays: dict[str, NDArray[Any]]) -> None:
    """Write all files to a temporary folder beside ``path``, the manifest last, and rename it.

    Raises:
        FileExistsError: something is at ``path``.
    """
    if path.exists():
        raise FileExistsError(f"{path}: something is there; choose another folder or remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for name, array in arrays.items():
        np.save(temporary / f"{name}.npy", array, allow_pickle=False)
    for name, table in tables.items():
        with ipc.new_file(temporary / f"{name}.arrow", table.schema) as writer:
            writer.write_table(table)
    names = [*(f"{name}.npy" for name in arrays), *(f"{name}.arrow" for name in tables)]
    manifest = {
        "format": FORMAT,
        "method": method.model_dump(),
        "probe": _probe(method),
        "files": {name: _digest(temporary / name) for name in sorted(names)},
    }
    (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for entry in sorted(temporary.iterdir()):
        _sync(entry)
    _sync(temporary)
    temporary.rename(path)
    _sync(path.parent)


def load(path: Path) -> tuple[Method, dict[str, pa.Table], dict[str, NDArray[Any]]]:
    """Read what ``save`` wrote, checked against its digests; arrays and texts stay on disk until they are used.

    Raises:
        FileNotFoundError: there is no manifest.
        ValueError: the manifest or a file is damaged, or other code made the index.
    """
    if not (path / MANIFEST).exists():
        raise FileNotFoundError(
            f"{path}: no index of benchmarks (no {MANIFEST}); make one with Index.build and save it"
        )
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if manifest.get("format") != FORMAT:
            raise ValueError(f"{path}: format {manifest.get('format')!r}, expected {FORMAT!r}; build the index again")
        method = Method.model_validate(manifest["method"])
        files: dict[str, str] = manifest["files"]
    except (json.JSONDecodeError, UnicodeDecodeError, ValidationError, KeyError, AttributeError) as error:
        raise ValueError(f"{path / MANIFEST}: damaged ({error}); build the index again") from error
    for name, digest in files.items():
        if not (path / name).exists():
            raise ValueError(f"{path / name}: missing; build the index again")
        if not (path / name).stat().st_size or _digest(path / name) != digest:
            raise ValueError(f"{path / name}: damaged (its digest is not that of the manifest); build the index again")
    if manifest.get("probe") != _probe(method):
        raise ValueError(f"{path}: made by code that splits or hashes words differently; build the index again")
    arrays = {name[:-4]: np.load(path / name, mmap_mode="r") for name in files if name.endswith(".npy")}
    tables = {
        name[:-6]: ipc.open_file(pa.memory_map(str(path / name))).read_all()
        for name in files
        if name.endswith(".arrow")
    }
    return method, tables, arrays


def _probe(method: Method) -> str:
    found = tokens(pa.array([_PROBE_TEXT]), method.drop_labels)
    grams: Any = ngrams(found.offsets, found.hashes, 2)
    return hashlib.sha256(grams[0].tobytes()).hexdigest()[:32]


def _digest(path: Path) -> str:
    """XXH3 of a file, where it lies in the system's memory: all of an index is read when it is opened."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return xxhash.xxh3_128(content).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
