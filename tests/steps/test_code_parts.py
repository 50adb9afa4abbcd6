"""Files and repositories that are there twice: the starred one stays, engines do not show."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.document import canonical_json, documents
from pipelines.recipe_parts import (
    FilesUse,
    RepositoriesUse,
)
from pipelines.steps import repositories
from tests.engines.contract import NAMES, Engines
from tests.steps.parts_runs import bytes_of, ledger, performed, row, texts


def code(repository: str, files: dict[str, str], stars: int | None = None) -> list[dict[str, Any]]:
    about = {"repository": repository} | ({} if stars is None else {"stars": stars})
    rows = [row(f"{repository}/{path}", text, "code", "code") for path, text in files.items()]
    return [one | {"metadata": canonical_json(about)} for one in rows]


def library(start: int, count: int) -> dict[str, str]:
    sources = sorted(Path(json.__file__).parents[1].glob("*.py"))
    return {path.name: path.read_text("utf-8") for path in sources[start : start + count]}


CHANGED = library(0, 18) | {"new.py": "import os\nprint(os.getcwd())\n", "other.py": "x = 1\n"}
CODE = [
    *code("a-fork", {name: text.replace("\n", "\r\n") for name, text in library(0, 20).items()}, 3),
    *code("b-original", library(0, 20), 900),
    *code("c-fork-that-went-on", CHANGED, 1),
    *code("d-other", library(20, 15)),
    *code("e-copies-one-file", {**library(40, 10), **library(0, 1)}),
    *code("f-empty", {"__init__.py": "", "a.py": "", "b.py": "\n"}),
    *code("g-small", library(0, 2)),
    row("page", "import this", "web"),
]


def test_forks_go_with_all_their_files_and_the_starred_repository_stays(tmp_path: Path) -> None:
    table = documents(CODE)
    (done,) = performed(table, [RepositoriesUse()], tmp_path)
    told = ledger(done)
    gone = {one["uri"].split("/")[3] for one in told.values() if one["verdict"] == "dropped"}
    assert gone == {"a-fork", "c-fork-that-went-on"}
    evidence = [json.loads(one["evidence"]) for one in told.values() if one["verdict"] == "dropped"]
    assert {one["kept_repository"] for one in evidence} == {"b-original"}
    assert {round(one["similarity"], 6) for one in evidence} == {1.0, round(18 / 22, 6)}
    assert done.facts == {"repositories": 5, "gone": 2}
    assert len(texts(done)) == table.num_rows - 20 - 20


def test_of_files_of_the_same_content_the_one_with_most_stars_stays(tmp_path: Path) -> None:
    (done,) = performed(documents(CODE), [FilesUse()], tmp_path)
    left = Counter(uri.split("/")[3] for uri in texts(done))
    assert left == {
        "b-original": 20, "c-fork-that-went-on": 2, "d-other": 15, "e-copies-one-file": 10, "f-empty": 3, "page": 1,
    }  # fmt: skip
    told = ledger(done)
    ids = {one["id"]: uri for uri, one in told.items()}
    gone = [(uri, one) for uri, one in told.items() if one["verdict"] == "dropped"]
    assert all(one["reason"] == "same-content" for _, one in gone)
    assert all(
        ids[json.loads(one["evidence"])["parent"]].split("/")[3:] == ["b-original", uri.split("/")[4]]
        for uri, one in gone
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_engines_do_not_show_in_code(name: str, tmp_path: Path) -> None:
    uses = [RepositoriesUse(), FilesUse()]
    engines = Engines()
    try:
        made = performed(documents(CODE), uses, tmp_path / "two", engines.get(name, 2))
        assert bytes_of(made) == bytes_of(performed(documents(CODE), uses, tmp_path / "one"))
    finally:
        engines.close()


def test_in_a_band_each_meets_the_best_and_no_sketch_travels_there() -> None:
    sizes = [1, 2, 100, 40]
    key = np.repeat(np.arange(len(sizes), dtype=np.uint64), sizes)
    node = np.arange(len(key), dtype=np.uint64) + np.uint64(1000)
    columns = [key, *(np.zeros(len(key), np.int64) for _ in range(3)), [f"{n:03d}" for n in node], node]
    table = pa.table(columns, schema=repositories.BANDED_SCHEMA)
    found = repositories.Meet()(table)["candidates"]
    expected = {
        (better, worse)
        for one in range(len(sizes))
        for rows in [node[key == one].tolist()]
        for place, worse in enumerate(rows)
        for better in rows[: min(place, repositories.REPRESENTATIVES)]
    }
    assert set(zip(found["left"].to_pylist(), found["right"].to_pylist(), strict=True)) == expected
    assert found.num_rows == len(expected) == 1 + (32 * 31 // 2 + 68 * 32) + (32 * 31 // 2 + 8 * 32)
    assert "sketch" not in repositories.BANDED_SCHEMA.names


def test_three_hundred_forks_leave_the_first(tmp_path: Path) -> None:
    files = library(0, 4)
    table = documents([one for number in range(300) for one in code(f"fork-{number:03d}", files, 5)])
    (done,) = performed(table, [RepositoriesUse()], tmp_path)
    assert done.facts == {"repositories": 300, "gone": 299}
    assert {uri.split("/")[3] for uri in texts(done)} == {"fork-000"}
