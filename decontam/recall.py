"""Recall of a configuration: its own items, planted in real pages in every form, and how many of them a scan finds."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from decontam.benchmark import Benchmark
from decontam.forms import FORMS
from decontam.index import Index

__all__ = ["Recall", "chosen", "recall"]


class Recall(NamedTuple):
    """Of one form: items planted, and the items of these that were found."""

    planted: int
    found: int
    missed: list[tuple[str, str]]

    @property
    def share(self) -> float:
        """Share found."""
        return self.found / self.planted if self.planted else 1.0


def chosen(index: Index, benchmarks: Sequence[Benchmark], items: int, seed: int = 0) -> list[tuple[str, Any]]:
    """Choose checkable items, as many of each benchmark where it has them; (benchmark, item), always the same."""
    rng = random.Random(seed)
    out = {(row["benchmark"], row["item"]) for row in index.not_checkable.to_pylist()}
    each = max(1, items // max(1, len(benchmarks)))
    found: list[tuple[str, Any]] = []
    for one in sorted(benchmarks, key=lambda one: one.name):
        able = [number for number, name in enumerate(one.items["id"].to_pylist()) if (one.name, name) not in out]
        picked = rng.sample(able, min(each, len(able)))
        found += [(one.name, item) for item in one.items.take(pa.array(picked, pa.int64())).to_pylist()]
    return found


def recall(index: Index, items: Sequence[tuple[str, Any]], pages: Sequence[str], seed: int = 0) -> dict[str, Recall]:
    """Plant items in the middle of pages, form by form, and scan.

    An item whose question says too little alone is not planted as "question only": its question with its options is
    what a benchmark owns, or with its solution where it has none or these do not help.
    """
    rng = random.Random(seed)
    others = [word for page in pages for word in page.split()[:400] if word.isalpha()] or ["word"]
    alone, solved = index.alone, index.with_solution
    given = [(name, _with_solution(item) if (name, item["id"]) in solved else item) for name, item in items]
    result: dict[str, Recall] = {}
    for form, write in FORMS.items():
        planted = [pair for pair in given if form != "question only" or (pair[0], pair[1]["id"]) in alone]
        texts = [_planted(rng.choice(pages), write(item, rng, others)) for _, item in planted]
        hits = index.scan(pa.array(texts, pa.large_string()))
        found = set(zip(*(hits[name].to_pylist() for name in ("row", "benchmark", "item")), strict=True))
        missed = [
            (name, item["id"]) for row, (name, item) in enumerate(planted) if (row, name, item["id"]) not in found
        ]
        result[form] = Recall(len(planted), len(planted) - len(missed), missed)
    return result


def _with_solution(item: Any) -> dict[str, Any]:
    solution = item["solution"] or item["answer"] or item["tests"]
    return {**item, "question": "\n".join(text for text in (item["question"], solution) if text)}


def _planted(page: str, text: str) -> str:
    middle = page.find(" ", len(page) // 2) + 1
    return f"{page[:middle]}\n\n{text}\n\n{page[middle:]}"
