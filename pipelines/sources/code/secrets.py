"""Secrets in source code: found by detect-secrets' plugins, replaced by a placeholder, counted by kind.

The plugins read a line at a time in Python, so a batch of texts is first searched with one regular expression (RE2,
over Arrow's buffer) that every line with a finding matches; then only the lines that match it are shown to the plugins.
A plugin says what the secret is; where the plugin gives only a part of it (the "ghp" of a GitHub token, a web token
without its signature, the first line of a private key) the rest is replaced too. Nothing is ever verified: that would
send the secret away.
"""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.sources.code.extra import extra

PLACEHOLDER: Final = "<SECRET_KEY>"
"""Stands in the text where a secret stood."""

_ASSIGNED = r"(?i:key|pwd|pw|pass|token|password)[\"'\]=:> ]+[a-z0-9_-]{24}"

_TOKENS: Final = {
    "ArtifactoryDetector": r"AKC[a-zA-Z0-9]|AP[\p{Nd}A-F][a-zA-Z0-9]{8}",
    "AWSKeyDetector": r"A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA|(?i:aws)",
    "AzureStorageKeyDetector": r"AccountKey=",
    "BasicAuthDetector": r"://[^:/\s@]+:[^@\s]+@",
    "CloudantDetector": rf"(?i:{_ASSIGNED}|cloudant\.com)",
    "DiscordBotTokenDetector": r"\.[a-zA-Z\p{Nd}_-]{6}\.[a-zA-Z\p{Nd}_-]{20}",
    "GitHubTokenDetector": r"gh[pousr]_",
    "GitLabTokenDetector": r"gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-|GR1348941",
    "IbmCloudIamDetector": rf"(?i:{_ASSIGNED})",
    "IbmCosHmacDetector": rf"(?i:{_ASSIGNED})",
    "JwtTokenDetector": r"eyJ",
    "MailchimpDetector": r"-us[0-9]",
    "NpmDetector": r"/:_authToken=",
    "OpenAIDetector": r"T3BlbkFJ",
    "PrivateKeyDetector": r"PRIVATE KEY|PuTTY-User-Key-File-",  # filters.pii.private_key.MARKS
    "PypiTokenDetector": r"pypi-Ag",
    "SendGridDetector": r"SG\.",
    "SlackDetector": r"(?i:xox[abposr]-[\p{Nd}]|hooks\.slack\.com/services/T)",
    "SoftlayerDetector": rf"(?i:{_ASSIGNED}|softlayer.com/soap/)",
    "SquareOAuthDetector": r"sq0csp-",
    "StripeDetector": r"[rs]k_live_",
    "TelegramBotTokenDetector": r"\p{Nd}{8}:[0-9A-Za-z_-]",
    "TwilioKeyDetector": r"(?:AC|SK)[a-z0-9]{8}",
}
"""Plugin -> what every line with a finding holds, for RE2; short, since all of them are one automaton.

These know the form of a key: what they find is one."""

_GUESSES: Final = {
    "Base64HighEntropyString": r"[\"'][A-Za-z0-9+/\\_=-]{8}",
    "HexHighEntropyString": r"[\"'][0-9a-fA-F]{8}",
    "KeywordDetector": r"(?i:api_?key|auth_?key|service_?key|account_?key|db_?key|database_?key|priv_?key|private_?key"
    r"|client_?key|db_?pass|database_?pass|key_?pass|password|passwd|pwd|secret|contrase(?:ñ|n)a)",
}
"""Plugins that guess from a name or from randomness; in ordinary code most of what they find is no secret."""

_ADDED: Final = {
    "GitHub Token": r"github_pat_[A-Za-z0-9_]{82}",
    "Google API Key": r"AIza[0-9A-Za-z_-]{35}",
    "Hugging Face Token": r"\bhf_[A-Za-z0-9]{34}\b",
    "Anthropic Token": r"sk-ant-[a-z0-9]+-[A-Za-z0-9_-]{80,}",
    "OpenAI Token": r"sk-proj-[A-Za-z0-9_-]{40,}",
}
"""Forms of keys that detect-secrets 1.5 does not know: kind -> pattern."""

