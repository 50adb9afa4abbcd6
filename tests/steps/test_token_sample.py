"""The tokenizer's sample: what one sorted list of all documents would give, however parts and tasks divide it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.document import document_id, id_bits
from pipelines.engines.local import LocalEngine
from pipelines.mixture import shuffled
from pipelines.steps import token_sample
from pipelines.steps.step import Steps
from pipelines.steps.token_sample import Sample
from pipelines.storage import remove, write_parquet

lengths = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=60)


def plain(documents: list[tuple[str, str, str]], asked: Sample) -> set[str]:
    """The ids that a sample of (id, source, text) is made of, one document at a time."""
    chosen: set[str] = set()
    for name, weight in asked.weights.items():
        own = [(id_, text) for id_, source, text in documents if source == name]
        keys = shuffled(id_bits(pa.array([id_ for id_, _ in own], pa.string())), asked.seed, "tokenizer")
        taken = 0
        for at in np.argsort(keys):
            if taken >= asked.size * weight:
                break
            chosen.add(own[at][0])
            taken += len(own[at][1].encode())
    return chosen


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths, st.integers(1, 5), st.integers(0, 600), st.integers(1, 3))
def test_parts_and_tasks_do_not_show(
    tmp_path: Path,
    documents: list[tuple[str, int]],
    parts: int,
    size: int,
    together: int,
) -> None:
    rows = [
        (document_id(source, f"u{number}", b""), source, f"{number}." + "é" * length)
        for number, (source, length) in enumerate(documents)
    ]
    asked = Sample({"a": 0.7, "b": 0.3}, size, 5)
    remove(tmp_path / "step")
    paths: list[Path] = []
    expected: list[str] = []
    wanted = plain(rows, asked)
    for part in range(parts):
        own = sorted(rows[part::parts])
        columns = {"id": [one[0] for one in own], "source": [one[1] for one in own]}
        table = pa.table(
            {name: pa.array(values, pa.string()) for name, values in columns.items()}
            | {"text": pa.array([one[2] for one in own], pa.large_string())}
        )
        paths.append(tmp_path / f"part-{part:05d}.parquet")
        write_parquet(paths[-1], table)
        expected += [text for id_, _, text in own if id_ in wanted]
    steps = Steps(tmp_path, LocalEngine(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_sample, "TOGETHER", together)
        assert list(token_sample.texts(steps, tmp_path / "step", paths, asked)) == expected
