from __future__ import annotations

import gzip
import json
import pydoc_data.topics
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.document import document_id
from pipelines.extract import Chain
from pipelines.extract.text import read_text
from pipelines.sources import arrow_json
from pipelines.sources.archive_outcomes import fetched_at
from pipelines.sources.files import SourceError
from pipelines.sources.raw import RAW_SCHEMA, READY, GivesTables, plain_texts
from pipelines.sources.table import TableSource
from pipelines.sources.table_rows import moments
from pipelines.steps.extract import EXTRACTED_SCHEMA, ExtractTexts, ReadSource

extract = ExtractTexts(Chain())
TOPICS = dict(sorted(pydoc_data.topics.topics.items()))


def _source(path: Path, **fields: Any) -> TableSource:
    return TableSource.model_validate({"name": "t", "paths": [path], **fields})


def _read(source: TableSource) -> list[dict[str, Any]]:
    return [row for unit in source.units() for table in source.tables(unit) for row in table.to_pylist()]


def _rows() -> list[dict[str, Any]]:
    return [
        {
            "text": text,
            "id": f"<urn:{name}>",
            "metadata": {
                "url": f"https://docs.python.org/{name}",
                "date": f"2024-05-{number % 28 + 1:02d}T10:00:00Z",
                "language": "en",
                "score": number / 8,
                "tags": ["python", name],
                "nothing": None,
            },
        }
        for number, (name, text) in enumerate(TOPICS.items())
    ]


def _jsonl(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def test_datatrove_parquet_and_jsonl_give_the_same_documents(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(_rows()), tmp_path / "a.parquet", row_group_size=20)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(_jsonl(_rows())))
    (tmp_path / "c.jsonl.zst").write_bytes(zstd.compress(_jsonl(_rows())))
    made = [
        _read(_source(tmp_path / name, layout="datatrove", license="PSF-2.0"))
        for name in ("a.parquet", "b.jsonl.gz", "c.jsonl.zst")
    ]
    for one in made:
        assert [row["body"].decode() for row in one] == list(TOPICS.values())
        for row, (name, text) in zip(one, TOPICS.items(), strict=True):
            assert row["uri"] == f"https://docs.python.org/{name}"
            assert row["id"] == document_id("t", row["uri"], text.encode())
            assert row["license"] == "PSF-2.0"
            assert row["verdict"] == "kept"
            said = json.loads(row["metadata"])
            assert said["id"] == f"<urn:{name}>"
            assert said["language"] == "en"
            assert said["metadata"]["tags"] == ["python", name]
            assert "nothing" not in said["metadata"]
    parquet, lines = (json.loads(one[1]["metadata"]) for one in made[:2])
    assert parquet == {name: value for name, value in lines.items() if name != "offset"} | {
        "file": "a.parquet",
        "row": 1,
    }
    assert made[0][0]["fetched_at"] == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert [row["fetched_at"] for row in made[0]] == [row["fetched_at"] for row in made[1]]


