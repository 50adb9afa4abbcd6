"""Files that are not what they say, or are made to cost: each is named, costs no other, and has a bound."""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.ledger import DROPPED, FAILED, KEPT
from pipelines.sources.archive import read_archive
from pipelines.sources.archive_outcomes import fetched_at
from pipelines.sources.files import SourceError
from pipelines.sources.http_message import HttpMessage
from tests.fuzz.cost import measured
from tests.fuzz.files import SEEDS, Row, jsonl, parquet, posts, rows, tarred, tex, warc, wiki, zipped
from tests.fuzz.test_hostile_pages import ARTICLE, PDF, PNG
from tests.growth import is_linear


def _beside(kind: str, folder: Path, hostile: bytes, *, name: str = "", **fields: Any) -> list[Row]:
    """What a source makes of a hostile file; of the sound one beside it everything must be there."""
    usual, sound, make = SEEDS[kind]
    for place, data in (("a", sound), ("b", hostile)):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / (usual if place == "a" else name or usual)).write_bytes(data)
        if place == "a":
            alone = rows(make, folder, **fields)
    both = rows(make, folder, **fields)
    assert not Counter(alone) - Counter(both)
    new = Counter(both) - Counter(alone)
    return [row for row in both if new[row] and not new.subtract([row])]


def _reasons(found: list[Row]) -> list[str]:
    return [row[2] for row in found if row[1] != KEPT]


JUNK = {
    "PNG": PNG,
    "PDF": PDF,
    "HTML": b"<!DOCTYPE html><html><body>" + ARTICLE + b"</body></html>",
    "zeros": bytes(3000),
    "noise": os.urandom(3000),
    "gzip of noise": gzip.compress(os.urandom(3000)),
    "gzip cut off": gzip.compress(os.urandom(3000))[:1500],
    "zip": zipped({"x": b"y" * 100}),
    "Parquet": parquet(),
}


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("kind", SEEDS)
def test_what_is_not_what_it_says_is_counted(kind: str, junk: str, tmp_path: Path) -> None:
    if (kind, junk) == ("parquet", "Parquet"):
        pytest.skip("it is what it says")
    if kind == "latex":
        pytest.skip("the loose files of a folder are one project")
    if kind.startswith("mediawiki"):
        with pytest.raises(SourceError, match=r"b/f\.xml"):  # a dump without a head stops the recipe, by name
            _beside(kind, tmp_path, JUNK[junk])
        return
    found = _beside(kind, tmp_path, JUNK[junk])
    assert found, "nothing is lost without a word"
    if "text" not in kind:  # of a text nobody knows what it should be: its encoding is looked at when it is read
        assert {row[1] for row in found} <= {FAILED, DROPPED} or (kind.startswith("code") and junk == "zip")


def _lengthened(record: bytes, length: str) -> bytes:
    return re.sub(rb"Content-Length: \d+", b"Content-Length: " + length.encode(), record, count=1)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("length", ["", "-1", "1e3", "999999999999", "9" * 5000, "100000", "0", "50"])
def test_a_wrong_length_costs_its_own_record(length: str, packed: bool, tmp_path: Path) -> None:
    one, two, three = warc()
    kind = "warc.gz" if packed else "warc"
    pack: Callable[[bytes], bytes] = gzip.compress if packed else bytes
    found = _beside(kind, tmp_path, pack(one) + pack(_lengthened(two, length)) + pack(three))
    assert {row[0] for row in found if row[1] == KEPT} - {"http://h.test/1"} == {"http://h.test/0", "http://h.test/2"}
    assert _reasons(found), "the wrong one is told"


def test_lengths_beyond_the_end_take_no_more_than_one_look() -> None:
    wrong = _lengthened(warc()[0], "999999999999")
    assert is_linear(
        lambda data: sum(1 for _ in read_archive(io.BytesIO(data), 1 << 24)), lambda n: wrong * n, 400, times=4
    )


