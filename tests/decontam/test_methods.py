"""What each published method calls a leak, and what it does not; and texts that are hostile to all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from decontam import Benchmark, Index, Method
from decontam.evidence import aligned
from decontam.folding import folded
from decontam.method import METHODS
from decontam.runs import MOST_HITS
from kernels.strings import text_batch
from tests.growth import is_linear

TEXT = (
    "Seven lighthouse keepers rowed across the frozen estuary with copper kettles, brass lanterns and eleven barrels "
    "of whale oil before the winter of 1911 closed every harbour on the northern coast. How many barrels were lost?"
)
WORDS = TEXT.split()


def index(method: str, question: str = TEXT, common: Any = ()) -> Index:
    return Index.build([Benchmark("b", pa.table({"id": ["q"], "question": [question]}))], method, common)


def hits(found: Index, text: str) -> int:
    return found.scan(pa.array([text])).num_rows


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_finds_the_whole_question(method: str, pages: list[str]) -> None:
    found = index(method)
    page = f"{pages[3]}\n\n{TEXT}\n\n{pages[4]}"
    (hit,) = found.scan(pa.array([page])).to_pylist()
    assert TEXT[:-1] in page[hit["start"] : hit["end"]]
    assert hit["score"] > 0.95
    assert hits(found, pages[3]) == 0


def test_afm_drops_on_any_4_gram_that_is_not_common() -> None:
    found = index("afm")
    assert hits(found, f"it says {' '.join(WORDS[3:7])} there") == 1
    assert hits(found, f"it says {' '.join(WORDS[3:6])} there") == 0


def test_afm_keeps_what_is_common_and_drops_a_rare_n_gram_around_it() -> None:
    found = index("afm")
    grams, counts = found.count(pa.array([f"it says {' '.join(WORDS[3:8])} there"] * 3))
    assert set(counts.tolist()) == {3}
    assert len(grams) == 3  # two 4-grams and the 5-gram
    usual = index("afm", common=grams)
    assert hits(usual, " ".join(WORDS[3:8])) == 0
    assert hits(usual, " ".join(WORDS[3:9])) == 1  # its 6-gram is in no three documents
    assert hits(usual, " ".join(WORDS[20:24])) == 1


def test_afm_counts_n_grams_up_to_13_words_and_a_text_once() -> None:
    found = index("afm")
    run = " ".join(WORDS[:15])
    grams, counts = found.count(pa.array([f"{run} and again {run}", "nothing of it"]))
    assert len(grams) == sum(15 - n + 1 for n in range(4, 14))
    assert set(counts.tolist()) == {1}
    halves = [found.count(pa.array([text])) for text in (f"{run} and again {run}", "nothing of it")]
    assert np.array_equal(halves[0][0], grams)
    assert len(halves[1][0]) == 0


def test_llama_takes_the_share_of_tokens_inside_8_grams() -> None:
    found = index("llama")
    count = len(WORDS)
    assert hits(found, " ".join(WORDS[: int(0.85 * count)])) == 1
    assert hits(found, " ".join(WORDS[: int(0.7 * count)])) == 0
    broken = [*WORDS[:7], "x", *WORDS[7:14], "x", *WORDS[14:21], "x", *WORDS[21:28], "x", *WORDS[28:]]
    assert hits(found, " ".join(broken)) == 0


def test_qwen2_takes_a_common_subsequence_of_13_words_and_six_tenths() -> None:
    found = index("qwen2")
    every_third_replaced = [word if k % 6 != 5 else "other" for k, word in enumerate(WORDS)]
    assert hits(found, " ".join(every_third_replaced)) == 1
    assert hits(found, " ".join(WORDS[:12])) == 0
    assert hits(found, " ".join(WORDS[: len(WORDS) // 2])) == 0


def test_decon_takes_eight_tenths_of_the_weight_in_5_grams() -> None:
    found = index("decon")
    assert hits(found, " ".join(WORDS[: int(0.9 * len(WORDS))])) == 1
    assert hits(found, " ".join(WORDS[: int(0.6 * len(WORDS))])) == 0


def test_gpt3_is_the_method_that_was_called_ngram() -> None:
    text = pa.array([" ".join(WORDS[2:15]), " ".join(WORDS[2:14])])
    assert index("gpt3").scan(text).equals(index("ngram").scan(text))
    assert index("gpt3").scan(text)["row"].to_pylist() == [0]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_hostile_texts_take_no_quadratic_time(method: str) -> None:
    found = index(method, f"{'buffalo ' * 200} {TEXT}")
    assert is_linear(lambda text: hits(found, text), lambda words: "buffalo " * words, 20_000)


def test_identical_documents_take_linear_time() -> None:
    found = index("default")
    column = pa.array([f"A page. {TEXT} The end."] * 20_000)
    assert found.scan(column).num_rows == 20_000
    assert is_linear(found.scan, lambda rows: column.slice(0, rows), 2500)


@pytest.mark.slow
def test_a_million_identical_documents() -> None:
    found = index("default")
    assert found.scan(pa.array([TEXT] * 1_000_000, pa.large_string())).num_rows == 1_000_000


def test_look_alikes_and_digits_of_other_scripts_are_one() -> None:
    found = index("default")
    table = str.maketrans("aeopc0123456789", "аеорс٠١٢٣٤٥٦٧٨٩")
    (hit,) = found.scan(pa.array([f"😀 {TEXT.translate(table)} ."])).to_pylist()
    assert hit["score"] == 1.0
    assert (hit["start"], hit["end"]) == (2, 2 + len(TEXT))
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in TEXT)
    assert hits(found, wide) == 1


def test_folding_keeps_code_points_and_leaves_other_text_alone() -> None:
    texts = ["plain", "é ñ 中文 ดี \ud7a3", "", "Ａ１²３ аб", "x"]
    batch = folded(text_batch(pa.array(texts)))
    after = [bytes(batch.data[a:b]).decode() for a, b in zip(batch.offsets, batch.offsets[1:], strict=False)]
    assert [len(text) for text in after] == [len(text) for text in texts]
    assert after == ["plain", "é ñ 中文 ดี \ud7a3", "", "A1²3 aб", "x"]
    same = text_batch(pa.array(["no look-alikes: é"]))
    assert folded(same) is same


def test_evidence_shows_what_each_text_has_of_the_other() -> None:
    assert aligned("The CAT sat, there", "the dog sat there") == "The [-dog-] {+CAT+} sat, there"
    assert aligned("", "a") == "[-a-]"
    assert aligned("x " * 500, "x " * 500).endswith("…")


@pytest.mark.parametrize("method", ["default", "qwen2"])
def test_a_long_item_is_found_where_a_phrase_of_it_stands_far_from_its_place(method: str, pages: list[str]) -> None:
    # The phrase at the item's start stands at its end too, so it is found 2,800 diagonals away from all the rest.
    words = list(dict.fromkeys(" ".join(pages[-40:]).split()))[:1400]
    words = [f"{word}{k}" for k in range(2) for word in words]
    phrase = "seven lighthouse keepers rowed across a frozen estuary with copper kettles".split()  # noqa: SIM905
    found = index(method, " ".join([*phrase, *words, *phrase]))
    text = " ".join([*phrase, *words[:2300]])
    (hit,) = found.scan(pa.array([text])).to_pylist()
    assert hit["score"] > 0.7
    assert text.startswith(text[hit["start"] : hit["end"]][:200])


def test_the_band_of_diagonals_is_a_setting() -> None:
    # A long digression inside a copy: the item's second half lies beyond a narrow band.
    words = [f"word{k}" for k in range(900)]
    text = " ".join([*words[:300], *("aside",) * 200, *words[300:]])
    benchmark = Benchmark("b", pa.table({"id": ["q"], "question": [" ".join(words)]}))
    wide = Method.named("qwen2")
    assert wide.band == 512
    narrow = wide.model_copy(update={"band": 64, "gap_cost": 0.0, "min_score": 0.9})
    assert len(Index.build([benchmark], narrow.model_copy(update={"band": 512})).scan(pa.array([text]))) == 1
    assert len(Index.build([benchmark], narrow).scan(pa.array([text]))) == 0


def test_of_afm_no_more_passages_are_listed_than_stated_and_the_others_are_counted() -> None:
    items = MOST_HITS + 500
    questions = [f"{' '.join(WORDS[:6])} number{k} of the list" for k in range(items)]
    table = pa.table({"id": list(range(items)), "question": questions})
    found = Index.build([Benchmark("b", table)], "afm")
    shown = found.scan_shown(pa.array(["nothing of it", f"it says {' '.join(WORDS[:6])} there", "nothing"]))
    assert shown.num_rows == MOST_HITS
    assert set(shown["beyond"].to_pylist()) == {500}
    assert "item_text" not in shown.column_names
    assert found.item_texts(shown["number"].to_pylist()[:2]) == questions[:2]


def test_of_afm_an_item_that_is_common_throughout_is_not_checkable() -> None:
    found = index("afm")
    grams, _ = found.count(pa.array([TEXT]))
    lost = index("afm", common=grams)
    (row,) = lost.not_checkable.to_pylist()
    assert row["reason"].startswith("common")
    assert hits(lost, TEXT) == 0
    # One 13-gram of it that is rare, and it is looked for again.
    kept, _ = found.count(pa.array([" ".join(WORDS[:16]), " ".join(WORDS[8:])]))
    assert len(kept) < len(grams)
    assert len(index("afm", common=kept).not_checkable) == 0