def test_dolma_layout_and_licences_by_row(tmp_path: Path) -> None:
    rows = [
        {
            "id": "1", "text": "one", "source": "wiki", "added": "2023-01-02T03:04:05.678Z", "created": "2020-01-01",
            "version": "v1", "metadata": {"license": "https://creativecommons.org/licenses/by-sa/3.0/"},
        },
        {"id": "2", "text": "two", "source": "wiki", "added": "some day", "metadata": {"license": "who knows"}},
        {"id": "3", "text": "three", "source": "wiki"},
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_bytes(_jsonl(rows))
    got = _read(_source(tmp_path, layout="dolma", license="CC0-1.0"))
    assert [row["license"] for row in got] == ["CC-BY-SA-3.0", None, "CC0-1.0"]
    assert [row["uri"] for row in got] == ["a.jsonl#1", "a.jsonl#2", "a.jsonl#3"]
    assert got[0]["fetched_at"] == datetime(2023, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    said = [json.loads(row["metadata"]) for row in got]
    assert said[1]["date_stated"] == "some day"
    assert said[1]["license_stated"] == "who knows"
    assert "date_stated" not in said[0]
    assert (said[0]["created"], said[0]["version"]) == ("2020-01-01", "v1")


def test_fineweb_layout_and_types_of_columns(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": pa.array(["one", "two"]).dictionary_encode(),
            "id": pa.array([7, 8]),
            "url": pa.array(["https://a.test/", None], pa.large_string()),
            "date": pa.array([datetime(2024, 1, 1, 12), None], pa.timestamp("ns")),
            "language_score": pa.array([0.5, float("nan")]),
            "dump": pa.array(["CC-MAIN-2024-10"] * 2),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    one, two = _read(_source(tmp_path, layout="fineweb"))
    assert one["uri"] == "https://a.test/"
    assert two["uri"] == "a.parquet#8"
    assert one["fetched_at"] == datetime(2024, 1, 1, 12, tzinfo=UTC)
    assert json.loads(one["metadata"])["language_score"] == 0.5
    assert "language_score" not in json.loads(two["metadata"])


def test_missing_columns_are_named_with_the_nearest(tmp_path: Path) -> None:
    pq.write_table(pa.table({"Content": ["x"], "meta": [{"link": "u"}]}), tmp_path / "a.parquet")
    with pytest.raises(
        SourceError, match=r"no column 'contents' among Content, meta, meta\.link; did you mean 'Content'"
    ):
        _source(tmp_path, columns={"text": "contents"}).units()
    with pytest.raises(SourceError, match=r"uri: no column 'meta\.lnk'.*did you mean 'meta\.link'"):
        _source(tmp_path, columns={"text": "Content", "uri": "meta.lnk"}).units()
    with pytest.raises(SourceError, match=r"metadata: no column 'x'"):
        _source(tmp_path, columns={"text": "Content", "metadata": ["x"]}).units()
    with pytest.raises(SourceError, match="is struct<link: string>, expected string"):
        _source(tmp_path, columns={"text": "meta"}).units()
    with pytest.raises(ValidationError, match="colour"):
        _source(tmp_path, columns={"colour": "red"})
    # A second file that has the column: the first one is a failure of its own.
    pq.write_table(pa.table({"contents": ["y"]}), tmp_path / "b.parquet")
    one, two = _read(_source(tmp_path, columns={"text": "contents"}))
    assert (one["verdict"], one["reason"]) == ("failed", "missing-column")
    assert "did you mean 'Content'" in one["evidence"]
    assert (two["verdict"], two["body"]) == ("kept", b"y")


def test_bad_lines_are_counted_one_by_one(tmp_path: Path) -> None:
    lines = [
        b'{"text": "good"}', b'{"text": "cut', b'["text"]', b'{"text": null}', b'{"txt": "x"}', b'{"text": 5}',
        b'{"text": "\xff\xfe"}', b"", b"   ", b'{"text": "' + b"x" * 5000 + b'"}', b"[" * 4000,
        b'{"text": "nan", "id": NaN}', b'{"text": "lone \\ud800 surrogate", "id": "\\ud800"}', b'{"text": "last"}',
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines))
    got = _read(_source(tmp_path, columns={"id": "id"}, max_record_bytes=4500))
    assert [row["reason"] for row in got] == [
        "", "invalid-json", "not-an-object", "null-text", "missing-column", "not-text", "undecodable-content",
        "too-large", "invalid-json", "", "", "",
    ]  # fmt: skip
    assert "did you mean 'txt'" in got[4]["evidence"]
    assert len({row["uri"] for row in got}) == len(got)
    assert len({row["id"] for row in got}) == len(got)
    assert got[10]["body"] == b"lone ? surrogate"


def test_damaged_files_give_what_is_whole(tmp_path: Path) -> None:
    rows = _rows()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(_jsonl(rows))[:-3000])
    got = _read(_source(tmp_path, layout="datatrove"))
    kept = [row["body"].decode() for row in got if row["verdict"] == "kept"]
    assert kept == list(TOPICS.values())[: len(kept)]
    assert len(kept) > 10
    assert [row["reason"] for row in got[len(kept) :]] == ["invalid-json", "damaged-file"]

    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "b.parquet", row_group_size=20, use_dictionary=False)
    whole = (tmp_path / "b.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "html.parquet").write_bytes(b"<html>no table at all</html>" * 10)
    for name in ("cut.parquet", "html.parquet"):
        (row,) = _read(_source(tmp_path / name, layout="datatrove"))
        assert (row["verdict"], row["reason"]) == ("failed", "damaged-file")
    # One row group with damaged pages: its rows are told, the others come.
    group = pq.ParquetFile(tmp_path / "b.parquet").metadata.row_group(1)
    columns = [group.column(at) for at in range(group.num_columns)]
    start = min(column.data_page_offset for column in columns)
    size = sum(column.total_compressed_size for column in columns)
    broken = bytearray(whole)
    broken[start : start + size] = b"\xff" * size
    (tmp_path / "broken.parquet").write_bytes(broken)
    got = _read(_source(tmp_path / "broken.parquet", layout="datatrove"))
    (failed,) = [row for row in got if row["verdict"] == "failed"]
    assert failed["reason"] == "damaged-file"
    assert "20 rows of row group 1" in failed["evidence"]
    texts = list(TOPICS.values())
    assert [row["body"].decode() for row in got if row["verdict"] == "kept"] == texts[:20] + texts[40:]


def test_parquet_strings_that_are_not_utf8_fail_alone(tmp_path: Path) -> None:
    bad = pa.array([b"good", b"\xff\xfe\xfd", b"also"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 3, bad.buffers())
    pq.write_table(pa.table({"text": text, "note": text, "url": text}), tmp_path / "a.parquet")
    source = _source(tmp_path, columns={"uri": "url", "metadata": ["note"]})
    tables = list(ReadSource("t", source)(_shard(source)))
    rows = extract(pa.concat_tables(tables)).to_pylist()
    assert [(row["verdict"], row["reason"]) for row in rows] == [
        ("kept", ""), ("failed", "undecodable-content"), ("kept", ""),
    ]  # fmt: skip
    assert json.loads(rows[0]["metadata"])["note"] == "good"


def _shard(source: TableSource) -> Any:
    from pipelines.engines.plan import Shard

    (unit,) = source.units()
    return Shard(0, unit.name, unit, unit.bytes)


_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.fixed_dictionaries({"text": _TEXT | st.none()}, optional={"id": _TEXT, "metadata": _VALUE}), max_size=30
    ),
    st.integers(1, 400),
)
def test_jsonl_comes_back_wherever_it_is_cut(tmp_path: Path, rows: list[dict[str, Any]], split: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(_jsonl(rows))
    layout = {"layout": "datatrove", "columns": {}}
    whole = _source(path, **layout)
    tables = [table for unit in whole.units() for table in whole.tables(unit)]
    expected = [row for table in tables for row in table.to_pylist()]
    assert all(table.schema == RAW_SCHEMA for table in tables)
    assert [row["body"] for row in expected] == [
        None if row["text"] is None else row["text"].encode() for row in rows
    ]  # fmt: skip
    assert _read(_source(path, **layout, split_bytes=split)) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(_TEXT | st.none(), st.none() | st.integers(-5, 5), st.lists(_TEXT, max_size=3)), min_size=1,
                max_size=40), st.integers(1, 9), st.integers(1, 2000))  # fmt: skip
