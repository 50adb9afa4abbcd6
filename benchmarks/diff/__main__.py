"""How long `pomona diff` takes over a million records, and what memory: POMONA_DATA=... python -m benchmarks.diff.

Two runs are written to --keep (or a temporary folder): their records have the addresses of real pages (`html_gold`),
numbered where there are more records than pages, and the ids that a build would give them; verdicts, tokens and texts
are made up by a seed. The second has a stricter rule, and keeps another copy of some clusters.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.environments import ROOT
from benchmarks.watch import ONE_THREAD, watched
from pipelines.document import document_id, partitions_of
from pipelines.ledger import LEDGER_SCHEMA
from pipelines.storage import MANIFEST, write_json, write_parquet

SOURCE = "pages"
STEPS = ("01-extract-pages", "02-measure", "03-decide", "04-dedup", "05-decontaminate", "07-tokenize", "08-mix")
LANGUAGES = ("en", "de", "fr", "zh", "ja")
TEXT = "A page that says what it says, in a line or two, and no more than that. " * 3


def addresses(data: Path, count: int) -> list[str]:
    """Return addresses of real pages, numbered from the second time on."""
    real: list[str] = []
    for path in sorted((data / "html_gold").glob("*/index.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            real += [str(row["url"]) for row in map(json.loads, lines) if row.get("url")]
    return [real[at % len(real)] + (f"#{at // len(real)}" if at >= len(real) else "") for at in range(count)]


def lay_out(folder: Path, uris: list[str], partitions: int, least: float, seed: int) -> None:
    """Write a run: `least` is a rule's bound, `seed` decides which copies of a cluster stay."""
    ids = pa.array([document_id(SOURCE, uri, uri.encode()) for uri in uris], pa.string())
    draw = np.random.default_rng(0)
    value, copy = draw.uniform(0, 1, len(uris)), draw.uniform(0, 1, len(uris)) < 0.3
    tokens, language = draw.lognormal(6, 1, len(uris)).astype(np.int32) + 1, draw.integers(0, len(LANGUAGES), len(uris))
    other = np.random.default_rng(seed).uniform(0, 1, len(uris))
    # The step that drops each record, len(STEPS) where none does.
    ends = np.full(len(uris), len(STEPS))
    for at, drops in ((4, other < 0.002), (3, copy & (other < 0.5)), (2, value < least)):
        ends[drops] = at
    reasons = {2: "rule-of-words", 3: "near-duplicate", 4: "benchmark-text"}
    part = partitions_of(pa.chunked_array([ids]), partitions).to_numpy()
    received, kept = Counter[str](), Counter[str]()
    dropped_by = {name: Counter[str]() for name in STEPS}
    files: dict[str, dict[str, list[dict[str, Any]]]] = {name: {} for name in STEPS}
    for number in range(partitions):
        rows = np.flatnonzero(part == number)
        rows = rows[pc.sort_indices(ids.take(pa.array(rows))).to_numpy()]
        own, uri = ids.take(pa.array(rows)), pa.array([uris[row] for row in rows.tolist()], pa.string())
        ledger: list[pa.Table] = []
        for at, step in enumerate(STEPS):
            came = np.flatnonzero(ends[rows] >= at)
            dropped = pa.array(ends[rows][came] == at)
            count = int(pc.sum(dropped).as_py() or 0)
            received[step] += len(came)
            kept[step] += len(came) - count
            if count:
                dropped_by[step][reasons[at]] += count
            columns = {
                "id": own.take(pa.array(came)),
                "uri": uri.take(pa.array(came)),
                "source": pa.repeat(SOURCE, len(came)),
                "step": pa.repeat(step, len(came)),
                "verdict": pc.if_else(dropped, "dropped", "kept"),
                "reason": pc.if_else(dropped, reasons.get(at, ""), ""),
            }
            nothing = {name: pa.nulls(len(came), LEDGER_SCHEMA.field(name).type) for name in LEDGER_SCHEMA.names[6:]}
            ledger.append(pa.table({**columns, **nothing}).cast(LEDGER_SCHEMA))
        table = pa.concat_tables(ledger).sort_by([("uri", "ascending"), ("id", "ascending"), ("step", "ascending")])
        name = f"part-{number:05d}.parquet"
        write_parquet(folder / "ledger" / name, table)
        told = pa.array(LANGUAGES).take(pa.array(language[rows]))
        documents = {"id": own, "uri": uri, "source": pa.repeat(SOURCE, len(rows)), "kind": pa.repeat("web", len(rows)),
                     "language": told, "text": pa.repeat(pa.scalar(TEXT, pa.large_string()), len(rows))}  # fmt: skip
        late = np.flatnonzero(ends[rows] >= 5)
        listing = {"id": own.take(pa.array(late)), "count": pa.array(tokens[rows][late])}
        for step, output, made in (
            ("01-extract-pages", "documents", documents),
            ("02-measure", "signals", {"id": own, "language.language": told}),
            ("07-tokenize", "tokens", listing),
        ):
            write_parquet(folder / "steps" / step / output / name, pa.table(made))
            files[step].setdefault(output, []).append({"path": f"{output}/{name}"})
    described: list[dict[str, Any]] = []
    for step in STEPS:
        write_json(folder / "steps" / step / MANIFEST, {"outputs": files[step]})
        told_of = {"in": received[step], "kept": kept[step], "dropped": dict(dropped_by[step]), "failed": {}}
        described.append({"name": step, "digest": "0" * 16, "folder": f"steps/{step}", **told_of})
    recipe = {"name": "made", "partitions": partitions, "filters": {"rules": [{"name": "rule-of-words",
              "signal": "gopher.words", "min": least}]}}  # fmt: skip
    write_json(folder / "run.json", {"name": "made", "recipe": recipe, "steps": described, "stages": []})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--partitions", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--keep", type=Path, help="folder for the runs, which a second call uses again")
    asked = parser.parse_args()
    data = os.environ.get("POMONA_DATA")
    if data is None:
        sys.exit("POMONA_DATA is not set; it names the folder with html_gold/, whose addresses the records have")
    with tempfile.TemporaryDirectory() as temporary:
        for records in asked.records:
            uris = addresses(Path(data), records)
            for partitions in asked.partitions:
                place = (asked.keep or Path(temporary)) / f"{records}-{partitions}"
                for name, least, seed in (("before", 0.1, 1), ("after", 0.18, 2)):
                    if not (place / name / "run.json").exists():
                        lay_out(place / name, uris, partitions, least, seed)
                runs = [str(place / "before"), str(place / "after")]
                command = [sys.executable, "-m", "pipelines.cli", "diff", *runs, "--json"]
                cost = watched(command, place / "diff.log", environment=ONE_THREAD, cwd=ROOT)
                total = cost.said["total"]
                print(
                    f"{records:,} records a run in {partitions} partitions: {cost.seconds:.1f} s, "
                    f"{cost.peak_bytes / 1e6:,.0f} MB; {total['lost']:,} lost, {total['gained']:,} gained",
                    flush=True,
                )


if __name__ == "__main__":
    main()
