"""A process of its own in which the kernels check every index, and fresh memory is full of rubbish.

Numba's compiled loops neither check bounds nor clear memory. With NUMBA_BOUNDSCHECK they do the former (its kernels are
kept in a folder of their own: the cache does not tell them apart), and with glibc's `malloc.perturb` a read of memory
that nobody has written gives other results here than in the process that compares.
"""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
import traceback
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
_LENGTH = struct.Struct("<Q")


class Checked:
    """The process; use it as a context."""

    def __init__(self, cache: Path) -> None:
        environment = os.environ | {
            "NUMBA_BOUNDSCHECK": "1",
            "NUMBA_CACHE_DIR": str(cache),
            "GLIBC_TUNABLES": "glibc.malloc.perturb=90",
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "tests.fuzz.checked"]
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=ROOT
        )

    def __enter__(self) -> Checked:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait(30)

    def outcomes(self, pages: list[bytes]) -> list[tuple[Any, ...]]:
        """What becomes of the pages, one after the other; ("raised", ...) for an error that no engine may raise."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        _send(self._child.stdin, pages)
        found = _received(self._child.stdout)
        assert found is not None, f"a page ended the process: {self._child.wait(30)}; one of {pages!r}"
        return found


def _send(stream: IO[bytes], value: Any) -> None:
    data = pickle.dumps(value)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def _received(stream: IO[bytes]) -> Any:
    head = stream.read(_LENGTH.size)
    return pickle.loads(stream.read(_LENGTH.unpack(head)[0])) if len(head) == _LENGTH.size else None


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    from tests.fuzz.outcome import outcome

    while (pages := _received(sys.stdin.buffer)) is not None:
        found: list[tuple[Any, ...]] = []
        for page in pages:
            try:
                found.append(outcome(page))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what the test looks for
                found.append(("raised", type(error).__name__, str(error), traceback.format_exc()))
        _send(answers, found)


if __name__ == "__main__":
    _serve()
