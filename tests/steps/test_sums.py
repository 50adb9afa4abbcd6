"""Sums over files, a batch at a time: what the whole column gives."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.steps import sums
from pipelines.storage import write_parquet


def test_sums_are_those_of_the_whole_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "ROWS", 3)
    columns = [[4, None, 7, 1, 1, 9, 2], [], [None, None], [5] * 10]
    paths = [tmp_path / f"{number}.parquet" for number in range(len(columns))]
    for path, values in zip(paths, columns, strict=True):
        write_parquet(path, pa.table({"n": pa.array(values, pa.int64())}))
    assert sums.total(paths, "n") == 24 + 50
    assert sums.greatest(paths, "n") == 9
    assert sums.count_above(paths, "n", 4) == 12
    assert (sums.total([], "n"), sums.greatest(paths[1:3], "n"), sums.count_above(paths[1:3], "n", 0)) == (0, 0, 0)
