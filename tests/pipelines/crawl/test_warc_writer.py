from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from pipelines.crawl.fetch import Exchange
from pipelines.crawl.warc_writer import WarcWriter


def _exchange(path: str, body: bytes) -> Exchange:
    return Exchange(
        f"http://h.test/{path}",
        datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "192.0.2.1",
        f"GET /{path} HTTP/1.1\r\nHost: h.test\r\n\r\n".encode(),
        200,
        b"OK",
        b"HTTP/1.1",
        [(b"Content-Type", b"text/html"), (b"X-Odd", b"caf\xe9"), (b"Transfer-Encoding", b"chunked")],
        body,
    )


def test_two_other_readers_agree(tmp_path: Path) -> None:
    writer = WarcWriter(tmp_path, "warc", [("software", "pomona")], 10**9)
    writer.write(_exchange("a", b"body of a"), [("X-Pomona-Robots-Rule", "Allow: /ä\nb")])
    writer.write(_exchange("b", b""))
    assert [path.name for path in tmp_path.iterdir()] == ["warc-00000.warc.gz.open"]
    writer.close()
    (file,) = writer.files
    assert [path.name for path in tmp_path.iterdir()] == ["warc-00000.warc.gz"]

    check = subprocess.run(
        [sys.executable, "-m", "warcio.cli", "check", "-v", str(file)], capture_output=True, text=True
    )
    assert check.returncode == 0, check.stdout
    assert check.stdout.count("digest pass") == 5

    with file.open("rb") as stream:
        kinds = [record.rec_type for record in WarcioIterator(stream)]
    assert kinds == ["warcinfo", "response", "request", "response", "request"]
    with file.open("rb") as stream:
        record = next(iter(ArchiveIterator(stream, record_types=WarcRecordType.response, verify_digests=True)))
        assert record.headers["WARC-Target-URI"] == "http://h.test/a"
        assert record.headers["WARC-Date"] == "2026-01-02T03:04:05.678901Z"
        assert record.headers["X-Pomona-Robots-Rule"] == "Allow: /ä b"
        assert record.http_headers.get_bytes(b"X-Odd") == b"caf\xe9"
        assert "Transfer-Encoding" not in record.http_headers
        assert record.http_headers["X-Crawl-Transfer-Encoding"] == "chunked"
        assert record.reader.read() == b"body of a"


def test_full_file_is_closed_and_the_next_begun(tmp_path: Path) -> None:
    writer = WarcWriter(tmp_path, "warc", [("software", "pomona")], 2000)
    for number in range(6):
        writer.write(_exchange(str(number), b"x" * 100))
    writer.close()
    writer.close()
    assert len(writer.files) > 1
    assert [file.name for file in writer.files] == [f"warc-{number:05d}.warc.gz" for number in range(len(writer.files))]
    for file in writer.files:
        with file.open("rb") as stream:
            assert next(iter(WarcioIterator(stream))).rec_type == "warcinfo"


def test_nothing_written_no_file(tmp_path: Path) -> None:
    writer = WarcWriter(tmp_path / "warc", "warc", [], 2000)
    writer.close()
    assert writer.files == []
    assert not (tmp_path / "warc").exists()
