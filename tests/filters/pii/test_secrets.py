"""Keys and addresses of cryptocurrencies: test vectors of their makers."""

from __future__ import annotations

import hashlib
from zlib import crc32

import pytest

from filters.pii import find
from kernels.keccak import keccak_256

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def github(prefix: str, body: str) -> str:
    """A token with its checksum, written the other way round than it is read."""
    check = crc32(body.encode())
    return prefix + body + "".join(DIGITS[check // 62**place % 62] for place in reversed(range(6)))


TOKEN = github("ghp_", "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ")
JWT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ"
    ".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
)
FOUND = {
    f"token={TOKEN}": ("api_key", "github", TOKEN),
    "AKIAQ3EGRIPXYTBL4M7Z": ("api_key", "aws", "AKIAQ3EGRIPXYTBL4M7Z"),
    f"Bearer {JWT}": ("api_key", "jwt", JWT),
    "'xoxb-" + "123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx'": (
        *("api_key", "slack"),
        "xoxb-" + "123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx",
    ),
    "sk-ant-" + "api03-" + "aB3dE5gH7j" * 9: ("api_key", "anthropic", "sk-ant-" + "api03-" + "aB3dE5gH7j" * 9),
    "bot 123456789:" + "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0": (
        *("api_key", "telegram"),
        "123456789:" + "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0",
    ),
    "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2": ("crypto", "bitcoin", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
    "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy": ("crypto", "bitcoin", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"),
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4": ("crypto", "bitcoin", "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4"),
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0": (
        *("crypto", "bitcoin"),
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    ),
    "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ": (
        *("crypto", "bitcoin_key"),
        "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",
    ),
    "LVg2kJoFNg45Nbpy53h7Fe1wKyeXVRhMH9": ("crypto", "litecoin", "LVg2kJoFNg45Nbpy53h7Fe1wKyeXVRhMH9"),
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed": ("crypto", "ethereum", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
    "my wallet 0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed": (
        *("crypto", "ethereum"),
        "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
    ),
}
LEFT_ALONE = [
    "AKIAIOSFODNN7EXAMPLE sk_test_4eC39HqLyjWDarjtT1zdp7dc ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx hf_your_token_here",
    TOKEN[:-1] + "!",
    TOKEN.replace("z", "y", 1),
    JWT.replace("eyJhbGci", "eyJxbGci"),
    "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3 bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5 bc1qw508d6qejxtdg4y5r3zarvary0c5xw7",
    "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed 0x0000000000000000000000000000000000000000 addr1234567890123",
    "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
    "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----, grep 'BEGIN RSA PRIVATE KEY'",
]


@pytest.mark.parametrize(("text", "expected"), FOUND.items())
def test_found(text: str, expected: tuple[str, str, str]) -> None:
    assert [(span.kind, span.form, span.value) for span in find(f"é {text}.")] == [expected]


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_left_alone(text: str) -> None:
    assert find(text) == []


def test_private_keys_lose_their_data_alone() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    for key, form in (
        (generate_private_key(65537, 2048), PrivateFormat.TraditionalOpenSSL),
        (generate_private_key(65537, 2048), PrivateFormat.PKCS8),
        (Ed25519PrivateKey.generate(), PrivateFormat.OpenSSH),
        (Ed25519PrivateKey.generate(), PrivateFormat.PKCS8),
    ):
        pem = key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
        spans = [span for span in find(f"x = '''{pem}'''") if span.kind == "private_key"]
        if len("".join(pem.splitlines()[1:-1])) < 65:  # an Ed25519 key in PKCS 8 is 64 characters
            assert len(spans) == 1
        (span,) = spans
        assert span.value == "\n".join(pem.splitlines()[1:-1]).rstrip()


def test_detect_secrets_says_the_same() -> None:
    plugins = (
        pytest.importorskip("detect_secrets.plugins.github_token"),
        __import__("detect_secrets.plugins.aws", fromlist=["AWSKeyDetector"]),
    )
    assert any(True for _ in plugins[0].GitHubTokenDetector().analyze_string(TOKEN))
    assert list(plugins[1].AWSKeyDetector().analyze_string("AKIAQ3EGRIPXYTBL4M7Z"))


def test_keccak_is_not_sha3() -> None:
    # The Keccak team's known answers for nothing and for "abc"; longer than a block too.
    assert keccak_256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak_256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    assert len({keccak_256(b"a" * size) for size in range(130, 280)}) == 150
    assert keccak_256(b"abc") != hashlib.sha3_256(b"abc").digest()
