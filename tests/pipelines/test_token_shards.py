"""What lies in a token shard: whole documents with their end marks, and of a cut one the part that was asked for."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.steps.token_shards import PLACED_SCHEMA, TokenShard, parts_of

EOS = 2


@st.composite
def parts(draw: st.DrawFn) -> list[tuple[list[int], int, int]]:
    """Documents, each with the first token taken and how many are, its end mark counted."""
    found: list[tuple[list[int], int, int]] = []
    for _ in range(draw(st.integers(1, 12))):
        tokens = draw(st.lists(st.integers(3, 900), max_size=9))
        first = draw(st.integers(0, len(tokens))) if draw(st.booleans()) else 0
        most = len(tokens) + 1 - first
        found.append((tokens, first, draw(st.integers(1, most)) if draw(st.booleans()) else most))
    return found


@settings(deadline=None)
@given(parts(), st.integers(0, 12))
def test_a_shard_holds_each_part_and_ends_only_what_ends(rows: list[tuple[list[int], int, int]], border: int) -> None:
    kind = PLACED_SCHEMA.field("tokens").type
    before = pa.array([[7, 7], *(tokens for tokens, _, _ in rows)], kind)
    lists, ended = parts_of(before[1:], *(np.array([row[at] for row in rows], np.int64) for at in (1, 2)))
    places = {"shard": pa.array([0] * len(rows), pa.int32()), "start": pa.array(range(len(rows)), pa.int64())}
    table = pa.table({**places, "tokens": lists, "ended": ended}, schema=PLACED_SCHEMA)
    expected = [token for tokens, first, length in rows for token in [*tokens, EOS][first : first + length]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.bin"
        # However the rows are cut into batches.
        count = TokenShard(".bin", "uint16", EOS).write(path, [table[:border], table[border:]], PLACED_SCHEMA)
        assert np.fromfile(path, "<u2").tolist() == expected
    assert count == len(expected)
