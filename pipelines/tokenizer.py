"""The tokenizer of AFM's report (section 3.2): BPE, digits split, byte fallback, no Unicode normalisation.

It is trained and run by the `tokenizers` library; this file only says which one.
"""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from pipelines.storage import read_bytes, write_bytes

SPECIAL = ("<pad>", "<bos>", "<eos>")
ENDS = ("<eos>", "</s>", "<|end_of_text|>", "<|endoftext|>", "<｜end▁of▁sentence｜>")
"""What published tokenizers call the token that ends a document; the first that there is counts."""

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
    return loads(read_bytes(path).decode())


def loads(state: str) -> Tokenizer:
    """Make a tokenizer of the library's JSON; texts are encoded whole, and special tokens in them stay text.

    Raises ValueError where it is not one.
    """
    try:
        tokenizer = Tokenizer.from_str(state)
    except Exception as error:  # the library raises nothing more special
        raise ValueError(f"not a tokenizer.json: {error}") from error
    tokenizer.encode_special_tokens = True
    # Both are part of the file, and would cut or fill documents.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def end_of_text(tokenizer: Tokenizer, named: str | None = None) -> tuple[str, int]:
    """Return the token that ends documents, and its id.

    Args:
        tokenizer: to look in.
        named: the token it should be; None takes the first of ENDS that there is.

    Raises:
        ValueError: there is none, or it is not a special token, so that a text could hold it.
    """
    added = {token.content: number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    for name in ENDS if named is None else (named,):
        if name in added:
            return name, added[name]
    there = ", ".join(sorted(added, key=lambda name: added[name])[:20]) or "none"
    if named is None:
        raise ValueError(f"no end of documents, none of {', '.join(ENDS)}: special tokens are {there}; give 'eos'")
    close = difflib.get_close_matches(named, added, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    what = "an ordinary token, which a text may hold" if tokenizer.token_to_id(named) is not None else "no token of it"
    raise ValueError(f"eos {named!r} is {what}{hint}; special tokens are {there}")


def size(tokenizer: Tokenizer) -> int:
    """Return how many ids a model needs: one more than the largest, wherever ids are left out."""
    return 1 + max(tokenizer.get_vocab(with_added_tokens=True).values())
