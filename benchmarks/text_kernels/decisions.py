"""Which texts datatrove's filters and the rules here decide alike on, when both are given the same words.

    python -m benchmarks.text_kernels.decisions

datatrove runs in this environment (bare datatrove is part of the curation install); only C4's sentences are spaCy's,
as its default splits them, so that family is left out where spaCy is not installed. What datatrove is given in place of
its word tokenizer are the tokens of ``kernels.words``.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

import filters
from benchmarks.fineweb import words
from filters.rule import Rule

__all__ = ["FAMILIES", "Agreement", "compared", "compared_language", "given", "rules_of", "table", "texts"]

FAMILIES: Final = ("gopher quality", "gopher repetition", "c4", "fineweb")


@dataclass(frozen=True)
class Agreement:
    """How one family decides on the texts of one source."""

    texts: int
    kept: int
    """By the rules here."""
    differ: tuple[int, ...]
    """Numbers of the texts that datatrove decides otherwise on."""

    @property
    def share(self) -> float:
        """Share of texts decided alike."""
        return 1 - len(self.differ) / self.texts


def rules_of(family: str) -> list[Rule]:
    """The rules that one of datatrove's filters corresponds to."""
    if family in ("c4", "fineweb"):
        return filters.rules(family)
    repetition = family == "gopher repetition"
    return [
        rule
        for rule in filters.rules("gopher")
        if rule.signal.startswith(("gopher.duplicate_", "gopher.top_")) == repetition
    ]


def given(tokens: list[str]) -> Any:
    """A tokenizer of datatrove's that knows the words of one text."""
    from datatrove.utils.word_tokenizers import WordTokenizer

    class Given(WordTokenizer):
        def word_tokenize(self, text: str) -> list[str]:
            return tokens

        def sent_tokenize(self, text: str) -> list[str]:
            raise NotImplementedError

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            raise NotImplementedError

    return Given("en")


def _theirs(family: str, text: str, tokens: list[str]) -> bool:
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    if family == "c4":
        made: Any = C4QualityFilter(filter_no_terminal_punct=False)
    elif family == "fineweb":
        made = FineWebQualityFilter(language=given(tokens))
    elif family == "gopher quality":
        made = GopherQualityFilter(language=given(tokens))
    else:
        made = GopherRepetitionFilter(language=given(tokens))
    answer = made.filter(Document(text=text, id="0"))
    return answer[0] if isinstance(answer, tuple) else answer


def compared(family: str, column: Sequence[str]) -> Agreement:
    """Decide on every text twice."""
    column = list(column)
    signals = filters.measure(pa.array(column, pa.large_string()), [family.partition(" ")[0]])
    ours = filters.decide(signals, rules_of(family))["keep"].to_pylist()
    theirs = [_theirs(family, text, tokens) for text, tokens in zip(column, words.of(column), strict=True)]
    differ = tuple(number for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)) if mine != other)
    return Agreement(len(column), sum(ours), differ)


def compared_language(column: Sequence[str]) -> Agreement:
    """English at FineWeb's 0.65: here by a text's beginning, there lid.176 is asked of all of it."""
    import fasttext

    from filters.language import identify, model_path

    model: Any = fasttext.FastText._FastText(str(model_path()))  # as datatrove loads it
    differ: list[int] = []
    kept = 0
    found = identify(pa.array(list(column), pa.large_string())).to_pylist()
    for number, (text, ours) in enumerate(zip(column, found, strict=True)):
        (label,), (score,) = model.predict(text.replace("\n", " "), k=1)
        mine = ours["language"] == "en" and ours["score"] >= 0.65
        kept += mine
        if mine != (label == "__label__en" and score >= 0.65):
            differ.append(number)
    return Agreement(len(column), kept, tuple(differ))


def texts(folder: Path) -> dict[str, list[str]]:
    """The real texts of POMONA_DATA by source; the sentences of one language there are one text here."""
    return {
        "web pages": _column(folder.glob("html_gold/*/index.jsonl.gz"), "gold_text"),
        "code": _column(folder.glob("code/*.jsonl.gz"), "text"),
        "204 languages": _column(folder.glob("langid/flores200_dev_first300.jsonl.gz"), "sentences"),
    }


def _column(paths: Iterable[Path], name: str) -> list[str]:
    """The texts, or joined lists of texts, that the rows of the files have under this name."""
    found: list[str] = []
    for path in sorted(paths):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = [json.loads(line).get(name) for line in file]
        found += ["\n".join(row) if isinstance(row, list) else row for row in rows if row]
    return found


def table(results: Mapping[tuple[str, str], Agreement]) -> str:
    """The result for a reader."""
    rows = [f"{'texts':16}{'family':20}{'texts':>8}{'kept':>8}{'differ':>8}{'alike':>10}"]
    for (source, family), found in results.items():
        rows.append(
            f"{source:16}{family:20}{found.texts:8,}{found.kept:8,}{len(found.differ):8,}{100 * found.share:9.2f}%"
        )
    return "\n".join(rows)


def main() -> int:
    folder = os.environ.get("POMONA_DATA")
    if not folder:
        print("POMONA_DATA: not set, expected the folder of real texts", file=sys.stderr)
        return 2
    known = [family for family in FAMILIES if family != "c4" or importlib.util.find_spec("spacy")]
    sources = texts(Path(folder))
    results = {
        (source, family): compared(family, column)
        for source, column in sources.items()
        for family in known
        if family != "c4" or source == "web pages"
    }
    results["web pages", "language, English"] = compared_language(sources["web pages"])
    print(table(results))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
