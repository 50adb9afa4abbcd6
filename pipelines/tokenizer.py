"""The tokenizer of AFM's report (section 3.2): BPE, digits split, byte fallback, no Unicode normalisation.

It is trained and run by the `tokenizers` library; this file only says which one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from pipelines.storage import read_bytes, write_bytes

SPECIAL = ("<pad>", "<bos>", "<eos>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))

WORDS = r" ?\p{L}[\p{L}\p{M}]*| ?[^\s\p{L}\p{N}]+|\p{N}|\n+|[^\S\n]+(?=\s|$)|[^\S\n]+"
"""Pieces that merges never cross: a word with the space before it, a run of symbols, one digit, newlines, spaces.

Indentation before a word stays one piece less its last space, which goes with the word, so that code costs few tokens.
"""

ALPHABET = 1024
"""Characters that get a token of their own; rarer ones are written as their UTF-8 bytes."""


def train(texts: Sequence[str], vocab_size: int) -> Tokenizer:
    """Train a byte-fallback BPE tokenizer with ids 0-2 special, 3-258 the bytes, then characters and merges.

    Equal texts in equal order give equal vocabularies. Byte tokens and special tokens are never matched in a text: a
    text that spells "<eos>" or "<0x41>" is encoded as those characters.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=False))
    tokenizer.pre_tokenizer = _pre_tokenizer()
    alphabet = characters(texts, min(ALPHABET, max(1, vocab_size - len(SPECIAL) - len(BYTES))))
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[*SPECIAL, *BYTES],
        # Left to itself the trainer breaks ties among equally rare characters differently in every process.
        initial_alphabet=alphabet,
        limit_alphabet=max(1, len(alphabet)),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer, length=len(texts))
    return _finished(tokenizer)


def characters(texts: Sequence[str], limit: int) -> list[str]:
    """Return the most frequent characters, at most `limit`; of equally frequent ones those of lower code points."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    return sorted(sorted(counts, key=lambda one: (-counts[one], one))[:limit])


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(WORDS), behavior="isolated")


def _finished(trained: Tokenizer) -> Tokenizer:
    """Keep the byte tokens in the vocabulary but not as added tokens, and set the decoder."""
    state = json.loads(trained.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in SPECIAL]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.encode_special_tokens = True
    return tokenizer


def save(tokenizer: Tokenizer, path: Path) -> None:
    """Write the tokenizer as the library's JSON."""
    write_bytes(path, tokenizer.to_str().encode())


def load(path: Path) -> Tokenizer:
    """Load a tokenizer so that special tokens spelled in a text stay text (the flag is not part of the file)."""
    tokenizer = Tokenizer.from_str(read_bytes(path).decode())
    tokenizer.encode_special_tokens = True
    return tokenizer
