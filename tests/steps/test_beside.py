"""Rows beside documents: the rows that Arrow finds in the whole table, whatever the batches, and in linear time."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given
from hypothesis import strategies as st

from pipelines.steps.beside import Beside
from tests.growth import is_linear

ids = st.lists(st.text("0123456789abcdef", min_size=1, max_size=3), max_size=40)


@given(ids, st.lists(ids, max_size=4))
def test_rows_are_those_of_the_whole_table(listed: list[str], batches: list[list[str]]) -> None:
    table = pa.table({"id": pa.array(sorted(listed), pa.string()), "n": pa.array(range(len(listed)), pa.int64())})
    beside = Beside(table)
    for batch in batches:
        asked = pa.chunked_array([pa.array(batch, pa.string())])
        expected = pc.index_in(asked, value_set=table["id"]).to_pylist()
        assert beside.rows(asked).to_pylist() == expected
        assert beside.holds(asked).to_pylist() == [row is not None for row in expected]
        assert beside.take(asked)["n"].to_pylist() == expected


def test_a_part_takes_time_as_its_size() -> None:
    """Batches of a part twenty times as large: twenty times as many, each as quick as before."""

    def part(rows: int) -> pa.Array:
        return pa.array([f"{number:032x}" for number in range(rows)])

    def looked_up(names: pa.Array) -> None:
        beside = Beside(pa.table({"id": names}))
        for start in range(0, len(names), 500):
            found = beside.rows(names.slice(start, 500))
            assert found[0].as_py() == start

    assert is_linear(looked_up, part, 10_000, times=20)
