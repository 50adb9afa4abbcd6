"""Sorting on disk gives what sorting in memory gives, whatever the budget and the order of arrival."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.engines.sorting import Sorter, merged, whole_groups
from pipelines.ledger import sort
from pipelines.storage import PARQUET, regrouped, sha256, write_parquet, write_part

SCHEMA = pa.schema([("key", pa.string()), ("at", pa.timestamp("us", tz="UTC")), ("text", pa.large_string())])
row = st.tuples(
    st.one_of(st.none(), st.sampled_from(["", "a", "ä", "z", "\U0001f600"])),
    st.one_of(st.none(), st.integers(-5, 5)),
    st.text(max_size=3),
)
KEYS = ("key", "at", "text")


def table(rows: list[tuple[str | None, int | None, str]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [[], [], []]
    return pa.table(
        [pa.array(list(column), field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def cut(whole: pa.Table, sizes: list[int]) -> list[pa.Table]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(whole.slice(at, size))
        at += size
    return [*pieces, whole.slice(at)]


@settings(max_examples=60, deadline=None)
@given(st.lists(row, max_size=60), st.lists(st.integers(0, 9), max_size=12), st.sampled_from([1, 200, 1 << 20]))
def test_the_budget_does_not_show(
    tmp_path_factory: pytest.TempPathFactory, rows: list, sizes: list[int], budget: int
) -> None:
    whole = table(rows)
    sorter = Sorter(SCHEMA, KEYS, tmp_path_factory.mktemp("runs"), budget)
    for piece in cut(whole, sizes):
        sorter.add(piece)
    found = pa.concat_tables([SCHEMA.empty_table(), *sorter.sorted()])
    sorter.close()
    assert found.combine_chunks().equals(sort(whole, KEYS).combine_chunks())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(row, max_size=30), max_size=6), st.integers(1, 7))
def test_merged_streams_are_one_sort(streams: list, rows: int) -> None:
    tables = [sort(table(one), KEYS) for one in streams]
    found = merged([regrouped([one], rows) for one in tables], KEYS)
    whole = pa.concat_tables([SCHEMA.empty_table(), *tables])
    assert pa.concat_tables([SCHEMA.empty_table(), *found]).combine_chunks().equals(sort(whole, KEYS).combine_chunks())


@settings(max_examples=60, deadline=None)
@given(st.lists(row, max_size=60), st.integers(1, 9), st.integers(1, 500))
def test_groups_are_never_parted_and_nothing_is_lost(rows: list, piece: int, least: int) -> None:
    whole = sort(table(rows), KEYS)
    tables = list(whole_groups(regrouped([whole], piece), ("key", "at"), least))
    assert pa.concat_tables([SCHEMA.empty_table(), *tables]).combine_chunks().equals(whole.combine_chunks())
    keys = [one.select(["key", "at"]).to_pylist() for one in tables]
    for before, after in itertools.pairwise(keys):
        assert before[-1] != after[0]


def test_a_part_written_as_a_stream_has_the_bytes_of_one_written_at_once(tmp_path: Path) -> None:
    whole = table([(str(n * 7919 % 1000), n, "x" * (n % 50)) for n in range(40_000)])
    write_parquet(tmp_path / "once.parquet", whole)
    write_part(tmp_path / "stream.parquet", regrouped([whole], 777), SCHEMA, PARQUET)
    assert sha256(tmp_path / "once.parquet") == sha256(tmp_path / "stream.parquet")


def test_spilled_runs_are_removed(tmp_path: Path) -> None:
    sorter = Sorter(SCHEMA, KEYS, tmp_path / "runs", 1)
    for n in range(5):
        sorter.add(table([("a", n, "x")]))
    assert len(list((tmp_path / "runs").iterdir())) == 5
    assert sum(one.num_rows for one in sorter.sorted()) == 5
    sorter.close()
    assert not list((tmp_path / "runs").iterdir())