def test_http_headers_take_the_time_of_their_size() -> None:
    head = b"HTTP/1.1 200 OK\r\n"
    for begin, piece in ((b"a: b\r\n", b" c\r\n"), (b"", b"a: b\r\n"), (b"", b"a\r\n")):
        assert is_linear(
            HttpMessage.parse, lambda n, begin=begin, piece=piece: head + begin + piece * n, 60_000, times=4
        )
    assert HttpMessage.parse(head + b"a: b\r\n c\r\na: d\r\n\r\n").headers == {"a": "b c, d"}


def test_record_headers_take_the_time_of_their_size() -> None:
    line = b" " + b"c" * 60_000 + b"\r\n"
    head = b"WARC/1.0\r\nContent-Length: 0\r\nA: b\r\n"
    assert is_linear(
        lambda data: sum(1 for _ in read_archive(io.BytesIO(data), 1)),
        lambda n: head + line * n + b"\r\n\r\n",
        200,
        times=4,
    )


def test_a_page_of_comments_without_a_type(tmp_path: Path) -> None:
    """A regular expression parted the comments in all ways: 40 of them would have taken years."""
    block = b"HTTP/1.1 200 OK\r\n\r\n" + b"<!---->" * 400 + b"<q>x"
    head = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://h.test/c\r\nContent-Length: %d\r\n\r\n"
    assert _reasons(_beside("warc", tmp_path, head % len(block) + block + b"\r\n\r\n")) == ["not-html"]


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "9" * 20, "²", "", "-"])
def test_dates_that_no_clock_shows(date: str) -> None:
    assert fetched_at(date) is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "x', "invalid-json"),
        (b'{"text": "x", "n": ' + b"1" * 5000 + b"}", "invalid-json"),
        (b'{"text": "x", "metadata": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid-json"),
        (b'{"text": "x", "metadata": ' + b"[" * 700 + b"]" * 700 + b"}", "invalid-json"),
        (b'{"text": "x", "metadata": ' + b'{"a":' * 700 + b"1" + b"}" * 700 + b"}", "invalid-json"),
        (b'{"text": "\xff"}', "undecodable-content"),
        (b'{"text": 1}', "not-text"),
        (b"[1]", "not-an-object"),
        (b"\0" * 50, "invalid-json"),
        (b'{"text": "' + b"x" * 2_000_000 + b'"}', "too-large"),
    ],
)
def test_a_broken_line_costs_itself(line: bytes, reason: str, tmp_path: Path) -> None:
    good = jsonl()
    columns = {"text": "text", "metadata": ["metadata"]}
    lines = b'{"text": "first", "metadata": 1e999}\n' + line + b'\n{"text": "a \\ud800 b"}\n' + good
    found = _beside("jsonl", tmp_path, lines, columns=columns, max_record_bytes=1_000_000)
    assert _reasons(found) == [reason]
    assert sum(row[1] == KEPT for row in found) == 5


@pytest.mark.parametrize(
    "data",
    [
        parquet()[:-4] + b"PAR2",
        parquet()[:-8] + b"\xff\xff\xff\x7fPAR1",
        parquet()[:-8] + b"\0\0\0\0PAR1",
        b"PAR1" + parquet()[-300:],
        b"PAR1PAR1",
        parquet()[: len(parquet()) // 2],
        jsonl(),
        b"",
    ],
)
def test_parquet_with_a_wrong_footer(data: bytes, tmp_path: Path) -> None:
    assert _reasons(_beside("parquet", tmp_path, data)) == ["damaged-file"]


def test_one_row_that_cannot_be_read_costs_itself(tmp_path: Path) -> None:
    names = pa.array([[b"a"], [b"\xff"], [b"c"]], pa.list_(pa.binary()))
    broken = pa.ListArray.from_arrays(names.offsets, names.values.view(pa.string()))
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": ["one", "two", "three"], "url": ["u1", "u2", "u3"], "metadata": broken}), stream)
    found = _beside("parquet", tmp_path, stream.getvalue())
    assert _reasons(found) == ["damaged-file"]
    assert [row[0] for row in found if row[1] == KEPT] == ["u1", "u3"]


BOMB = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + at)} "{("&" + chr(97 + at) + ";") * 10}">' for at in range(9)
)
OUTSIDE = '<!DOCTYPE x [<!ENTITY j SYSTEM "file:///etc/passwd">'


