"""Benchmark items: the real ones of POMONA_DATA, and as many more as a test of size needs, made of their words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from decontam import Benchmark
from decontam.sources import from_file

FILES: dict[str, dict[str, str]] = {
    "arc_challenge": {},
    "arc_easy": {},
    "bbh_part": {},
    "gsm8k_test": {"solution": "answer"},
    "gsm8k_train": {"solution": "answer"},
    "hellaswag_val_first2000": {},
    "humaneval": {"id": "task_id", "question": "prompt", "solution": "canonical_solution"},
    "ifeval": {"id": "key", "question": "prompt"},
    "lambada_openai_test": {"answer": "continuation"},
    "mbpp": {"id": "task_id", "question": "text", "solution": "code"},
    "mmlu_dev_validation": {},
    "mmlu_test": {},
    "mt_bench": {"id": "question_id", "question": "turns"},
    "piqa_val": {},
    "truthfulqa_en": {"answer": "best_answer"},
}
"""Files of POMONA_DATA/benchmarks, and where they hold an item's fields."""


def real(data: Path) -> list[Benchmark]:
    """Load the real benchmarks."""
    folder = data / "benchmarks"
    return [from_file(folder / f"{name}.jsonl.gz", name, fields) for name, fields in FILES.items()]


def made(source: list[Benchmark], benchmarks: int, each: int, seed: int = 0) -> Iterator[Benchmark]:
    """Make benchmarks of the lengths of real questions: each word follows the one before as it does in some question.

    A chain of order 1, so pairs of words are as common as in real questions, and longer n-grams are new.
    """
    questions = [
        text.split()
        for one in source
        for text in one.items["question"].to_pylist()
        if text and 8 <= len(text.split()) <= 120
    ]
    known, ids = np.unique(np.array([word for words in questions for word in words], dtype=object), return_inverse=True)
    lengths = np.array([len(words) for words in questions])
    begins = np.cumsum(lengths) - lengths
    last = np.zeros(len(ids), np.bool_)
    last[begins + lengths - 1] = True
    # The word after a question's last one is the first word of some other question.
    following = np.append(ids[1:], ids[0])
    order = np.argsort(ids, kind="stable")
    counts = np.bincount(ids, minlength=len(known))
    starts = np.cumsum(counts) - counts
    rng = np.random.default_rng(seed)
    for number in range(benchmarks):
        sizes = rng.choice(lengths, each)
        words = ids[rng.choice(begins, each)]
        chain: list[NDArray[Any]] = [words]
        for _ in range(int(sizes.max()) - 1):
            words = following[order[starts[words] + rng.integers(0, counts[words])]]
            chain.append(words)
        rows = known[np.stack(chain, axis=1)]
        texts = [" ".join(row[:size]) for row, size in zip(rows, sizes, strict=True)]
        table = pa.table({"id": [str(k) for k in range(each)], "question": pa.array(texts, pa.large_string())})
        yield Benchmark(f"made-{number:03d}", table)
