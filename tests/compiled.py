"""Compiles the kernels that tests use: `make test` runs this once, before tests start processes that all need them.

Compiled kernels are kept under the digest of all of them (`kernels`), so after a change of one every process compiles
what it needs, and the first builds of the suite, of some processes each, would compile the same at the same time.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

import filters
from decontam import Benchmark, Index
from decontam.method import METHODS
from pipelines.engines.local import LocalEngine
from pipelines.recipe import load
from pipelines.run import Options, build
from tests import tiny

# Those that need a file are left to their tests.
FAMILIES = [name for name in filters.families() if name not in ("mathscore", "perplexity", "quality")]


def main() -> None:
    """Build a small mixture in this process, measure a text by every family, and look for a question in it."""
    with TemporaryDirectory() as folder:
        build(load(tiny.write(Path(folder), topics=24)), Options(Path(folder) / "run"), LocalEngine(1))
    text = pa.array([words for _, words in tiny.TOPICS[:24]])
    filters.measure(text, FAMILIES)
    question = pa.table({"id": ["q"], "question": [text[0].as_py()[:400]]})
    for method in METHODS:
        Index.build([Benchmark("b", question)], method).scan(text)


if __name__ == "__main__":
    main()