@pytest.mark.parametrize("entities", [BOMB, OUTSIDE])
@pytest.mark.parametrize("place", ["META-INF/container.xml", "b.opf", "0.html"])
def test_entities_of_a_book_are_not_followed(entities: str, place: str, tmp_path: Path) -> None:
    sound = {
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="b.opf"/></rootfiles>&j;</container>',
        "b.opf": '<package><metadata>&j;</metadata><manifest><item id="i" href="0.html" media-type="text/html"/>'
        '</manifest><spine><itemref idref="i"/></spine></package>',
        "0.html": '<html xmlns="http://www.w3.org/1999/xhtml"><body><p>A &j; text</p></body></html>',
    }
    files = {name: (text if name == place else text.replace("&j;", "")) for name, text in sound.items()}
    files[place] = entities + "]>" + files[place]
    _, _, make = SEEDS["epub"]
    (tmp_path / "f.epub").write_bytes(zipped({name: text.encode() for name, text in files.items()}))
    for row in rows(make, tmp_path):
        assert row[1] == KEPT or row[2] in ("invalid-xml", "too-large"), row
    from pipelines.extract import ExtractionError
    from pipelines.extract.html_parts import read_parts
    from tests.fuzz.files import bodies

    for body, _ in bodies(make, tmp_path):
        try:
            text = read_parts(body).text
        except ExtractionError:
            continue
        assert "root:" not in text
        assert "haha" not in text


def test_zips_whose_names_and_places_lie(tmp_path: Path) -> None:
    book = SEEDS["epub"][1]
    assert _reasons(_beside("epub", tmp_path / "cut", book[1:])) == ["damaged-file"]  # members before the file begins
    other = zipped({"../../etc/x": b"1", "/abs": b"2", "a\\b": b"3", "META-INF/container.xml": b"<container/>"})
    assert _reasons(_beside("epub", tmp_path / "book", other)) == ["not-an-epub"]
    assert "unsafe-path" in _reasons(_beside("code zip", tmp_path / "code", other))


def test_a_page_of_a_dump_that_is_never_closed_costs_itself(tmp_path: Path) -> None:
    head, one, two, three, end = wiki()
    renamed = [page.replace("<title>", "<title>New ") for page in (one, two, three)]
    dump = "".join([head, renamed[0], renamed[1].replace("</page>", ""), "<page>&lol;</page>", renamed[2], end])
    found = _beside("mediawiki", tmp_path, dump.encode())
    assert _reasons(found) == ["invalid-xml", "invalid-xml"]
    assert sum(row[1] == KEPT for row in found) == 2


@pytest.mark.parametrize("inner", ["<id>--5</id>", "<id>" + "1" * 5000 + "</id>", "<ns>²</ns>", "<id>٣</id>"])
def test_numbers_of_a_dump_that_are_none(inner: str, tmp_path: Path) -> None:
    head, one, *_ = wiki()
    page = re.sub(r"<id>\d+</id>", "", one).replace("<title>", "<title>N").replace("<revision>", inner + "<revision>")
    assert [row[1] for row in _beside("mediawiki", tmp_path, (head + page).encode())] == [KEPT]


