"""The decisions of datatrove's own filters, run here, and those of the rules that take its definitions."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import filters
from benchmarks.text_kernels.decisions import FAMILIES, Agreement, compared, compared_language, rules_of, table, texts

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, of datatrove's mean of no words


@pytest.fixture(scope="module")
def sources(pomona_data: Path) -> dict[str, list[str]]:
    found = texts(pomona_data)
    assert len(found["web pages"]) > 800
    return found


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_decisions_are_those_of_datatrove(
    family: str, sources: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    results: dict[tuple[str, str], Agreement] = {}
    for source, column in sources.items():
        if family != "c4" or source == "web pages":  # spaCy takes minutes for the others
            results[source, family] = compared(family, column)
    with capsys.disabled():
        print("\n" + table(results))
    for (source, _), found in results.items():
        assert found.share >= 0.995, (source, found.differ)
    pages = results["web pages", family]
    assert 0 < pages.kept < pages.texts  # both verdicts occur


@pytest.mark.data
def test_english_is_english_there_too(sources: dict[str, list[str]]) -> None:
    """Not a family of the same words: the beginning of a page scores otherwise than the whole of it, near 0.65."""
    found = compared_language(sources["web pages"])
    assert 0.98 < found.share < 1
    assert 0.5 < found.kept / found.texts < 1


@pytest.mark.parametrize("family", FAMILIES)
def test_an_empty_text_has_values_and_no_words(family: str) -> None:
    """datatrove 0.10.1 answers for an empty text as long as a rule before the division drops it; see the next test."""
    if family != "c4":
        assert compared(family, [""]).differ == (() if family != "gopher repetition" else (0,))
    name = family.partition(" ")[0]
    signals = filters.measure(pa.array([""]), [name])
    assert set(signals.to_pylist()[0].values()) == {0.0}
    kept = filters.decide(signals, rules_of(family))["keep"].to_pylist()
    # No run, line or paragraph of an empty text is repeated, so that rules of repetition alone keep it.
    assert kept == [family == "gopher repetition"]


def test_datatrove_divides_by_zero_where_no_rule_on_words_comes_first() -> None:
    """Its Gopher filter without a least number of words is wrong on texts without words: it ends the whole task."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import GopherQualityFilter

    from benchmarks.text_kernels.decisions import given

    with pytest.raises(ZeroDivisionError):
        GopherQualityFilter(min_doc_words=None, language=given([])).filter(Document(text="", id="0"))
    rules = [rule for rule in filters.rules("gopher") if rule.signal != "gopher.words"]
    decided = filters.decide(filters.measure(pa.array([""]), ["gopher"]), rules).to_pylist()[0]
    assert not decided["keep"]
    assert decided["reason"] == "gopher-short-words"
