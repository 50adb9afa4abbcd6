"""Questions that say too little alone: with their solution they are found, and a solution alone is no leak."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pytest

from decontam import Benchmark, Index
from decontam.recall import chosen, recall
from decontam.sources import from_file

SHORT = "Write a function to find the volume of a cube."
CODE = "def cube_volume(edge):\n    volume = edge * edge * edge\n    return volume"
LONG = "How many of the forty-one lighthouses on the northern coast were still lit by oil lamps in the winter of 1911?"


def index_of(**columns: object) -> Index:
    count = len(next(iter(columns.values())))  # type: ignore[arg-type]
    return Index.build([Benchmark("b", pa.table({"id": [f"q{k}" for k in range(count)], **columns}))])


@pytest.mark.parametrize("field", ["solution", "answer", "tests"])
def test_a_question_that_says_too_little_is_found_with_what_solves_it(field: str) -> None:
    index = index_of(question=[SHORT, LONG], **{field: [CODE, "Seven."]})
    assert index.with_solution == {("b", "q0")}
    assert index.not_checkable.num_rows == 0
    page = "Some page on geometry.\n\n{}\n\nMore of the page, on other bodies."
    texts = [f"{SHORT}\n{CODE}", f"{SHORT.upper()}\r\n\r\n{CODE}\r\n", f"{SHORT}\n\nAnswer:\n{CODE}", SHORT, CODE, LONG]
    found = index.scan(pa.array([page.format(text) for text in texts]))
    assert found["row"].to_pylist() == [0, 1, 2, 5]


def test_what_no_solution_helps_is_reported() -> None:
    index = index_of(question=["Who was Ada?", "", SHORT], solution=["Yes.", CODE, None], choices=[None, None, None])
    assert {row["item"] for row in index.not_checkable.to_pylist()} == {"q0", "q1", "q2"}
    assert "solution" in index.not_checkable["reason"][2].as_py()
    assert index.with_solution == set()


def test_choices_are_asked_before_a_solution() -> None:
    index = index_of(
        question=["Best?"],
        choices=[["a brass sextant from Bristol", "an ebony octant made in Whitby"]],
        solution=["The brass sextant, since Bristol's instrument makers graduated their limbs by hand."],
    )
    assert index.with_solution == set()
    assert index.not_checkable.num_rows == 0


def test_recall_plants_such_an_item_with_its_solution(pages: list[str]) -> None:
    items = pa.table({"id": ["short", "long"], "question": [SHORT, LONG], "solution": [CODE, "Seven."]})
    benchmark = Benchmark("b", items)
    index = Index.build([benchmark])
    found = recall(index, chosen(index, [benchmark], 2), pages)
    assert (found["question only"].planted, found["question only"].found) == (1, 1)
    assert (found["with solution"].planted, found["with solution"].found) == (2, 2)
    assert (found["re-cased"].planted, found["re-cased"].found) == (2, 2)


@pytest.mark.data
def test_leaked_items_of_mbpp_are_found_with_their_code(pomona_data: Path) -> None:
    """As `benchmarks.data_ci` leaks them: a document of its own with other words before it, or inside a page."""
    fields = {"id": "task_id", "question": "text", "solution": "code"}
    mbpp = from_file(pomona_data / "benchmarks" / "mbpp.jsonl.gz", "mbpp", fields)
    index = Index.build([mbpp])
    pages: list[str] = []
    for listing in sorted((pomona_data / "html_gold").glob("*/index.jsonl.gz")):
        with gzip.open(listing, "rt", encoding="utf-8") as lines:
            pages += [text for line in lines if len(text := json.loads(line).get("gold_text") or "") > 2000]
    rng = random.Random(0)
    texts: list[str] = []
    for item in mbpp.items.to_pylist():
        whole = f"{item['question']}\n{item['solution']}"
        before = rng.choice(("Question:", "I was asked this at school today.", "Task", "An exercise, solved"))
        page = rng.choice(pages)[:1500]
        texts += [f"{before}\n\n{whole}\n", f"{page[:700]}\n\n{whole}\n{page[700:]}"]
    found = {(hit["row"] // 2, hit["item"]) for hit in index.scan(pa.array(texts, pa.large_string())).to_pylist()}
    ids = mbpp.items["id"].to_pylist()
    hits = index.scan(pa.array(texts, pa.large_string()))["row"].to_pylist()
    lost = len(texts) - len(set(hits))
    missed = [name for number, name in enumerate(ids) if (number, name) not in found]
    print(
        f"\nof {len(texts)} documents with an item of MBPP {lost} pass; {len(missed)} of {len(ids)} items never found"
    )
    print(f"{len(index.with_solution)} items with their solution alone, {len(index.not_checkable)} not checkable")
    assert lost <= 0.01 * len(texts)
