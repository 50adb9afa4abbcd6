"""A corpus that texts are compared with: how frequent its tokens are.

    python -m filters.reference OUT.npz TEXTS.txt...

counts the tokens of text files (UTF-8, each file one text). The reference in this package, ``token_reference.npz``, is
English: SQLite's documentation (public domain), PostgreSQL's (PostgreSQL licence), SymPy's (BSD-3-Clause), State of the
Union and inaugural addresses (public domain). It holds numbers of tokens in hashed buckets and no text. A recipe for
another language or kind of text needs one of its own.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterable
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kernels.divergence import BUCKETS, bucket_counts
from kernels.strings import portions, text_batch
from kernels.words import words

__all__ = ["build_reference", "load_reference", "own_reference", "save_reference"]

_OWN: Final = "token_reference.npz"
_PORTION: Final = 8 << 20  # bytes of text counted together


def build_reference(texts: Iterable[pa.Array[Any] | pa.ChunkedArray[Any]]) -> NDArray[np.int64]:
    """Count the tokens of texts in each bucket."""
    counts = np.zeros(BUCKETS, np.int64)
    for text in texts:
        for batch in portions(text_batch(text), _PORTION):
            counts += bucket_counts(batch, words(batch))
    return counts


def save_reference(path: Path, counts: NDArray[np.int64]) -> None:
    """Write counts so that ``load_reference`` can read them."""
    with path.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, counts=counts.astype(np.uint32))


def load_reference(path: Path) -> NDArray[np.float64]:
    """Bits of each bucket's probability, every count raised by one so that no token is impossible.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no reference, or of another number of buckets.
    """
    hint = "make one with python -m filters.reference OUT.npz TEXTS.txt"
    try:
        with np.load(path, allow_pickle=False) as stored:
            counts = stored["counts"].astype(np.float64)
    except FileNotFoundError:
        raise FileNotFoundError(f"token reference: there is no file {path}; {hint}") from None
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"token reference {path}: found no counts of tokens ({error}); {hint}") from error
    if counts.shape != (BUCKETS,):
        raise ValueError(f"token reference {path}: found {counts.shape}, expected ({BUCKETS},); {hint}")
    bits = -np.log2((counts + 1) / (counts.sum() + BUCKETS))
    bits.flags.writeable = False
    return bits


@cache
def own_reference() -> NDArray[np.float64]:
    """The English reference of this package."""
    with as_file(files("filters").joinpath(_OWN)) as path:
        return load_reference(path)


def _main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        print("usage: python -m filters.reference OUT.npz TEXTS.txt...", file=sys.stderr)
        return 2
    texts = (pa.array([Path(name).read_bytes()], pa.large_binary()) for name in arguments[1:])
    counts = build_reference(texts)
    save_reference(Path(arguments[0]), counts)
    print(f"{arguments[0]}: {int(counts.sum()):,} tokens in {int((counts > 0).sum()):,} buckets")
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
