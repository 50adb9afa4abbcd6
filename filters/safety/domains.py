"""Lists of addresses: which documents come from a host, or a place on it, that a list names.

``python -m filters.safety.domains --out adult.npz ut1/adult`` compiles folders of UT1 (files ``domains`` and
``urls``, an entry a line) or such files into one list; ``listed`` asks it of a column of addresses. A text file of
entries will do as well: it is compiled when it is read. UT1 is CC-BY-SA-4.0 and is not part of Pomona.

An IP address is matched as a host, and by no parent of it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kernels.addresses import AddressList, address_list, fingerprints
from kernels.addresses import listed as _listed
from kernels.distinct import distinct
from kernels.strings import text_batch

__all__ = ["build", "false_positive_rate", "listed", "main", "read"]

_NAMES: Final = ("domains", "urls", "domains.gz", "urls.gz")
_FORM: Final = 1


def listed(uri: pa.Array[Any] | pa.ChunkedArray[Any], path: str | Path) -> NDArray[np.bool_]:
    """Which addresses are on a list.

    Args:
        uri: strings; an address with or without a scheme. A null is on no list.
        path: a list, compiled or as text; read once a process.
    """
    return _listed(text_batch(uri), read(Path(path)))


def read(path: Path) -> AddressList:
    """Read a list, compiled or as text.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no list, or an empty one.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list of addresses; make it with python -m filters.safety.domains")
    status = path.stat()
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=32)
def _read(path: Path, changed: int, size: int) -> AddressList:
    if path.suffix != ".npz":
        return build([path])[0]
    try:
        with np.load(path) as arrays:
            if int(arrays["form"]) != _FORM:
                raise ValueError(f"found form {int(arrays['form'])}, expected {_FORM}")
            return AddressList(arrays["firsts"], arrays["rest"], int(arrays["bits"]))
    except (EOFError, KeyError, OSError, ValueError, BadZipFile) as error:
        raise ValueError(f"{path}: {error}; expected a list made by python -m filters.safety.domains") from error


def build(paths: Sequence[Path]) -> tuple[AddressList, dict[str, Any]]:
    """Compile files of entries, or folders that hold files ``domains`` and ``urls``.

    Returns:
        The list, and what is to be told of it: entries, lines without a domain (left out), digests of the files.

    Raises:
        FileNotFoundError: a path that is not there, or a folder without such files.
        ValueError: no entries at all.
    """
    found: list[NDArray[np.uint64]] = []
    left_out = 0
    digests: dict[str, str] = {}
    for file in (file for path in paths for file in _files(path)):
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        digests[f"{file.parent.name}/{file.name}"] = hashlib.sha256(data).hexdigest()
        entries = [line for line in data.decode("utf-8", "surrogateescape").split("\n") if line.strip()]
        column = pa.array([one.strip().encode("utf-8", "surrogateescape") for one in entries if one[0] != "#"])
        if len(column):
            keys, none = fingerprints(text_batch(column))
            left_out += int(none.sum())
            found.append(keys[~none])
    keys = distinct(np.concatenate(found)) if found else np.zeros(0, np.uint64)
    if not len(keys):
        raise ValueError(f"{', '.join(map(str, paths))}: found no entries, expected a domain or an address a line")
    compiled = address_list(keys)
    facts = {
        "entries": len(keys),
        "left_out": left_out,
        "bytes": compiled.firsts.nbytes + compiled.rest.nbytes,
        "false_positive_rate": false_positive_rate(compiled),
        "sha256": digests,
    }
    return compiled, facts


def false_positive_rate(among: AddressList) -> float:
    """The probability that one lookup of a name that is not listed says it is."""
    return len(among.rest) / 2.0 ** (among.bits + 32)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    files = [path / name for name in _NAMES if (path / name).is_file()]
    if not files:
        raise FileNotFoundError(f"{path}: found neither a file nor a folder with {' or '.join(_NAMES[:2])}")
    yield from files


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile a list and tell of it."""
    parser = argparse.ArgumentParser(prog="python -m filters.safety.domains", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, help="folders of UT1, or files with an entry a line")
    parser.add_argument("--out", type=Path, required=True, help="the list to write, NAME.npz")
    asked = parser.parse_args(arguments)
    if asked.out.suffix != ".npz":
        parser.error(f"--out: found {asked.out}, expected a name that ends in .npz")
    compiled, facts = build(asked.paths)
    with asked.out.open("wb") as stream:
        np.savez(
            stream, form=_FORM, firsts=compiled.firsts, rest=compiled.rest, bits=compiled.bits, facts=json.dumps(facts)
        )
    print(json.dumps(facts, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
