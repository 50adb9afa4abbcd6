from __future__ import annotations

import contextlib
import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.crawl.content_coding import ContentCodingError, decode_content

PAGE = b"<!DOCTYPE html><p>" + "Ein Satz über Äpfel. ".encode() * 300


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (None, PAGE),
        ("identity", PAGE),
        ("gzip", gzip.compress(PAGE, mtime=0)),
        ("X-GZIP", gzip.compress(PAGE, mtime=0)),
        ("gzip", gzip.compress(PAGE[:500], mtime=0) + gzip.compress(PAGE[500:], mtime=0)),
        ("gzip", gzip.compress(PAGE, mtime=0) + b"rubbish"),
        ("gzip", PAGE),
        ("deflate", zlib.compress(PAGE)),
        ("deflate", _raw_deflate(PAGE)),
        ("deflate, gzip", gzip.compress(zlib.compress(PAGE), mtime=0)),
    ],
)
def test_known_codings(encoding: str | None, body: bytes) -> None:
    assert decode_content(body, encoding) == PAGE


def test_brotli_where_its_package_is() -> None:
    brotli = pytest.importorskip("brotli")
    body = brotli.compress(PAGE)
    assert decode_content(body, "br") == PAGE
    with pytest.raises(ContentCodingError, match="cut off"):
        decode_content(body[:-4], "br")
    with pytest.raises(ContentCodingError, match="longer than 1000"):
        decode_content(body, "br", limit=1000)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(PAGE, mtime=0)[:-30]),
        ("gzip", gzip.compress(PAGE, mtime=0)[:20] + b"\0" * 20 + gzip.compress(PAGE, mtime=0)[40:]),
        ("deflate", b"\xff" * 50),
        ("lzma", PAGE),
    ],
)
def test_damage_is_named(encoding: str, body: bytes) -> None:
    with pytest.raises(ContentCodingError) as caught:
        decode_content(body, encoding)
    assert caught.value.reason == "undecodable-content"


def test_bomb_stops_at_the_limit() -> None:
    bomb = gzip.compress(bytes(50_000_000), mtime=0)
    with pytest.raises(ContentCodingError) as caught:
        decode_content(bomb, "gzip", limit=1_000_000)
    assert caught.value.reason == "too-large"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.text("gzip, dflatexbr", max_size=20))
def test_only_named_errors(body: bytes, encoding: str) -> None:
    with contextlib.suppress(ContentCodingError):
        assert len(decode_content(body, encoding, limit=10_000)) <= 10_000
