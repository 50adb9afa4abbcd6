"""SentencePiece BPE models as tokenizers of the library: the same pieces, ids and tokens.

The file is a protocol buffer (`sentencepiece_model.proto`); the few fields that matter are read here, so that neither
the sentencepiece package nor protobuf has to be installed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers

_NORMAL, _UNKNOWN, _CONTROL, _USER, _BYTE = 1, 2, 3, 4, 6
_BPE = 2


class _Piece(NamedTuple):
    text: str
    score: float
    kind: int


def converted(content: bytes) -> Tokenizer:
    """Make a tokenizer of a model's bytes.

    Raises:
        ValueError: it is not a SentencePiece model, or not one of type BPE.
    """
    try:
        pieces, trainer, normal = _read(content)
    except (IndexError, struct.error, UnicodeDecodeError, TypeError) as error:
        raise ValueError(f"not a SentencePiece model: {error}") from error
    if not pieces:
        raise ValueError("not a SentencePiece model: it has no pieces")
    if (kind := trainer.get(3, 1)) != _BPE:
        names = {1: "unigram", 3: "word", 4: "char"}
        raise ValueError(f"the model is of type {names.get(kind, kind)}, expected bpe: others have no merges")
    vocabulary = {piece.text: number for number, piece in enumerate(pieces)}
    unknown = next((piece.text for piece in pieces if piece.kind == _UNKNOWN), None)
    model = models.BPE(
        vocabulary,
        _merges(pieces, vocabulary),
        unk_token=unknown,
        fuse_unk=True,
        byte_fallback=any(piece.kind == _BYTE for piece in pieces),
    )
    made = Tokenizer(model)
    steps: list[Any] = []
    if normal.get(2):
        steps.append(normalizers.Precompiled(normal[2]))
    if normal.get(4, 1):  # as SentencePiece itself does, and what is lost by it is told when texts are encoded
        steps += [normalizers.Replace(Regex("^ +| +$"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    prefix = bool(normal.get(3, 1))
    if prefix:
        steps.append(normalizers.Prepend("▁"))
    made.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    back: list[Any] = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence([*back, decoders.Strip(" ", 1, 0)] if prefix else back)
    special = [piece.text for piece in pieces if piece.kind in (_UNKNOWN, _CONTROL)]
    made.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in special])
    made.add_tokens([AddedToken(piece.text, normalized=False) for piece in pieces if piece.kind == _USER])
    return made


def _merges(pieces: list[_Piece], vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """Every pair of pieces that make a piece, best piece first; the way transformers converts such models."""
    found: list[tuple[float, int, int, str, str]] = []
    for piece in pieces:
        if piece.kind != _NORMAL:
            continue
        halves = [(piece.text[:k], piece.text[k:]) for k in range(1, len(piece.text))]
        whole = [(left, right) for left, right in halves if left in vocabulary and right in vocabulary]
        whole.sort(key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
        found += [(piece.score, len(left), len(right), left, right) for left, right in whole]
    found.sort(key=lambda one: one[:3], reverse=True)
    return [(left, right) for *_, left, right in found]


def _read(content: bytes) -> tuple[list[_Piece], dict[int, Any], dict[int, Any]]:
    pieces: list[_Piece] = []
    trainer: dict[int, Any] = {}
    normal: dict[int, Any] = {}
    for number, value in _fields(content):
        if number == 1:
            fields = dict(_fields(value))
            (score,) = struct.unpack("<f", fields.get(2, b"\0\0\0\0"))
            pieces.append(_Piece(fields[1].decode() if 1 in fields else "", score, fields.get(3, _NORMAL)))
        elif number == 2:
            trainer = dict(_fields(value))
        elif number == 3:
            normal = dict(_fields(value))
    return pieces, trainer, normal


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """Yield numbers and values of a message's fields: integers, or bytes."""
    at = 0
    while at < len(content):
        key, at = _integer(content, at)
        wire = key & 7
        if wire == 0:
            value, at = _integer(content, at)
            yield key >> 3, value
            continue
        if wire == 2:
            size, at = _integer(content, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise IndexError(f"a field of wire type {wire} at byte {at}")
        if at + size > len(content):
            raise IndexError(f"a field of {size} bytes at byte {at} of {len(content)}")
        yield key >> 3, content[at : at + size]
        at += size


def _integer(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
