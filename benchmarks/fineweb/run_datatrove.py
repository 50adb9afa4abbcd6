"""The stages of datatrove's FineWeb example (examples/fineweb.py of its repository), run by its local executor.

What differs from the example, and why: tasks are files of this corpus and run on this machine; no URL lists (they would
be downloaded); the language model is read from a file, in the quantised form that Pomona uses; no token counter (the
example calls it optional); personal data is replaced at the end, as FineWeb's own description has it. Settings of
extraction, filters and MinHash are the example's.

Runs in datatrove's environment: no import of this package.
"""

# datatrove is in an environment of its own
# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
)
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.readers import JsonlReader, ParquetReader, WarcReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.lid import FT176LID

# Imported by every worker before it starts its sandbox, whose one second for the first page would go to the import.
importlib.import_module("trafilatura")

MINHASH = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=5)


class ModelFile(FT176LID):
    """lid.176 from a file on this machine."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    @property
    def model(self):
        if not self._model:
            import fasttext

            # As datatrove loads it: the class itself, whose predict() takes one text.
            self._model = fasttext.FastText._FastText(self._path)  # pyright: ignore[reportPrivateUsage]
        return self._model


def language(model: str, removed: Path) -> LanguageFilter:
    made = LanguageFilter(exclusion_writer=JsonlWriter(str(removed / "language")))
    made.model = ModelFile(model)
    return made


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--warc")
    parser.add_argument("--documents")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--model", required=True)
    asked = parser.parse_args()
    out: Path = asked.out
    removed = out / "removed"
    seconds: dict[str, float] = {}

    def run(name: str, pipeline: list[Any], tasks: int) -> None:
        started = time.perf_counter()
        LocalPipelineExecutor(
            pipeline, tasks=tasks, workers=min(asked.workers, tasks), logging_dir=str(out / "logs" / name)
        ).run()
        seconds[name] = time.perf_counter() - started

    if asked.warc:
        reading = [WarcReader(asked.warc, glob_pattern="*.warc.gz"), Trafilatura(favour_precision=True)]
        tasks = len(list(Path(asked.warc).glob("*.warc.gz")))
    else:
        reading = [ParquetReader(asked.documents, glob_pattern="*.parquet")]
        tasks = len(list(Path(asked.documents).glob("*.parquet")))
    run(
        "filters",
        [
            *reading,
            language(asked.model, removed),
            GopherRepetitionFilter(exclusion_writer=JsonlWriter(str(removed / "gopher-repetition"))),
            GopherQualityFilter(exclusion_writer=JsonlWriter(str(removed / "gopher-quality"))),
            C4QualityFilter(filter_no_terminal_punct=False, exclusion_writer=JsonlWriter(str(removed / "c4"))),
            FineWebQualityFilter(exclusion_writer=JsonlWriter(str(removed / "fineweb"))),
            JsonlWriter(str(out / "filtered")),
        ],
        tasks,
    )
    filtered = JsonlReader(str(out / "filtered"))
    minhash = out / "minhash"
    run("signatures", [filtered, MinhashDedupSignature(str(minhash / "signatures"), config=MINHASH)], tasks)
    run(
        "buckets",
        [MinhashDedupBuckets(str(minhash / "signatures"), str(minhash / "buckets"), config=MINHASH)],
        MINHASH.num_buckets,
    )
    run("clusters", [MinhashDedupCluster(str(minhash / "buckets"), str(minhash / "remove"), config=MINHASH)], 1)
    run(
        "duplicates",
        [
            filtered,
            MinhashDedupFilter(str(minhash / "remove"), exclusion_writer=JsonlWriter(str(removed / "duplicate"))),
            PIIFormatter(),
            JsonlWriter(str(out / "kept")),
        ],
        tasks,
    )
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    sys.exit(main())
