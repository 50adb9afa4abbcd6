"""Input of the overhead measurement: the documents of a corpus, as often as it takes to last."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from pipelines.storage import FileEntry


def repeated(parts: list[Path], times: int, folder: Path) -> list[Path]:
    """The documents `times` times, under other ids: as many files as before, longer ones, each sorted by id.

    Repeats are right where each document is worked on alone (measuring, deciding, fingerprints), and nowhere else.
    """
    done = folder / "done.json"
    told = json.dumps([str(parts[0].parent), len(parts), times])
    fresh = not done.exists() or done.read_text(encoding="utf-8") != told
    done.unlink(missing_ok=True)
    made: list[Path] = []
    for number, part in enumerate(parts):
        path = folder / "documents" / f"part-{number:05d}.parquet"
        made.append(path)
        if fresh:
            path.parent.mkdir(parents=True, exist_ok=True)
            table = pq.read_table(part)
            copies = [_renamed(table, turn) for turn in range(times)]
            whole = pa.concat_tables(copies).sort_by("id")
            pq.write_table(whole, path, compression="zstd", compression_level=3, row_group_size=16_384)
    done.write_text(told, encoding="utf-8")
    return made


def _renamed(table: pa.Table, turn: int) -> pa.Table:
    ids = [xxhash.xxh3_128_hexdigest(f"{turn}:{one}") for one in table["id"].to_pylist()]
    return table.set_column(0, table.schema.field("id"), pa.array(ids))


def entries(parts: list[Path]) -> list[FileEntry]:
    """Describe files as a step's manifest would."""
    return [
        FileEntry(
            path=f"{path.parent.name}/{path.name}",
            rows=pq.read_metadata(path).num_rows,
            bytes=path.stat().st_size,
            sha256="",
        )
        for path in parts
    ]
