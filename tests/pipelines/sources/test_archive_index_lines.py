"""Lines of an index, whatever stands in them: read in blocks as one by one, and all accounted for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources import archive_index
from pipelines.sources.archive_index import Problem, Select, read_index

_VALUES = st.one_of(
    st.sampled_from(["7", "07", "0", "-", "-3", "", "x.warc.gz", "../x", "a/../b", "/x", "s3://x", "a:b", "text/html"]),
    st.sampled_from(["a\nb", "\u2028", "\ud800", "é", "a\0b", None, 7, 0, -1, 1.5, True, [], {}, "9" * 30]),
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_lines_are_read_the_same_at_once_and_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Arrow reads blocks in which all lines are as they should be; what it gives is what each line alone gives."""
    names = ["url", "filename", "offset", "length", "digest", "mime", "mime-detected", "status", "languages", "more"]
    good = {"url": "http://h.test/", "filename": "a/x.warc.gz", "offset": "12", "length": "34", "status": "200"}
    lines: list[bytes] = []
    for _ in range(data.draw(st.integers(1, 4))):
        said = {**good, **data.draw(st.dictionaries(st.sampled_from(names), _VALUES, max_size=2))}
        key = data.draw(st.sampled_from(["k 2024 ", "k 2024 ", "", "k ", "k  ", "k 2024 x "]))
        line = (key + json.dumps(said, ensure_ascii=data.draw(st.booleans()))).encode("utf-8", "surrogatepass")
        lines.append(line + data.draw(st.sampled_from([b"", b"", b"\r", b" ", b"x", b" {}", b"\xff", b"\n", b"\n!c"])))
    block = b"".join(line + b"\n" for line in lines)
    path = tmp_path_factory.mktemp("lines") / "i.cdxj"

    def read() -> tuple[list[dict[str, Any]], list[Problem]]:
        path.write_bytes(block)
        items = list(read_index(path, Select(status=())))
        rows = [row for item in items if not isinstance(item, Problem) for row in item.to_pylist()]
        return rows, [item for item in items if isinstance(item, Problem)]

    at_once = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive_index, "_objects", lambda _: None)
        assert read() == at_once


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([b"k 1 {}", b"!x", b" CDX N b a", b"\x1f\x8b"]))))
def test_any_lines_are_all_accounted_for(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    entry = b'k 1 {"url": "http://h.test/", "filename": "x", "offset": "1", "length": "2"}'
    data = b"\n".join([entry, *lines, entry])
    path = tmp_path_factory.mktemp("any") / "i.cdxj"
    path.write_bytes(data)
    items = list(read_index(path, Select(status=())))
    said = [line.decode("utf-8", "replace").rstrip("\r") for line in data.split(b"\n")]
    expected = sum(bool(line.strip()) and not line.startswith("!") for line in said)
    rows = sum(item.num_rows for item in items if not isinstance(item, Problem))
    assert rows >= 2
    assert rows + sum(isinstance(item, Problem) for item in items) == expected