def test_parquet_comes_back_wherever_it_is_cut(
    tmp_path: Path, rows: list[tuple[Any, Any, Any]], group: int, split: int
) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "text": pa.array([row[0] for row in rows], pa.string()),
            "n": pa.array([row[1] for row in rows], pa.int8()),
            "many": pa.array([row[2] for row in rows], pa.list_(pa.string())),
        }
    )
    pq.write_table(table, path, row_group_size=group)
    fields: dict[str, Any] = {"columns": {"metadata": ["n", "many"]}}
    expected = _read(_source(path, **fields))
    assert [row["body"] for row in expected] == [None if row[0] is None else row[0].encode() for row in rows]
    assert _read(_source(path, **fields, split_bytes=split)) == expected
    for number, (row, made) in enumerate(zip(rows, expected, strict=True)):
        said = json.loads(made["metadata"])
        assert said["many"] == row[2]
        assert said.get("n") == row[1]
        assert said["row"] == number


@settings(max_examples=200, deadline=None)
@given(st.lists(_TEXT | st.sampled_from(["\ufeffx", "a\r\nb\rc", "\0", " \n\t", "\x1c", "\u2028", "é"]), max_size=12))
def test_texts_taken_by_column_are_those_read_one_by_one(texts: list[str]) -> None:
    taken, good = plain_texts(pa.array([text.encode() for text in texts], pa.large_binary()))
    for text, got, fine in zip(texts, taken.to_pylist(), good.to_pylist(), strict=True):
        if fine:
            assert got == read_text(text.encode(), "text/plain", "utf-8").text


