"""Which special token plays which part: a tokenizer.json does not say, but published ones agree on names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ROLES: Mapping[str, tuple[str, ...]] = {
    "bos": ("<bos>", "<s>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>"),
    "eos": ("<eos>", "</s>", "<|end_of_text|>", "<|endoftext|>", "<｜end▁of▁sentence｜>"),
    "pad": ("<pad>", "<|finetune_right_pad_id|>", "<|pad|>"),
}
"""Names of each part; of those a tokenizer has, the first counts."""


def special_token(tokenizer: Tokenizer, role: str) -> int | None:
    """Id of the token that plays a part (`bos`, `eos`, `pad`), None where no token of a known name does."""
    return next((number for name in ROLES[role] if (number := tokenizer.token_to_id(name)) is not None), None)
