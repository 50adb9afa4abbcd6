"""Whole builds of corpora of several sizes: time and memory by step, and the sizes that a plan is made from."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.corpus.made import make
from benchmarks.environments import BENCH, ROOT, code
from benchmarks.recipe import fineweb
from benchmarks.scale.driver import bytes_a_document, bytes_an_edge
from benchmarks.warm import warm
from benchmarks.watch import ONE_THREAD, watched

FEW, MANY = 8, 256
"""Partitions of the builds, and of one more of the smallest corpus: what they cost the planning process shows there."""


def measure(sizes: Sequence[int], workers: int, *, fresh: bool = False) -> dict[str, Any]:
    """Build a corpus of each size, smallest first; sizes that were measured before are not measured again."""
    warm()
    runs: list[dict[str, Any]] = []
    for pages in sorted(sizes):
        runs.append(_once(pages, FEW, workers, fresh=fresh))
    return {
        "machine": {"cores": len(os.sched_getaffinity(0)), "memory_bytes": psutil.virtual_memory().total},
        "workers": workers,
        "runs": runs,
        "parted": {"partitions": [FEW, MANY], "runs": [runs[0], _once(min(sizes), MANY, workers, fresh=fresh)]},
        "driver": {"bytes_an_edge": bytes_an_edge(), "bytes_a_document": bytes_a_document()},
    }


def _once(pages: int, partitions: int, workers: int, *, fresh: bool) -> dict[str, Any]:
    corpus = make(pages)
    place = BENCH / "scale" / f"{corpus.name}-{code()}-{workers}{'' if partitions == FEW else f'-{partitions}'}"
    saved = place / "result.json"
    if fresh or not saved.exists():
        print(f"{pages:,} pages, {partitions} partitions ...", file=sys.stderr, flush=True)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        saved.write_text(json.dumps(_measured(corpus, place, partitions, workers)), encoding="utf-8")
    return json.loads(saved.read_text(encoding="utf-8"))


def _measured(corpus: Path, place: Path, partitions: int, workers: int) -> dict[str, Any]:
    recipe = fineweb(corpus, place / "recipe.yaml", partitions=partitions)
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.building", recipe]
    command += ["--out", place / "run", "--workers", str(workers)]
    cost = watched(command, place / "run.log", environment=ONE_THREAD, cwd=ROOT)
    about = json.loads((corpus / "corpus.json").read_text(encoding="utf-8"))
    found = {
        **cost.said,
        "wall_seconds": cost.seconds,
        "cpu_seconds": cost.cpu_seconds,
        "peak_bytes": cost.peak_bytes,
        "sizes": {
            "pages": about["pages"],
            "html_bytes": about["bytes"],
            "warc_bytes": about["warc_bytes"],
            **sizes(place / "run" / "steps"),
        },
    }
    shutil.rmtree(place / "run")
    return found


def sizes(steps: Path) -> dict[str, float]:
    """Sizes of what the steps of a build left; bytes are those of Arrow tables, as a shuffle moves them."""
    rows, row_bytes = _extent(_parts(steps, "01-extract-*", "rows"))
    documents, document_text = _text(_parts(steps, "01-extract-*", "documents"))
    decided, decided_text = _text(_parts(steps, "03-decide-*", "documents"))
    members, member_bytes = _extent(_parts(steps, "04-dedup-*", "verdicts"))
    clean, clean_text = _text(_parts(steps, "05-decontaminate-*", "documents"))
    tokens = sum(
        pc.sum(pq.read_table(path, columns=["count"])["count"]).as_py() or 0
        for path in _parts(steps, "07-tokenize-*", "tokens")
    )
    return {
        "rows": rows,
        "row_bytes": row_bytes,
        "documents": documents,
        "text_bytes": document_text,
        "decided": decided,
        "decided_text_bytes": decided_text,
        "members": members,
        "verdict_bytes": member_bytes,
        "clean": clean,
        "clean_text_bytes": clean_text,
        "tokens": tokens,
    }


def _parts(steps: Path, step: str, output: str) -> list[Path]:
    (folder,) = (path for path in steps.glob(step) if (path / "_manifest.json").exists())
    return sorted((folder / output).glob("*.parquet"))


def _extent(paths: Iterable[Path]) -> tuple[int, int]:
    tables: list[pa.Table] = [pq.read_table(path) for path in paths]
    return sum(table.num_rows for table in tables), sum(table.nbytes for table in tables)


def _text(paths: Iterable[Path]) -> tuple[int, int]:
    rows = total = 0
    for path in paths:
        lengths = pc.binary_length(pq.read_table(path, columns=["text"])["text"])
        rows, total = rows + len(lengths), total + (pc.sum(lengths).as_py() or 0)
    return rows, total
