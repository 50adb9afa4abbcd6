"""The corpus of the benchmarks: which pages it holds, and that its WARC files read back as those pages."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from benchmarks.corpus import pages, warc
from benchmarks.corpus.choice import choose
from pipelines.sources import WarcSource
from pipelines.sources.record import Record

ORIGINS = {
    name: [hashlib.md5(f"{name}{number}".encode()).hexdigest() for number in range(count)]
    for name, count in {"rust": 900, "debian": 40, "handbook": 5}.items()
}


def html(number: int) -> bytes:
    return f"<html><body><p>Page {number}, with a text of its own.</p>{'<p>More.</p>' * 300}</body></html>".encode()


def test_origins_have_equal_shares_until_they_run_out() -> None:
    chosen = choose(ORIGINS, 150)
    shares = {name: sum(one.origin == name for one in chosen) for name in ORIGINS}
    assert shares["handbook"] == 5
    assert shares["debian"] == 40
    assert shares["rust"] == 105
    assert len({one.digest for one in chosen}) == 150


def test_a_smaller_corpus_is_the_beginning_of_a_larger_one() -> None:
    assert choose(ORIGINS, 60) == choose(ORIGINS, 600)[:60]
    assert choose(ORIGINS, 60) != choose(ORIGINS, 60, seed=1)


def test_equal_pages_of_two_origins_count_once() -> None:
    twice = {"a": ["1" * 32, "2" * 32], "b": ["2" * 32, "3" * 32]}
    assert sorted(one.digest[0] for one in choose(twice, 3)) == ["1", "2", "3"]
    with pytest.raises(ValueError, match="there are 3 distinct"):
        choose(twice, 4)


def test_pages_read_back_from_warc(tmp_path: Path) -> None:
    given = [
        (hashlib.md5(bytes([number])).hexdigest(), pages.Page(f"https://example.org/{number}", html(number)))
        for number in range(5)
    ]
    latin = pages.Page("https://example.org/latin", "<html><body>caf\u00e9</body></html>".encode("latin-1"))
    files = warc.write([*given, ("f" * 32, latin)], tmp_path / "warc")
    source = WarcSource(name="pages", paths=(tmp_path / "warc",))
    records = [one for unit in source.units() for one in source.read(unit)]
    assert all(isinstance(one, Record) for one in records)
    found = {one.uri: one for one in records if isinstance(one, Record)}
    assert {uri: one.body for uri, one in found.items()} == {
        page.url: page.html for page in (*(page for _, page in given), latin)
    }
    assert found["https://example.org/0"].content_type == "text/html; charset=utf-8"
    assert found["https://example.org/latin"].content_type == "text/html"
    again = warc.write([*given, ("f" * 32, latin)], tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in files]


def test_redirects_and_copies_are_left_out_and_origins_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr(pages, "MOST", 4)
    some = [pages.Page(f"https://example.org/{number}", html(number)) for number in range(10)]
    copy = pages.Page("https://example.org/copy", html(0))
    redirect = pages.Page("https://example.org/old", b'<meta http-equiv="refresh" content="0; url=new">' + html(99))
    fallback = b"<noscript><meta http-equiv=refresh content=0></noscript>"
    noscript = pages.Page("https://example.org/noscript", fallback + html(98))
    assert pages.keep([*some, copy, redirect, noscript], tmp_path / "a.parquet") == 11
    table = pq.read_table(tmp_path / "a.parquet")
    digests = table["digest"].to_pylist()
    assert len(digests) == 4
    assert digests == sorted(digests)
    pages.keep([noscript, *reversed(some)], tmp_path / "b.parquet")
    assert pq.read_table(tmp_path / "b.parquet").equals(table)
    assert pages.keep([redirect], tmp_path / "c.parquet") == 0


def test_documents_are_repeated_under_other_ids(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from benchmarks.engines.prepared import entries, repeated

    part = tmp_path / "documents" / "part-00000.parquet"
    part.parent.mkdir()
    pq.write_table(pa.table({"id": ["a", "b", "c"], "text": ["one", "two", "three"]}), part)
    (made,) = repeated([part], 4, tmp_path / "x4")
    table = pq.read_table(made)
    ids = table["id"].to_pylist()
    assert len(set(ids)) == 12
    assert ids == sorted(ids)
    assert sorted(table["text"].to_pylist()) == sorted(["one", "two", "three"] * 4)
    assert entries([made])[0].rows == 12
    before = made.stat().st_mtime_ns
    assert repeated([part], 4, tmp_path / "x4") == [made]
    assert made.stat().st_mtime_ns == before  # what is there is not made again
