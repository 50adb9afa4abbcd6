"""What the tokenizers library takes each code point for: a letter, a mark, a number, white space."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import Regex, pre_tokenizers

from kernels.pretokens import LETTER, MARK, NUMBER, SPACE

_CLASSES = ((r"\p{L}", LETTER), (r"\p{M}", MARK), (r"\p{N}", NUMBER), (r"\s", SPACE))


@cache
def classes() -> NDArray[np.uint8]:
    """Classes of each code point, as bits; uint8 [0x110000].

    Asking takes seconds, so that the answer is kept beside the compiled kernels, by the library's version.
    """
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    file = folder / f"code-points-{tokenizers.__version__}.npy"
    if file.is_file():
        try:
            found = np.load(file)
            if found.dtype == np.uint8 and found.shape == (0x110000,):
                return _fixed(found)
        except (OSError, ValueError, EOFError):
            pass  # cut off or foreign: it is made again
    made = asked()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as sink:
            np.save(sink, made)
        Path(sink.name).replace(file)
    except OSError:
        return _fixed(made)  # a place that cannot be written to costs the seconds again, no more
    return _fixed(made)


def asked() -> NDArray[np.uint8]:
    """Ask the library about every code point."""
    points = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    text = "".join(map(chr, points))
    codes = np.asarray(points)
    found = np.zeros(0x110000, np.uint8)
    for pattern, bit in _CLASSES:
        split = pre_tokenizers.Split(Regex(f"{pattern}+"), behavior="isolated")
        for piece, (begin, end) in split.pre_tokenize_str(text):
            if _all_are(piece, pattern):
                found[codes[begin:end]] |= bit
    return found


def _all_are(piece: str, pattern: str) -> bool:
    """Whether a piece is a match and not what lies between two: that of its first character says."""
    split = pre_tokenizers.Split(Regex(pattern), behavior="removed")
    return not split.pre_tokenize_str(piece[0])


def _fixed(found: NDArray[np.uint8]) -> NDArray[np.uint8]:
    found.flags.writeable = False
    return found
