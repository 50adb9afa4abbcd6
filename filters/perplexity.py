"""Signals ``perplexity``: how surprised a language model is, as in CCNet (Wenzek et al. 2020, arXiv 1911.00359).

The perplexity of a document is 10^(-s/n): s the sum of the log10 scores of its lines, each between <s> and </s>, n the
number of their tokens and one more for each line; lines are normalised as in cc_net's ``text_normalizer.normalize``
(lower case, no accents, every digit 0, plain punctuation, no control characters), and blank ones are left out. CCNet
cuts at the terciles of a corpus, per language, and keeps them all; OpenWebMath drops above 15,000 under a model of
Proof-Pile. So there is no preset: a threshold belongs to a model.

The model is a file that a recipe gives as the family's reference:

- ``NAME.arpa`` or ``NAME.arpa.gz``: read into memory and scored here, without another library;
- anything else (``NAME.arpa.bin``, ``NAME.binary``): KenLM's binary format, which needs the package ``kenlm``
  (LGPL-2.1, an extra). KenLM scores a line at a time.

Where ``NAME.sp.model`` lies beside it, tokens are SentencePiece's, as in CCNet (package ``sentencepiece``, in the same
extra); otherwise they stand between white space. Perplexity is 0 for a text without tokens, and the share of unknown
tokens too. Without a model nothing can be measured, and asking for the family is an error.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filters.batch import Batch, ratio, sums
from filters.family import Family, Measure
from kernels.backoff import BackoffModel, LineScores, backoff_model, score_lines
from kernels.spaced import spaced_tokens, spelling_hash
from kernels.strings import TextBatch, text_batch

__all__ = ["FAMILY", "normalised", "read_arpa"]

_SIGNS: Final = (
    *(
        ("[，、]", ","),
        ("。", "."),
        ("[„”“«»１」「《》]", '"'),
        ("[´’]", "'"),
        ("[∶：]", ":"),
        ("？", "?"),
        ("！", "!"),
    ),
    *(("（", "("), ("）", ")"), ("；", ";"), ("[–━►]", "-"), ("—", " - "), ("．", ". "), ("～", "~"), ("…", "...")),
    *(("〈", "<"), ("〉", ">"), ("【", "["), ("】", "]"), ("％", "%")),
)
"""cc_net's UNICODE_PUNCT as it stands there: a full-width 1 becomes a quotation mark, and models were trained so."""


class Scorer(Protocol):
    """Scores lines."""

    def __call__(self, lines: pa.Array[Any], /) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        """Return log10 score, tokens and unknown tokens of each line."""
        ...


def normalised(lines: pa.Array[Any]) -> pa.Array[Any]:
    """Lines as cc_net's ``normalize`` leaves them."""
    text: Any = pc.utf8_trim_whitespace(lines)
    text = pc.utf8_normalize(pc.utf8_lower(text), "NFD")
    text = pc.replace_substring_regex(text, r"\p{Mn}", "")
    text = pc.replace_substring_regex(text, r"\p{Nd}", "0")
    for signs, plain in _SIGNS:
        text = pc.replace_substring_regex(text, signs, plain)
    return pc.replace_substring_regex(text, r"[\x00-\x1f\x7f-\x{9f}]", "")


def read_arpa(path: Path) -> BackoffModel:
    """Read an ARPA file.

    Raises:
        ValueError: it is none; the message names the line.
    """
    hashes: dict[str, int] = {}
    words: list[int] = []
    ends = [0]
    scores: list[float] = []
    backoffs: list[float] = []
    order = number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for line in lines:
                number += 1
                fields = line.split()
                if not fields:
                    continue
                if fields[0] == "\\end\\":
                    break
                if fields[0].startswith("\\") and len(fields) == 1:
                    order = int(fields[0][1:].partition("-")[0]) if fields[0].endswith("-grams:") else 0
                    continue
                if not order:
                    continue
                if len(fields) not in (order + 1, order + 2):
                    raise ValueError(f"found {len(fields)} fields, expected {order + 1} or {order + 2}")
                scores.append(float(fields[0]))
                backoffs.append(float(fields[order + 1]) if len(fields) == order + 2 else 0.0)
                for word in fields[1 : order + 1]:
                    if word not in hashes:
                        hashes[word] = spelling_hash(word)
                    words.append(hashes[word])
                ends.append(len(words))
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"perplexity: {path}, line {number}: {error}; expected a language model in ARPA form"
        ) from error
    if not scores:
        raise ValueError(f"perplexity: {path} holds no n-grams; expected a language model in ARPA form")
    return backoff_model(
        np.array(words, np.uint64), np.array(ends, np.int64), np.array(scores), np.array(backoffs, np.float64)
    )