_ADDED_BEGIN: Final = ("github_pat_", "AIza", "hf_[A-Za-z0-9]{8}", "sk-(?:ant|proj)-")

DETECTORS: Final = (*_TOKENS, *_GUESSES)
"""Every plugin that can be asked for; public IP addresses are personal data and `filters.pii` finds them."""

KNOWN_FORMS: Final = tuple(_TOKENS)
"""The default: plugins that know the form of a key."""

_WHOLE: Final = frozenset({"GitHubTokenDetector", "GitLabTokenDetector"})  # their groups hold a part of the token
_TOKEN_END = re.compile(r"[A-Za-z0-9_\-+/=.]*")
_NUCLEOTIDES = re.compile(r"[ACGTUN]+")
_PLACEHOLDERS = re.compile(
    r"(?i:x+|\*+|\.+|pass(?:word|wd)?|pwd|pw|secret|token|key|user(?:name)?|your.*|my.*|<.*|example|test|changeme|foo|bar|"
    r"%s|%\(.*|\{.*|\$.*|.*_?here)"
)


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text without its secrets, and how many of each kind there were."""

    text: str
    counts: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class Redactor:
    """Finds and replaces secrets; `detectors` are names in DETECTORS.

    Raises (at first use):
        MissingExtra: detect-secrets is not installed.
    """

    detectors: tuple[str, ...] = KNOWN_FORMS

    def redact(self, texts: Sequence[str]) -> list[Redacted]:
        """The texts without secrets, in their order; what a text gives does not depend on the others."""
        if not self.detectors:
            return [Redacted(text) for text in texts]
        array: Any = pa.array(texts, pa.large_string())
        found: Any = pc.indices_nonzero(pc.match_substring_regex(array, self._prefilter))
        rows: list[int] = found.to_pylist()
        clean = [Redacted(text) for text in texts]
        for row, lines in zip(rows, self._lines(array.take(found)), strict=True):
            clean[row] = self._one(texts[row], lines)
        return clean

    def _lines(self, texts: Any) -> Iterator[list[tuple[int, str]]]:
        """For each text the lines that may hold a secret, each with the code point it begins at."""
        if not len(texts):
            return
        lists: Any = pc.split_pattern(texts, "\n")
        flat: Any = lists.flatten()
        ends = np.cumsum(pc.utf8_length(flat).to_numpy(zero_copy_only=False) + 1)
        offsets: Any = lists.offsets.to_numpy()
        found: Any = pc.indices_nonzero(pc.match_substring_regex(flat, self._prefilter))
        where = found.to_numpy()
        lines = flat.take(found).to_pylist()
        for row in range(len(texts)):
            first, last = np.searchsorted(where, offsets[row : row + 2])
            before = ends[offsets[row] - 1] if offsets[row] else 0
            starts = [int(ends[line - 1] - before) if line > offsets[row] else 0 for line in where[first:last]]
            yield list(zip(starts, lines[first:last], strict=True))

    @cached_property
    def _prefilter(self) -> str:
        """RE2: matches every text with a finding."""
        known = {**_TOKENS, **_GUESSES}
        patterns = dict.fromkeys((*(known[name] for name in self.detectors), *_ADDED_BEGIN))
        return "|".join(f"(?:{pattern})" for pattern in patterns)

    @cached_property
    def _plugins(self) -> list[tuple[str, Any]]:
        return [(name, _plugin(name)) for name in self.detectors if name != "PrivateKeyDetector"]

    def _one(self, text: str, lines: list[tuple[int, str]]) -> Redacted:
        spans: list[tuple[int, int, str]] = []
        if "PrivateKeyDetector" in self.detectors:
            # Here, since `filters` brings Numba, and a process that only names the sources, as a crawl's, needs none.
            from filters.pii.private_key import private_keys

            spans += [(found.start, found.end, "Private Key") for found in private_keys(text)]
        for at, line in lines:
            spans += [(at + start, at + end, kind) for start, end, kind in self._of_line(line)]
        return _replaced(text, spans)

    def _of_line(self, line: str) -> Iterator[tuple[int, int, str]]:
        for name, plugin in self._plugins:
            for value in set(plugin.analyze_string(line)):
                if name in _GUESSES and not _likely(name, value, plugin):
                    continue
                for start, end in _places(name, plugin, line, value):
                    if _is_secret(name, line[start:end]):
                        yield start, end, str(plugin.secret_type)
        for kind, pattern in _ADDED.items():
            yield from ((*found.span(), kind) for found in re.finditer(pattern, line))


def _plugin(name: str) -> Any:
    extra("detect_secrets", "detect-secrets")
    modules = {
        "AWSKeyDetector": "aws", "AzureStorageKeyDetector": "azure_storage_key", "BasicAuthDetector": "basic_auth",
        "Base64HighEntropyString": "high_entropy_strings", "HexHighEntropyString": "high_entropy_strings",
        "DiscordBotTokenDetector": "discord", "GitHubTokenDetector": "github_token", "OpenAIDetector": "openai",
        "GitLabTokenDetector": "gitlab_token", "IbmCloudIamDetector": "ibm_cloud_iam", "JwtTokenDetector": "jwt",
        "IbmCosHmacDetector": "ibm_cos_hmac", "PypiTokenDetector": "pypi_token", "SendGridDetector": "sendgrid",
        "SquareOAuthDetector": "square_oauth", "TelegramBotTokenDetector": "telegram_token",
        "TwilioKeyDetector": "twilio", "PrivateKeyDetector": "private_key",
    }  # fmt: skip
    module = modules.get(name) or name.removesuffix("Detector").lower()
    return getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)()


def _places(name: str, plugin: Any, line: str, value: str) -> Iterator[tuple[int, int]]:
    """Where a value that a plugin gave stands in its line; the whole match where the value is only its beginning."""
    if name in _WHOLE:
        for pattern in plugin.denylist:
            yield from (found.span() for found in pattern.finditer(line))
        return
    at = line.find(value)
    while value and at >= 0:
        start, end = at, at + len(value)
        if name == "ArtifactoryDetector":  # the match holds what stands on either side
            start += len(value) - len(value.lstrip(' \t=:"'))
            end -= len(value) - len(value.rstrip(' \t"'))
        elif name == "JwtTokenDetector":
            found = _TOKEN_END.match(line, end)
            end = found.end() if found else end
        yield start, end
        at = line.find(value, at + len(value))


def _is_secret(name: str, secret: str) -> bool:
    """Whether a finding can be one: not a placeholder, a name in code, or a piece of genome."""
    if name == "BasicAuthDetector":
        return _PLACEHOLDERS.fullmatch(secret) is None
    if name == "AWSKeyDetector":
        return _NUCLEOTIDES.fullmatch(secret) is None
    if name in ("ArtifactoryDetector", "DiscordBotTokenDetector", "IbmCloudIamDetector", "CloudantDetector"):
        return any(character.isdigit() for character in secret) and any(character.isalpha() for character in secret)
    return True


def _likely(name: str, value: str, plugin: Any) -> bool:
    """detect-secrets' own filters for what its guessing plugins give."""
    heuristic = importlib.import_module("detect_secrets.filters.heuristic")
    doubts: tuple[Callable[[str], bool], ...] = (
        heuristic.is_sequential_string,
        heuristic.is_potential_uuid,
        heuristic.is_templated_secret,
        heuristic.is_not_alphanumeric_string,
        heuristic.is_prefixed_with_dollar_sign,
    )
    if any(doubt(value) for doubt in doubts) or _PLACEHOLDERS.fullmatch(value):
        return False
    return name == "KeywordDetector" or plugin.calculate_shannon_entropy(value) > plugin.entropy_limit


def _replaced(text: str, spans: list[tuple[int, int, str]]) -> Redacted:
    pieces: list[str] = []
    counts: Counter[str] = Counter()
    end = 0
    for start, stop, kind in sorted(spans, key=lambda span: (span[0], -span[1], span[2])):
        if stop <= end:
            continue
        if start >= end:
            pieces += [text[end:start], PLACEHOLDER]
            counts[kind] += 1
        end = stop
    return Redacted("".join((*pieces, text[end:])), dict(sorted(counts.items())))
