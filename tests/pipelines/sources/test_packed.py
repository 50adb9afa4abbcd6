from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pydoc_data.topics
from collections.abc import Callable

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources.packed import Unpacked, packing_of, without_packing

TEXT = "\n".join(pydoc_data.topics.topics.values()).encode()
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd.compress,
    "none": bytes,
}


def _read(data: bytes, piece: int = 1 << 16) -> tuple[bytes, Unpacked]:
    content = Unpacked(io.BytesIO(data))
    with io.BufferedReader(content, piece) as reader:
        return reader.read(), content


@pytest.mark.parametrize("packing", PACK)
def test_content_comes_back_also_from_several_streams(packing: str) -> None:
    pack = PACK[packing]
    half = len(TEXT) // 2
    assert _read(pack(TEXT))[0] == TEXT
    got, content = _read(pack(TEXT[:half]) + pack(b"") + pack(TEXT[half:]), 777)
    assert got == TEXT
    assert content.damage is None
    assert (content.packing.name if content.packing else "none") == packing


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["gzip", "bzip2", "xz", "zstd"]), st.integers(1, 10_000), st.integers(1, 5000))
def test_what_is_cut_off_is_read_as_far_as_it_goes_and_told(packing: str, left: int, piece: int) -> None:
    whole = PACK[packing](TEXT)
    cut = whole[: len(whole) * left // 10_001]
    if packing_of(cut) is None:  # too short to say what it is
        return
    got, content = _read(cut, piece)
    assert TEXT.startswith(got)
    assert content.damage is not None
    assert packing in content.damage.detail


@pytest.mark.parametrize("packing", ["gzip", "bzip2", "xz", "zstd"])
def test_damage_ends_the_content_with_a_reason(packing: str) -> None:
    whole = bytearray(PACK[packing](TEXT))
    middle = len(whole) // 2
    whole[middle : middle + 40] = b"\xff" * 40
    got, content = _read(bytes(whole))
    assert content.damage is not None
    assert len(got) < len(TEXT) or packing == "zstd"  # zstd without checksum may give wrong bytes to the end
    rubbish, after = _read(PACK[packing](b"good") + b"and then something else that is no stream")
    assert rubbish == b"good"
    assert after.damage is not None
    assert "expected another" in after.damage.detail


def test_padding_after_a_stream_is_no_damage() -> None:
    for packing in ("gzip", "xz"):
        got, content = _read(PACK[packing](b"text") + bytes(512))
        assert (got, content.damage) == (b"text", None), packing


def test_a_bomb_comes_out_in_pieces() -> None:
    bomb = zstd.compress(bytes(300_000_000))
    content = Unpacked(io.BytesIO(bomb))
    piece = bytearray(1000)
    assert content.readinto(piece) == 1000
    assert len(bomb) < 100_000


def test_names() -> None:
    assert without_packing("a.txt.GZ") == "a.txt"
    assert without_packing("a.txt") == "a.txt"
    assert packing_of(b"plain") is None
