from __future__ import annotations

import gzip
import json
import lzma
import pydoc_data.topics
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.extract import ExtractionError, extract_body
from pipelines.sources.record import Failure, Outcome, Record, Source
from pipelines.sources.text import TextSource

TOPICS = dict(sorted(pydoc_data.topics.topics.items()))


def _outcomes(source: TextSource) -> list[Outcome]:
    return [outcome for unit in source.units() for outcome in source.read(unit)]


def _texts(source: TextSource) -> list[str]:
    found: list[str] = []
    for outcome in _outcomes(source):
        assert isinstance(outcome, Record), outcome
        assert isinstance(outcome.body, bytes)
        found.append(extract_body(outcome.body, outcome.content_type).text)
    return found


def test_a_file_is_a_document(tmp_path: Path) -> None:
    for number, (name, text) in enumerate(TOPICS.items()):
        data = text.encode()
        pack = [bytes, gzip.compress, lzma.compress, zstd.compress][number % 4]
        (tmp_path / f"{name}.txt{['', '.gz', '.xz', '.zst'][number % 4]}").write_bytes(pack(data))
    source = TextSource(name="t", paths=(tmp_path,), license="PSF-2.0", kind="book")
    assert isinstance(source, Source)
    assert sorted(_texts(source)) == sorted(TOPICS.values())
    first = _outcomes(source)[0]
    assert isinstance(first, Record)
    assert (first.license, first.kind, first.uri) == ("PSF-2.0", "book", first.metadata["file"])
    assert len(source.units()) < len(TOPICS)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(sorted(TOPICS)), min_size=1, max_size=6),
    st.sampled_from(["\n", "\n\n", "\n \t\n\n", "\n---\n", "\n\n\n\n"]),
    st.integers(50, 20_000),
    st.booleans(),
)
def test_where_a_file_is_cut_never_shows(
    tmp_path: Path, names: list[str], joint: str, split: int, marked: bool
) -> None:
    path = tmp_path / "joined.txt"
    path.write_text(joint.join(TOPICS[name].strip("\n") for name in names))
    form = {"split": "marker", "marker": "---"} if marked else {"split": "blank-lines"}
    whole = TextSource.model_validate({"name": "t", "paths": [path], **form})
    parts = TextSource.model_validate({"name": "t", "paths": [path], "split_bytes": split, **form})
    expected = _outcomes(whole)
    assert _outcomes(parts) == expected
    for outcome in expected:
        assert isinstance(outcome, Record)
        start = outcome.metadata["offset"]
        assert path.read_bytes()[start : start + len(outcome.content)] == outcome.content
    if joint == "\n---\n" and marked:
        assert _texts(whole) == [TOPICS[name].strip("\n") for name in names]


def test_marker_lines_come_from_compressed_files_too(tmp_path: Path) -> None:
    texts = [text.strip("\n") for text in TOPICS.values()]
    (tmp_path / "all.txt.zst").write_bytes(zstd.compress("\n<|endoftext|>\n".join(texts).encode()))
    source = TextSource(name="t", paths=(tmp_path,), split="marker", marker="<|endoftext|>", split_bytes=1000)
    assert _texts(source) == texts


def test_bad_input_is_counted_and_nothing_else_is_lost(tmp_path: Path) -> None:
    text = "\n\n".join(TOPICS.values()).encode()
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(text)[:-2000])
    (tmp_path / "good.txt").write_bytes(b"good\n\nbetter")
    (tmp_path / "long.txt").write_bytes(b"short\n\n" + b"long " * 5000 + b"\n" + b"x" * 30_000 + b"\n\nlast")
    (tmp_path / "nul.txt").write_bytes(b"a\0b")
    (tmp_path / "latin.txt").write_bytes("Grüße aus Köln".encode("latin-1"))
    (tmp_path / "empty.txt").write_bytes(b"")
    source = TextSource(name="t", paths=(tmp_path,), split="blank-lines", max_record_bytes=20_000)
    outcomes = _outcomes(source)
    failures = {outcome.uri: outcome.reason for outcome in outcomes if isinstance(outcome, Failure)}
    assert failures == {"cut.txt.gz#damage": "damaged-file", "long.txt#offset=7": "too-large"}
    uris = [outcome.uri for outcome in outcomes]
    assert len(set(uris)) == len(uris)
    assert {"good.txt#offset=0", "good.txt#offset=6", "long.txt#offset=0"} <= set(uris)
    reasons: dict[str, str] = {}
    for outcome in outcomes:
        if isinstance(outcome, Record):
            try:
                extract_body(outcome.content, outcome.content_type)
            except ExtractionError as error:
                reasons[outcome.uri] = error.reason
    assert reasons == {"nul.txt#offset=0": "undecodable-content", "latin.txt#offset=0": "undecodable-content"}

    whole = TextSource(name="t", paths=(tmp_path,), max_record_bytes=20_000)
    failed = {outcome.uri: outcome.reason for outcome in _outcomes(whole) if isinstance(outcome, Failure)}
    assert failed == {"cut.txt.gz": "too-large", "long.txt": "too-large"}
    small = TextSource(name="t", paths=(tmp_path / "cut.txt.gz",))
    (only,) = _outcomes(small)
    assert isinstance(only, Failure)
    assert only.reason == "damaged-file"
    german = TextSource(name="t", paths=(tmp_path / "latin.txt",), encoding="latin-1")
    assert _texts(german) == ["Grüße aus Köln"]


def test_mistakes_in_the_recipe_are_named(tmp_path: Path) -> None:
    for fields, said in (
        ({"split": "marker"}, "needs the field 'marker'"),
        ({"marker": "--"}, "needs the field 'marker'"),
        ({"encoding": "utf-99"}, "no encoding is called"),
        ({"encoding": "utf-16", "split": "blank-lines"}, "convert it to UTF-8"),
    ):
        with pytest.raises(ValidationError, match=said):
            TextSource.model_validate({"name": "t", "paths": [tmp_path], **fields})


@pytest.mark.data
def test_real_books_by_paragraph(pomona_data: Path, tmp_path: Path) -> None:
    source = TextSource(name="t", paths=(pomona_data / "text/tinyshakespeare.txt.gz",), split="blank-lines")
    speeches = _texts(source)
    play = gzip.decompress((pomona_data / "text/tinyshakespeare.txt.gz").read_bytes()).decode()
    assert speeches == [speech.strip("\n") for speech in play.split("\n\n") if speech.strip()]
    with gzip.open(pomona_data / "text/nltk_genesis.jsonl.gz", "rt") as lines:
        books = [json.loads(line) for line in lines]
    for book in books:  # eight languages
        (tmp_path / f"{Path(book['file']).stem}.txt").write_text(book["text"])
    got = _texts(TextSource(name="t", paths=(tmp_path,)))
    assert sorted(got) == sorted(book["text"].replace("\r\n", "\n").replace("\r", "\n") for book in books)
