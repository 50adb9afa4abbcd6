"""Addresses of cryptocurrencies, by their checksums.

Base58Check (Bitcoin, Litecoin, Dogecoin, Tron; private keys in Bitcoin's import format), bech32 and bech32m (BIP 173,
BIP 350; Bitcoin, Litecoin, Cardano), Ethereum's mixed case (EIP-55). An Ethereum address in one case has no checksum
and needs a word that says what it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from filters.pii.context import Words
from filters.pii.span import Span

__all__ = ["base58", "bech32", "ethereum"]

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VERSIONS: Final = {
    (0x00, 25): "bitcoin", (0x05, 25): "bitcoin", (0x30, 25): "litecoin", (0x32, 25): "litecoin",
    (0x1E, 25): "dogecoin", (0x16, 25): "dogecoin", (0x41, 25): "tron",
    (0x80, 37): "bitcoin_key", (0x80, 38): "bitcoin_key",
}  # fmt: skip
"""By the first byte and the length in bytes."""
_BECH32: Final = {character: value for value, character in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_PREFIXES: Final = {"bc": "bitcoin", "ltc": "litecoin", "addr": "cardano"}
_LONGEST: Final = {"bc": 90, "ltc": 90, "addr": 128}
_WORDS: Final = frozenset(
    """
    ethereum eth ether wallet address addresses erc donate donation donations send metamask token tokens contract
    account owner recipient sender usdt usdc
    """.split()  # noqa: SIM905
)


def base58(text: str, start: int, end: int) -> Iterator[Span]:
    """The address that a token in base58 is: its last four bytes begin the others' double SHA-256."""
    value = text[start:end]
    number = 0
    for character in value:
        number = number * 58 + _BASE58.index(character)
    zeros = len(value) - len(value.lstrip("1"))
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    name = _VERSIONS.get((data[0], len(data)))
    if name and hashlib.sha256(hashlib.sha256(data[:-4]).digest()).digest()[:4] == data[-4:]:
        yield Span("crypto", start, end, value, name)


def bech32(text: str, start: int, end: int) -> Iterator[Span]:
    """The address that a token in bech32 is: version 0 has the checksum of BIP 173, later ones that of BIP 350."""
    value = text[start:end].lower()
    prefix, _, data = value.partition("1")
    if len(value) > _LONGEST.get(prefix, 0) or not data or any(character not in _BECH32 for character in data):
        return
    values = [ord(character) >> 5 for character in prefix] + [0] + [ord(character) & 31 for character in prefix]
    check = 1
    for one in (*values, *(_BECH32[character] for character in data)):
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ one
        for bit, term in enumerate(_GENERATOR):
            check ^= term if top >> bit & 1 else 0
    if check == (0x2BC830A3 if prefix != "addr" and data[0] != "q" else 1):
        yield Span("crypto", start, end, text[start:end], _PREFIXES[prefix])


def ethereum(text: str, start: int, end: int) -> Iterator[Span]:
    """The address that 0x and 40 hexadecimal digits are."""
    digits = text[start + 2 : end]
    small = digits.lower()
    if len(set(small)) < 5:  # 0x000…0, 0xdead…: nobody's
        return
    if digits in (small, digits.upper()):
        right = Words(text, start).any(_WORDS)
    else:
        from kernels.keccak import keccak_256  # compiles

        digest = keccak_256(small.encode()).hex()
        right = all(
            character.isdigit() or character.isupper() == (int(nibble, 16) >= 8)
            for character, nibble in zip(digits, digest, strict=False)
        )
    if right:
        yield Span("crypto", start, end, text[start:end], "ethereum")
