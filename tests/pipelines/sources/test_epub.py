from __future__ import annotations

import gzip
import html
import io
import json
import pydoc_data.topics
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.extract import extract_body
from pipelines.sources.epub import EpubSource
from pipelines.sources.record import Failure, Outcome, Record, Source

TOPICS = dict(sorted(pydoc_data.topics.topics.items())[:12])
CONTAINER = """<?xml version="1.0"?>
<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>
<rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""
CC0 = "See http://creativecommons.org/publicdomain/zero/1.0/ for the terms."
DRM = """<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"
 xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData><enc:EncryptionMethod Algorithm="{}"/>
<enc:CipherData><enc:CipherReference URI="{}"/></enc:CipherData></enc:EncryptedData></encryption>"""


def _xhtml(title: str, text: str) -> str:
    body = "".join(f"<p>{html.escape(block)}</p>" for block in text.split("\n\n"))
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title>'
        f"</head><body><h2>{html.escape(title)}</h2>{body}</body></html>"
    )


def _epub(path: Path, pages: Mapping[str, str | bytes], *, rights: str = CC0, spine: str = "", **more: str) -> Path:
    items = "".join(
        f'<item id="i{at}" href="text/{name}" media-type="application/xhtml+xml"/>' for at, name in enumerate(pages)
    )
    order = spine or "".join(f'<itemref idref="i{at}"/>' for at in range(len(pages)))
    package = f"""<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">
    <metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>A Book</dc:title><dc:creator>Ann Author</dc:creator>
    <dc:creator>Bob Author</dc:creator><dc:language>en-GB</dc:language><dc:rights>{rights}</dc:rights></metadata>
    <manifest>{items}</manifest><spine>{order}</spine></package>"""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        book.writestr("META-INF/container.xml", CONTAINER)
        book.writestr("OPS/book.opf", package)
        for name, page in pages.items():
            book.writestr(f"OPS/text/{name}", page)
        for name, data in more.items():
            book.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return path


def _outcomes(path: Path, **fields: object) -> list[Outcome]:
    source = EpubSource.model_validate({"name": "b", "paths": [path], **fields})
    assert isinstance(source, Source)
    return [outcome for unit in source.units() for outcome in source.read(unit)]


def _text(record: Outcome) -> str:
    assert isinstance(record, Record), record
    assert isinstance(record.body, str)
    return extract_body(record.body.encode(), record.content_type).text


PAGES = {f"{number}.xhtml": _xhtml(name, text) for number, (name, text) in enumerate(TOPICS.items())}


def test_a_book_is_its_chapters_in_order(tmp_path: Path) -> None:
    (record,) = _outcomes(_epub(tmp_path / "a.epub", PAGES))
    assert isinstance(record, Record)
    assert (record.kind, record.license, record.uri) == ("book", "CC0-1.0", "a.epub")
    assert record.metadata["title"] == "A Book"
    assert record.metadata["creators"] == ["Ann Author", "Bob Author"]
    assert record.metadata["language"] == "en-GB"
    text = _text(record)
    headings = [line.removeprefix("## ") for line in text.split("\n") if line.startswith("## ")]
    assert headings == list(TOPICS)
    for said in TOPICS.values():
        assert " ".join(said.split()) in " ".join(text.split())


def test_chapters_one_by_one_and_the_order_of_the_spine(tmp_path: Path) -> None:
    spine = '<itemref idref="i2"/><itemref idref="i0"/><itemref idref="i1" linear="no"/><itemref idref="i2"/>'
    path = _epub(tmp_path / "a.epub", PAGES, spine=spine, rights="All rights reserved")
    outcomes = _outcomes(path, split="chapter", license="CC-BY-4.0")
    assert [outcome.uri for outcome in outcomes] == ["a.epub#OPS/text/2.xhtml", "a.epub#OPS/text/0.xhtml"]
    assert isinstance(outcomes[0], Record)
    assert outcomes[0].license == "CC-BY-4.0"
    assert outcomes[0].metadata["rights"] == "All rights reserved"
    assert _text(outcomes[0]).startswith(f"## {list(TOPICS)[2]}\n")


def test_protected_books_are_named_and_hidden_fonts_are_no_protection(tmp_path: Path) -> None:
    adobe = DRM.format("http://ns.adobe.com/adept/enc", "OPS/text/0.xhtml")
    (locked,) = _outcomes(_epub(tmp_path / "a.epub", PAGES, **{"META-INF__encryption_dot_xml": adobe}))
    assert isinstance(locked, Failure)
    assert locked.reason == "drm-protected"
    fonts = DRM.format("http://www.idpf.org/2008/embedding", "OPS/fonts/a.otf")
    (book,) = _outcomes(_epub(tmp_path / "b.epub", PAGES, **{"META-INF__encryption_dot_xml": fonts}))
    assert isinstance(book, Record)


def test_bad_books_are_counted_and_the_others_are_read(tmp_path: Path) -> None:
    good = _epub(tmp_path / "good.epub", PAGES).read_bytes()
    (tmp_path / "cut.epub").write_bytes(good[: len(good) // 2])
    (tmp_path / "html.epub").write_bytes(b"<html>")
    _epub(tmp_path / "bomb.epub", {"0.xhtml": _xhtml("x", "word " * 3_000_000)})
    with zipfile.ZipFile(tmp_path / "zip.epub", "w") as book:
        book.writestr("readme.txt", "no book")
    lol = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><container>&b;</container>'
    with zipfile.ZipFile(tmp_path / "entity.epub", "w") as book:
        book.writestr("META-INF/container.xml", lol)
    with zipfile.ZipFile(tmp_path / "broken.epub", "w") as book:
        book.writestr("META-INF/container.xml", "<container><unclosed>")
    spine = '<itemref idref="i0"/><itemref idref="i1"/><itemref idref="i2"/>'
    hole = _epub(tmp_path / "hole.epub", {"0.xhtml": PAGES["0.xhtml"], "1.xhtml": b"\x89PNG" + bytes(range(256)) * 40,
                                          "2.xhtml": PAGES["2.xhtml"]}, spine=spine)  # fmt: skip
    outcomes = _outcomes(tmp_path, max_record_bytes=5_000_000)
    reasons = {outcome.uri: outcome.reason for outcome in outcomes if isinstance(outcome, Failure)}
    assert reasons == {
        "cut.epub": "damaged-file",
        "html.epub": "damaged-file",
        "bomb.epub": "too-large",
        "zip.epub": "not-an-epub",
        "entity.epub": "not-an-epub",
        "broken.epub": "invalid-xml",
        "hole.epub#OPS/text/1.xhtml": "undecodable-content",
    }
    books = {outcome.uri: outcome for outcome in outcomes if isinstance(outcome, Record)}
    assert set(books) == {"good.epub", hole.name}
    assert books[hole.name].metadata["missing_chapters"] == ["OPS/text/1.xhtml"]


def test_a_member_whose_checksum_is_wrong_costs_its_chapter(tmp_path: Path) -> None:
    path = _epub(tmp_path / "a.epub", {"0.xhtml": PAGES["0.xhtml"], "1.xhtml": PAGES["1.xhtml"]})
    with zipfile.ZipFile(path) as book:
        start = book.getinfo("OPS/text/1.xhtml").header_offset + 30 + len("OPS/text/1.xhtml")
    data = bytearray(path.read_bytes())
    data[start + 100 : start + 140] = b"\xff" * 40
    path.write_bytes(data)
    outcomes = _outcomes(path)
    assert [getattr(outcome, "reason", "") for outcome in outcomes] == ["damaged-file", ""]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_stops_a_run(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(_epub(tmp_path / "a.epub", {"0.xhtml": PAGES["0.xhtml"]}).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    (tmp_path / "a.epub").write_bytes(whole)
    assert _outcomes(tmp_path / "a.epub")


@pytest.mark.data
def test_real_books(pomona_data: Path, tmp_path: Path) -> None:
    for name, chapters, first in (
        ("pride-and-prejudice", 61, "It is a truth universally acknowledged"),
        ("the-adventures-of-sherlock-holmes", 12, "To Sherlock Holmes she is always the woman."),
    ):
        with gzip.open(pomona_data / f"books/{name}.jsonl.gz", "rt") as lines:
            rows = {row["file"]: row["xhtml"] for row in map(json.loads, lines)}
        (record,) = _outcomes(_epub(tmp_path / f"{name}.epub", rows))
        text = _text(record)
        assert first in text
        assert sum(line.startswith("#") for line in text.split("\n")) >= chapters
        assert "<" not in text
        import lxml.etree

        words = sum(
            len(" ".join(lxml.etree.parse(io.BytesIO(page.encode())).getroot().find("{*}body").itertext()).split())
            for page in rows.values()
        )
        assert abs(len(text.split()) - words) < 0.01 * words