def test_the_head_of_a_dump_takes_the_time_of_its_size(tmp_path: Path) -> None:
    from pipelines.sources.mediawiki import Site

    for piece in ('<namespace key="1"', "<mediawiki ", "<base>", '<namespace key="1">'):
        assert is_linear(lambda head: Site.of(head, False), lambda n, piece=piece: piece * n, 10_000, times=4), piece
    assert Site.of('<namespace key="' + "1" * 5000 + '">x</namespace>', False).base == ""


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b'<row Id="9" PostTypeId="1" Body="&lol;" />', "invalid-xml"),
        (b'<row Id="9" PostTypeId="1" Body="x"', "invalid-xml"),
        (b'<row Id="9" Body=\'PostTypeId="1"\' />', "invalid-post"),
        (b'<row Id="' + b"1" * 5000 + b'" PostTypeId="1" Body="x" />', "invalid-post"),
        (b'<row Id="9" PostTypeId="7" Body="x" />', "not-a-question"),
        (b" " * 50_000 + b"x", "invalid-post"),
        (b'<!DOCTYPE x [<!ENTITY j SYSTEM "file:///etc/passwd">]>', "invalid-post"),
        (b'<row Id="9" PostTypeId="1" Body="\xff" />', "invalid-xml"),
        (b'<row Id="9" PostTypeId="1" Body="&#0;" />', "invalid-xml"),
    ],
)
def test_a_bad_post_costs_itself(row: bytes, reason: str, tmp_path: Path) -> None:
    name, _, make = SEEDS["stackexchange"]
    (tmp_path / name).write_bytes(posts().replace(b"</posts>", row + b"\n</posts>"))
    found = rows(make, tmp_path)
    assert _reasons(found) == [reason]
    assert [line[0] for line in found if line[1] == KEPT] == ["https://s.test/questions/1"]


@pytest.mark.parametrize("score", ["--5", "1" * 5000, "²", "٣", "x"])
def test_numbers_of_a_post_that_are_none(score: str, tmp_path: Path) -> None:
    name, _, make = SEEDS["stackexchange"]
    (tmp_path / name).write_bytes(posts().replace(b'Score="1"', f'Score="{score}"'.encode()))
    assert [row[1] for row in rows(make, tmp_path)] == [KEPT]


@pytest.mark.parametrize(
    "codec", ["undefined", "idna", "punycode", "zlib", "unicode_escape", "raw_unicode_escape", "é"]
)
def test_codecs_that_are_none_of_texts(codec: str, tmp_path: Path) -> None:
    source = tex().replace(
        b"\\begin{document}", f"\\usepackage[{codec}]{{inputenc}}\\begin{{document}}\\ud800".encode()
    )
    (row,) = _beside("latex.gz", tmp_path, gzip.compress(source + b"\xe9"))
    assert row[1] == KEPT


def _header(name: bytes, kind: bytes, size: int = 0) -> bytes:
    info = tarfile.TarInfo("x")
    info.size = size
    raw = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    raw[: len(name)], raw[156:157] = name, kind
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


@pytest.mark.parametrize("kind", ["latex.tar.gz", "code tar.gz", "code tar"])
@pytest.mark.parametrize("hostile", ["headers without end", "a header of a gigabyte", "a name that is not UTF-8"])
def test_tars_made_to_cost(kind: str, hostile: str, tmp_path: Path) -> None:
    if hostile == "headers without end":
        made = (_header(b"././@LongLink", b"L", 1) + b"x".ljust(512, b"\0")) * 3000 + tarred({"m.tex": tex()})
        expected = {"damaged-file", "damaged-archive"}
    elif hostile == "a header of a gigabyte":
        made = _header(b"././@LongLink", b"L", 1 << 30) + bytes(1 << 16)
        expected = {"damaged-file", "damaged-archive"}
    else:
        made = (
            _header(b"\xff\xfe.tex", b"0")
            + _header(b"\xff.pdf", b"0")
            + tarred({"m.tex": tex(), "m.py": b"x = 1\n" * 20})
        )
        expected = set[str]()
    found = _beside(kind, tmp_path, gzip.compress(made) if kind.endswith("gz") else made)
    assert expected & set(_reasons(found)) if expected else any(row[1] == KEPT for row in found)