def test_rows_that_need_a_look_keep_their_place(tmp_path: Path) -> None:
    texts = ["one", "", "\ufefftwo", None, "thr\0ee", "four\r\nlines", "five"]
    (tmp_path / "a.jsonl").write_bytes(_jsonl([{"text": text} for text in texts]))
    source = _source(tmp_path)
    assert isinstance(source, GivesTables)
    tables = list(ReadSource("t", source)(_shard(source)))
    assert {table["content_type"][0].as_py() for table in tables if table.num_rows} == {READY}
    made = extract(pa.concat_tables(tables))
    assert made.schema == EXTRACTED_SCHEMA
    assert [(row["verdict"], row["reason"], row["text"]) for row in made.to_pylist()] == [
        ("kept", "", "one"),
        ("failed", "empty-document", None),
        ("kept", "", "two"),
        ("failed", "null-text", None),
        ("failed", "undecodable-content", None),
        ("kept", "", "four\nlines"),
        ("kept", "", "five"),
    ]
    for row in made.to_pylist():
        if row["verdict"] == "kept":
            assert json.loads(row["metadata"])["extractor"] == "text"
    alone = pa.concat_tables([extract(batch) for batch in _ones(pa.concat_tables(tables))])
    assert alone.equals(made.combine_chunks()) or alone.to_pylist() == made.to_pylist()


def _ones(table: pa.Table) -> list[pa.Table]:
    return [table.slice(at, 1) for at in range(table.num_rows)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), max_size=20))
def test_json_of_a_column_of_strings(values: list[str | None]) -> None:
    made = arrow_json.strings(pa.array(values, pa.string())).to_pylist()
    assert made == [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, None, -5], pa.int8()), [1, None, -5]),
        (pa.array([0.1, 1e300, float("inf"), float("nan")]), [0.1, 1e300, None, None]),
        (pa.array([0.1], pa.float32()), [0.1]),
        (pa.array([True, None]), [True, None]),
        (pa.array([None, None]), [None, None]),
        (pa.array(["a", None, "b"]).dictionary_encode(), ["a", None, "b"]),
        (pa.array([{"b": 1, "a": None}, None, {"b": None, "a": "x"}]), [{"b": 1}, None, {"a": "x"}]),
        (pa.array([[1, None], [], None, [3]]), [[1, None], [], None, [3]]),
        (pa.array([[1, 2], [3, 4], [5, 6]])[1:], [[3, 4], [5, 6]]),
        (pa.array([[["a"]], [[], None]]), [[["a"]], [[], None]]),
        (pa.array([date(2024, 1, 2)]), ["2024-01-02"]),
        (pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32())), [{"k": 1}, None]),
        (pa.array([b"ab"]), ["ab"]),
    ],
)
def test_json_of_other_columns(column: pa.Array, expected: list[Any]) -> None:
    made = arrow_json.values(column).to_pylist()
    assert [None if one is None else json.loads(one) for one in made] == expected


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(lambda moment: moment.isoformat() + "Z")
        | st.datetimes().map(lambda moment: moment.isoformat(" "))
        | st.sampled_from(["2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z", "2024-02-30T00:00:00Z", "20240101", ""])
        | st.from_regex(r"[0-9]{4}-[0-1][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,6})?Z",
                        fullmatch=True),
        max_size=5,
    )
)  # fmt: skip
def test_dates_by_column_are_those_read_one_by_one(dates: list[str]) -> None:
    assert moments(pa.array(dates, pa.string())).to_pylist() == [fetched_at(one) for one in dates]


@pytest.mark.data
def test_real_tables(pomona_data: Path) -> None:
    for path in sorted((pomona_data / "text").glob("nltk_*.jsonl.gz")):
        with gzip.open(path, "rt") as lines:
            expected = [json.loads(line) for line in lines]
        rows = _read(_source(path, columns={"id": "file"}))
        assert [row["body"].decode() for row in rows] == [one["text"] for one in expected]
        assert [row["uri"] for row in rows] == [f"{path.name}#{one['file']}" for one in expected]
