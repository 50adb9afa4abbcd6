"""Texts → token ids, without a Python object a token, and the proof that nothing of a text was lost.

Byte-pair tokenizers of the known kinds (AFM's, GPT-2's, Llama 3's, Qwen's) run in a kernel of our own over Arrow's
buffers; every other tokenizer.json runs in the library that it was made for. Both give the same tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kernels import bpe, pretokens
from kernels.strings import text_batch
from pipelines import tokenizer
from pipelines.code_points import classes
from pipelines.storage import read_bytes

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
RULES: Mapping[str, int] = {
    tokenizer.WORDS: pretokens.AFM,
    GPT2: pretokens.GPT2,
    LLAMA3: pretokens.LLAMA3,
    QWEN2: pretokens.QWEN2,
}
"""The regular expressions that kernels know, as they stand in published tokenizer.json files."""


class Encoded(NamedTuple):
    """Tokens of texts: text i is tokens[offsets[i]:offsets[i + 1]]."""

    offsets: NDArray[np.int64]
    tokens: NDArray[np.uint32]
    lost: NDArray[np.int64]
    """Byte of each text at which what its tokens spell first differs from it, -1 where nothing does; int64 [texts]."""


@dataclass(frozen=True)
class _Kernel:
    """A tokenizer as tables."""

    rule: int
    vocabulary: bpe.Vocabulary
    merges: bpe.Merges
    seen: bpe.Known
    whole: bpe.Known
    spelled: NDArray[np.uint8]
    spelled_offsets: NDArray[np.int64]
    normalised: bool
    """Whether texts are brought to a Unicode normal form first, which leaves ASCII as it is."""
    added: str | None
    """Regular expression of what is matched before anything else."""


class Encoder:
    """Encodes Arrow texts by a tokenizer.json; equal texts give equal tokens whatever was encoded before.

    Args:
        state: the tokenizer.json's content.
        library: True leaves all work to the tokenizers library.
    """

    def __init__(self, state: str, *, library: bool = False) -> None:
        self.library = tokenizer.loads(state)
        self._kernel = None if library else _recognised(json.loads(state))

    @classmethod
    def open(cls, path: Path) -> Encoder:
        """Read a tokenizer.json."""
        return cls(read_bytes(path).decode())

    @property
    def compiled(self) -> bool:
        """Whether a kernel does the work."""
        return self._kernel is not None

    def encode(self, text: pa.Array[Any] | pa.ChunkedArray[Any], *, check: bool = True) -> Encoded:
        """Encode texts without special tokens.

        Args:
            text: string or large_string; a null counts as an empty text.
            check: decode again and compare, byte for byte; False reports nothing as lost.
        """
        if (kernel := self._kernel) is None:
            return self._by_library(text, check)
        hard = self._hard(kernel, text)
        if hard is not None and pc.any(hard).as_py():
            return self._split(kernel, text, hard.to_numpy(zero_copy_only=False), check)
        return self._by_kernel(kernel, text, check)

    def _by_kernel(self, kernel: _Kernel, text: Any, check: bool) -> Encoded:
        batch = text_batch(text)
        offsets, tokens = bpe.encode(
            batch, kernel.rule, classes(), kernel.vocabulary, kernel.merges, kernel.seen, kernel.whole
        )
        lost = np.full(len(offsets) - 1, -1, np.int64)
        if check:
            lost = bpe.first_difference(batch, offsets, tokens, kernel.spelled, kernel.spelled_offsets)
        return Encoded(offsets, tokens, lost)

    def _hard(self, kernel: _Kernel, text: Any) -> Any:
        """Which texts need the library: those that normalising changes, or that spell an added token."""
        hard = None
        if kernel.normalised:
            # Arrow's own normal forms do not compose, so that the library is asked, about what is not plain ASCII.
            same: Any = self.library.normalizer.normalize_str  # pyright: ignore
            plain = pc.fill_null(pc.string_is_ascii(text), True).to_pylist()
            texts = (one.as_py() for one in text)
            changed = [not easy and same(one) != one for easy, one in zip(plain, texts, strict=True)]
            hard = pa.array(changed, pa.bool_())
        if kernel.added is not None:
            spells = pc.fill_null(pc.match_substring_regex(text, kernel.added), False)
            hard = spells if hard is None else pc.or_(hard, spells)
        return hard

    def _split(self, kernel: _Kernel, text: Any, hard: NDArray[np.bool_], check: bool) -> Encoded:
        """Send the marked texts to the library, the others to the kernel."""
        taken = (text.filter(pa.array(~hard)), text.filter(pa.array(hard)))
        parts = (self._by_kernel(kernel, taken[0], check), self._by_library(taken[1], check))
        counts = np.empty(len(hard), np.int64)
        lost = np.empty(len(hard), np.int64)
        for part, mask in zip(parts, (~hard, hard), strict=True):
            counts[mask], lost[mask] = np.diff(part.offsets), part.lost
        offsets = np.concatenate([[0], np.cumsum(counts)])
        tokens = np.empty(int(offsets[-1]), np.uint32)
        by_token = np.repeat(hard, counts)
        tokens[~by_token], tokens[by_token] = parts[0].tokens, parts[1].tokens
        return Encoded(offsets, tokens, lost)

    def _by_library(self, text: Any, check: bool) -> Encoded:
        texts = ["" if one is None else one for one in text.to_pylist()]
        encodings = self.library.encode_batch_fast(texts, add_special_tokens=False)
        lengths = np.fromiter((len(one) for one in encodings), np.int64, len(encodings))
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        tokens = np.empty(int(offsets[-1]), np.uint32)
        lost = np.full(len(texts), -1, np.int64)
        for number, one in enumerate(encodings):
            tokens[offsets[number] : offsets[number + 1]] = one.ids
        if check:
            decoded = self.library.decode_batch([one.ids for one in encodings], skip_special_tokens=False)
            for number, (given, got) in enumerate(zip(texts, decoded, strict=True)):
                if given != got:
                    lost[number] = _differs(given, got)
        return Encoded(offsets, tokens, lost)

    @cached_property
    def special(self) -> tuple[str, ...]:
        """Special tokens, in order of their ids."""
        added = self.library.get_added_tokens_decoder()
        return tuple(token.content for _, token in sorted(added.items()) if token.special)


def _differs(given: str, got: str) -> int:
    same = next((i for i, (a, b) in enumerate(zip(given, got, strict=False)) if a != b), min(len(given), len(got)))
    return len(given[:same].encode())


def _recognised(state: Mapping[str, Any]) -> _Kernel | None:
    """The tables of a tokenizer whose every part the kernel knows; None for all others."""
    model = state["model"]
    known = (
        model.get("type") == "BPE"
        and not model.get("dropout")
        and not model.get("continuing_subword_prefix")
        and not model.get("end_of_word_suffix")
    )
    split = _splitting(state.get("pre_tokenizer"))
    normalised = _normal_form(state.get("normalizer"))
    if not known or split is None or normalised is None:
        return None
    rule, by_bytes = split
    vocabulary: Mapping[str, int] = model["vocab"]
    names = _bytes_to_characters() if by_bytes else [f"<0x{byte:02X}>" for byte in range(256)]
    if any(name not in vocabulary for name in names) or (not by_bytes and not model.get("byte_fallback")):
        return None
    added = [one for one in state.get("added_tokens", []) if not one["special"]]
    if any(one.get("lstrip") or one.get("rstrip") or one.get("single_word") for one in added):
        return None
    characters = np.empty(0, np.int32) if by_bytes else np.full(0x110000, -1, np.int32)
    if not by_bytes:
        for name, token in vocabulary.items():
            if len(name) == 1:
                characters[ord(name)] = token
    spelled = _spelling(vocabulary, state.get("added_tokens", []), names, by_bytes)
    data = np.frombuffer(b"".join(spelled), np.uint8)
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in spelled])]).astype(np.int64)
    pairs = [tuple(one.split(" ")) if isinstance(one, str) else tuple(one) for one in model["merges"]]
    if any(len(pair) != 2 or left + right not in vocabulary for pair in pairs for left, right in [pair]):
        return None
    ids = np.array(
        [(vocabulary[left], vocabulary[right], vocabulary[left + right]) for left, right in pairs], np.int64
    ).reshape(-1, 3)
    whole = bpe.known(1, 0, 0)
    if model.get("ignore_merges"):
        tokens = np.array(sorted(vocabulary.values()), np.int64)
        kept = np.concatenate([[0], np.cumsum([len(spelled[token]) for token in tokens])]).astype(np.int64)
        whole = bpe.known(1 << (4 * len(tokens)).bit_length(), 16 * int(kept[-1]) + 16, 16 * len(tokens) + 16)
        pieces = np.frombuffer(b"".join(spelled[token] for token in tokens), np.uint8)
        bpe.remember(whole, pieces, kept, tokens.astype(np.uint32))
    return _Kernel(
        rule,
        bpe.Vocabulary(characters, np.array([vocabulary[name] for name in names], np.int32)),
        bpe.merges(ids[:, 0], ids[:, 1], ids[:, 2]),
        bpe.known(),
        whole,
        data,
        offsets,
        normalised,
        "|".join(_escaped(one["content"]) for one in added) or None,
    )


def _splitting(part: Any) -> tuple[int, bool] | None:
    """Rule of a pre-tokenizer, and whether symbols are bytes."""
    if not part:
        return None
    if part["type"] == "ByteLevel":
        return (pretokens.GPT2, True) if part.get("use_regex", True) and not part["add_prefix_space"] else None
    parts = part["pretokenizers"] if part["type"] == "Sequence" else [part]
    if not parts or parts[0]["type"] != "Split" or len(parts) > 2:
        return None
    first = parts[0]
    rule = RULES.get(first["pattern"].get("Regex", ""))
    if rule is None or first["behavior"] != "Isolated" or first.get("invert"):
        return None
    if len(parts) == 1:
        return rule, False
    second = parts[1]
    plain = second["type"] == "ByteLevel" and not second["add_prefix_space"] and second.get("use_regex") is False
    return (rule, True) if plain else None


def _normal_form(part: Any) -> bool | None:
    """Whether a normalizer brings texts to a Unicode form, False where it does nothing, None where it is another."""
    if not part or (part["type"] == "Sequence" and not part["normalizers"]):
        return False
    return True if part["type"] in ("NFC", "NFD", "NFKC", "NFKD") else None


def _bytes_to_characters() -> list[str]:
    """GPT-2's printable character of each byte (`bytes_to_unicode` of openai/gpt-2's encoder.py)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    names = {byte: chr(byte) for byte in plain}
    for number, byte in enumerate(byte for byte in range(256) if byte not in names):
        names[byte] = chr(256 + number)
    return [names[byte] for byte in range(256)]


def _spelling(
    vocabulary: Mapping[str, int], added: Sequence[Mapping[str, Any]], names: Sequence[str], by_bytes: bool
) -> list[bytes]:
    """The bytes that each token stands for in a text."""
    byte_of = {name: bytes([byte]) for byte, name in enumerate(names)}
    size = 1 + max([*vocabulary.values(), *(one["id"] for one in added)])
    spelled = [b""] * size
    for name, token in vocabulary.items():
        if by_bytes:
            spelled[token] = b"".join(byte_of.get(character, character.encode()) for character in name)
        else:
            spelled[token] = byte_of.get(name, name.encode())
    for one in added:
        spelled[one["id"]] = one["content"].encode()
    return spelled


def _escaped(literal: str) -> str:
    """A literal for RE2."""
    return "".join(c if c.isalnum() or c in "_ " or ord(c) > 127 else f"\\{c}" for c in literal)