def _arpa_scorer(model: BackoffModel) -> Scorer:
    def score(lines: pa.Array[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        tokens = spaced_tokens(text_batch(lines))
        found: LineScores = score_lines(model, tokens.offsets, tokens.hashes)
        return found.log10, np.diff(tokens.offsets), found.unknown

    return score


def _kenlm_scorer(path: Path) -> Scorer:
    _require("kenlm", path)
    import kenlm  # pyright: ignore[reportMissingImports]

    try:
        model: Any = kenlm.Model(str(path))  # pyright: ignore
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"perplexity: KenLM cannot read {path}: {error}; give an ARPA file or KenLM's binary"
        ) from error

    def score(lines: pa.Array[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        count = len(lines)
        log10, tokens, unknown = np.zeros(count), np.zeros(count, np.int64), np.zeros(count, np.int64)
        for i, line in enumerate(lines.to_pylist()):  # KenLM reads a line at a time
            scored: list[tuple[float, int, bool]] = list(model.full_scores(line))
            log10[i] = sum(one[0] for one in scored)
            tokens[i] = len(scored) - 1
            unknown[i] = sum(one[2] for one in scored)
        return log10, tokens, unknown

    return score


def _pieces(path: Path) -> Callable[[pa.Array[Any]], pa.Array[Any]]:
    """SentencePiece's pieces of each line, spaces between."""
    _require("sentencepiece", path)
    import sentencepiece  # pyright: ignore[reportMissingImports]

    processor: Any = sentencepiece.SentencePieceProcessor()  # pyright: ignore
    processor.Load(str(path))

    def split(lines: pa.Array[Any]) -> pa.Array[Any]:
        encoded: Iterable[list[str]] = processor.EncodeAsPieces(lines.to_pylist())
        return pa.array([" ".join(pieces) for pieces in encoded], pa.large_string())

    return split


def _require(package: str, path: Path) -> None:
    if find_spec(package) is None:
        raise ModuleNotFoundError(
            f"perplexity: reading {path.name} needs the package {package}; pip install 'pomona[perplexity]'",
            name=package,
        )


def _tokeniser(path: Path) -> Path:
    return path.parent / (path.name.partition(".arpa")[0].removesuffix(".binary") + ".sp.model")


def _check(path: Path) -> None:
    if not _is_arpa(path):
        _require("kenlm", path)
    if _tokeniser(path).is_file():
        _require("sentencepiece", _tokeniser(path))


def _is_arpa(path: Path) -> bool:
    return path.name.endswith((".arpa", ".arpa.gz"))


def _with_reference(path: Path) -> Measure:
    if not path.is_file():
        raise FileNotFoundError(f"perplexity: there is no language model {path}; give an ARPA file or KenLM's binary")
    score = _arpa_scorer(read_arpa(path)) if _is_arpa(path) else _kenlm_scorer(path)
    tokeniser = _tokeniser(path)
    split = _pieces(tokeniser) if tokeniser.is_file() else None

    def measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
        lines = batch.lines
        text = normalised(_line_texts(batch.texts))
        log10, tokens, unknown = score(text if split is None else split(text))
        some = tokens > 0
        total = _float_sums(np.where(some, log10, 0), lines.offsets)
        count = sums(tokens + some, lines.offsets)
        exponent = np.divide(-total, count, out=np.zeros(len(batch)), where=count > 0)
        return {
            "perplexity": np.where(count > 0, 10 ** np.minimum(exponent, 300), 0),
            "unknown_ratio": ratio(sums(unknown, lines.offsets), sums(tokens, lines.offsets)),
        }

    return measure


def _line_texts(texts: TextBatch) -> pa.Array[Any]:
    """The lines between newlines as valid strings; bytes that are not UTF-8 become U+FFFD."""
    buffers = [None, pa.py_buffer(texts.offsets), pa.py_buffer(texts.data)]
    whole: Any = pa.Array.from_buffers(pa.large_binary(), len(texts.offsets) - 1, buffers)
    try:
        valid: Any = whole.cast(pa.large_string())
    except pa.ArrowInvalid:
        valid = pa.array([text.decode("utf-8", "replace") for text in whole.to_pylist()], pa.large_string())
    return pc.split_pattern(valid, "\n").flatten()


def _float_sums(values: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum of each text's values, added up in their order alone, so that other texts cannot change a digit."""
    found = np.zeros(len(offsets) - 1)
    some = offsets[1:] > offsets[:-1]
    if some.any():
        found[some] = np.add.reduceat(values, offsets[:-1][some])
    return found


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    raise ValueError(
        'perplexity: found no language model, expected one as the reference of the family: references={"perplexity": '
        '"en.arpa"}'
    )


FAMILY = Family(
    "perplexity",
    {
        "perplexity": "of the normalised text under the given language model",
        "unknown_ratio": "share of tokens that the model does not know",
    },
    _measure,
    with_reference=_with_reference,
    beside=_tokeniser,
    check=_check,
)