def test_files_that_put_in_one_another_take_the_time_of_their_size() -> None:
    from pipelines.sources.latex_project import Project

    def line(n: int) -> Project:
        return Project({"m.tex": r"\documentclass{x}\begin{document}" + r"\input{gone}" * n})

    def web(n: int) -> Project:
        hub = {f"h{at}.tex": "".join(rf"\input{{h{to}}}" for to in range(n // 8)) for at in range(8)}
        roots = {f"r{at}.tex": r"\input{h0}" for at in range(n)}
        return Project({**hub, **roots, "m.tex": r"\documentclass{x}"})

    assert is_linear(lambda project: project.resolved("m.tex", 1 << 24), line, 20_000, times=4)
    assert is_linear(lambda project: project.mains(), web, 1000, times=4)
    commented = Project({"m.tex": "a % \\input{b}\n\\input{b} \\% \\input{b}", "b.tex": "B"})
    found = commented.resolved("m.tex", 1000)
    assert found is not None
    assert found.text == "a % \\input{b}\nB \\% B"


@pytest.mark.parametrize("kind", SEEDS)
def test_file_names_that_are_not_utf8(kind: str, tmp_path: Path) -> None:
    usual = SEEDS[kind][0]
    data = SEEDS[kind][1]
    if kind == "stackexchange":
        pytest.skip("its file has one name")
    name = os.fsdecode(b"\xff" + usual.encode())
    try:
        (tmp_path / name).touch()
    except OSError:
        pytest.skip("this file system takes no such name")
    (tmp_path / name).unlink()
    found = _beside(kind, tmp_path, data, name=name) if kind != "latex" else []
    assert all(row[0].isprintable() for row in found)


_SETUP = """
import bz2, gzip, io, tempfile
from pathlib import Path
from tests.fuzz.files import SEEDS, rows, wiki, zipped
folder = tempfile.TemporaryDirectory()
place = Path(folder.name)
name, data, make = SEEDS[{kind!r}]
(place / name).write_bytes(data)
sound = len(rows(make, place))
def zeros(pack):
    stream = io.BytesIO()
    with pack(stream, "wb") as packed:
        for _ in range(300):
            packed.write(b" " * 1_000_000)
    return stream.getvalue()
bomb = {bomb}
(place / ("z" + name)).write_bytes(bomb) if {kind!r} != "stackexchange" else (place / name).write_bytes(bomb)
"""
_BOMBS = {
    "warc.gz": 'gzip.compress(b"WARC/1.0\\r\\nWARC-Type: response\\r\\nWARC-Target-URI: http://h.test/z\\r\\n'
    'Content-Length: 300000000\\r\\n\\r\\n") + zeros(gzip.open)',
    "text.xz": "zeros(gzip.open)",
    "jsonl.gz": "zeros(gzip.open)",
    "mediawiki.bz2": 'bz2.compress((wiki()[0] + "<page>").encode()) + zeros(bz2.open)',
    "latex.gz": "zeros(gzip.open)",
    "stackexchange": "zeros(gzip.open)",
    "epub": 'zipped({"META-INF/container.xml": b" " * 300_000_000})',
    "code tar.gz": "zeros(gzip.open)",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", _BOMBS)
def test_bombs_cost_what_the_limits_say(kind: str) -> None:
    """300 MB from 300 KB: a record's limit is held at most a few times."""
    setup = _SETUP.format(kind=kind, bomb=_BOMBS[kind])
    fields = "max_unpacked_bytes=1 << 24" if kind.startswith("code") else ""
    (count, reasons), memory = measured(
        setup,
        f"found = rows(make, place, {fields}); result = [len(found) - sound, sorted({{row[2] for row in found}})]",
    )
    assert count > 0 or kind == "stackexchange", "there the bomb is in the place of the sound file"
    assert set(reasons) & {"too-large", "damaged-archive", "damaged-file", "unpacked-limit", "invalid-post"}, reasons
    assert memory < 220_000_000
