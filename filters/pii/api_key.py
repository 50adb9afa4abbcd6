"""Keys of well-known services: the forms that their makers publish, and checksums where there are some.

Keys for tests (Stripe's ``sk_test_``), examples of documentation and placeholders of one repeated character are left
alone. Nothing is ever asked of the service itself.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Final
from zlib import crc32

from filters.pii.span import Span

__all__ = ["KEY_STARTS", "api_keys"]

_FORMS: Final = (
    ("github", r"gh[pousr]_[A-Za-z0-9]{36}"),
    ("github", r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    ("gitlab", r"glpat-[A-Za-z0-9_-]{20,}"),
    ("aws", r"(?:AKIA|ASIA)[A-Z2-7]{16}"),
    ("google", r"AIza[A-Za-z0-9_-]{35}"),
    ("google", r"GOCSPX-[A-Za-z0-9_-]{28}"),
    ("openai", r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,}"),
    ("openai", r"sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"),
    ("anthropic", r"sk-ant-[a-z0-9]+-[A-Za-z0-9_-]{80,}"),
    ("huggingface", r"hf_[A-Za-z0-9]{34}"),
    ("slack", r"xox[abprs]-(?:[A-Za-z0-9]+-)*[A-Za-z0-9]{16,}"),
    ("stripe", r"(?:sk|rk)_live_[A-Za-z0-9]{20,}"),
    ("sendgrid", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    ("npm", r"npm_[A-Za-z0-9]{36}"),
    ("pypi", r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}"),
    ("twilio", r"SK[0-9a-f]{32}"),
    ("telegram", r"\d{8,10}:AA[A-Za-z0-9_-]{33}"),
    ("digitalocean", r"do[opr]_v1_[0-9a-f]{64}"),
    ("shopify", r"shp(?:at|ca|pa|ss)_[0-9a-f]{32}"),
    ("square", r"sq0(?:atp-[A-Za-z0-9_-]{22}|csp-[A-Za-z0-9_-]{43})"),
    ("mailgun", r"key-[0-9a-f]{32}"),
    ("databricks", r"dapi[0-9a-f]{32}"),
    ("linear", r"lin_api_[A-Za-z0-9]{40}"),
    ("newrelic", r"NRAK-[A-Z0-9]{27}"),
    ("postman", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    ("groq", r"gsk_[A-Za-z0-9]{52}"),
    ("replicate", r"r8_[A-Za-z0-9]{37}"),
    ("jwt", r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}"),
)
KEY_STARTS: Final = tuple("gh gl AK AS AI GO sk hf xo rk SG np py SK do sh sq ke da li NR PM gs r8 ey".split())  # noqa: SIM905
"""The first two characters of every form but Telegram's, which begins with digits."""

_ANY: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:" + "|".join(f"(?P<f{k}>{form})" for k, (_, form) in enumerate(_FORMS)) + r")(?![A-Za-z0-9_-])"
)
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LEAST_VARIETY: Final = 10


def api_keys(text: str, start: int, end: int) -> Iterator[Span]:
    """The key that begins at ``start``, if there is one."""
    match = _ANY.match(text, start)
    if match is None or match.lastgroup is None:
        return
    name, value = _FORMS[int(match.lastgroup[1:])][0], match[0]
    if len(set(value)) < _LEAST_VARIETY or "EXAMPLE" in value.upper() or "XXXX" in value.upper():
        return
    if value.startswith(("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "npm_")) and not _has_crc(value):
        return
    if name == "jwt" and not _is_header(value.partition(".")[0]):
        return
    yield Span("api_key", match.start(), match.end(), value, name)


def _has_crc(token: str) -> bool:
    """Whether the last six characters are the CRC-32 of the thirty after the prefix, in base 62.

    GitHub's and npm's tokens since 2021 (https://github.blog/2021-04-05-behind-githubs-new-authentication-token-formats/).
    """
    body, check = token[4:-6], token[-6:]
    number, written = crc32(body.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        written = _DIGITS[digit] + written
    return written.rjust(6, "0") == check


def _is_header(part: str) -> bool:
    """Whether this is the header of a JSON Web Token (RFC 7519, section 5): an object with an algorithm."""
    try:
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header
