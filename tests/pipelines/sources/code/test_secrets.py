"""Secrets here are made up, and put together from pieces so that nobody's scanner finds one."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filters.pii.private_key import MARKS
from pipelines.sources.code import extra as extra_module
from pipelines.sources.code import secrets
from pipelines.sources.code.extra import MissingExtra
from pipelines.sources.code.secrets import DETECTORS, KNOWN_FORMS, PLACEHOLDER, Redacted, Redactor

LETTERS = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V2w3X4y5Z6a7B8c9D0e1F2"
HEX = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"
_PART = base64.urlsafe_b64encode(b'{"alg":"HS256"}').decode().rstrip("=")
KEY = "\n".join(LETTERS for _ in range(8))
SECRETS = {
    "AWS Access Key": "AK" + "IA" + "Q7WERTYUIOPASDF2",
    "Azure Storage Account access key": "Account" + "Key=" + (LETTERS * 2)[:86] + "==",
    "GitHub Token": "gh" + "p_" + LETTERS[:36],
    "GitLab Token": "gl" + "pat-" + LETTERS[:20],
    "JSON Web Token": f"{_PART}.{_PART}.{LETTERS[:43]}",
    "Mailchimp Access Key": HEX[:32] + "-us" + "12",
    "NPM tokens": "//registry.npmjs.org/:_auth" + "Token=npm" + "_" + LETTERS[:36],
    "OpenAI Token": "sk" + "-" + LETTERS[:20] + "T3Blbk" + "FJ" + LETTERS[20:40],
    "PyPI Token": "pypi-AgEIc" + "HlwaS5vcmc" + LETTERS + LETTERS[:20],
    "SendGrid API Key": "SG" + "." + LETTERS[:22] + "." + LETTERS[:43],
    "Slack Token": "xox" + "b-123456789012-" + LETTERS[:24],
    "Square OAuth Secret": "sq0" + "csp-" + LETTERS[:43],
    "Stripe Access Key": "sk_" + "live_" + LETTERS[:24],
    "Telegram Bot Token": "123456789" + ":" + LETTERS[:35],
    "Twilio API Key": "S" + "K" + HEX[:32],
    "Discord Bot Token": "M" + LETTERS[:23] + "." + LETTERS[:6] + "." + LETTERS[:27],
    "Basic Auth Credentials": "postgres://admin:" + "hunter22" + "@db.example.org/x",
    "Google API Key": "AI" + "za" + LETTERS[:35],
    "Hugging Face Token": "hf" + "_" + LETTERS[:34],
    "IBM Cloud IAM Key": "ibm_cloud_api_" + "key = " + LETTERS[:44],
    "Artifactory Credentials": " AK" + "C" + LETTERS[:40],
    "SoftLayer Credentials": "softlayer_" + "key: " + HEX,
    "Private Key": f"-----BEGIN RSA PRIVATE {'KEY'}-----\n{KEY}\n-----END RSA PRIVATE {'KEY'}-----",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_each_kind_is_replaced_and_counted(kind: str) -> None:
    text = f'name = "before"\nvalue = "{SECRETS[kind]}"\nafter = 1\n'
    (found,) = Redactor().redact([text])
    assert found.counts == {kind: 1}
    assert PLACEHOLDER in found.text
    assert found.text.startswith('name = "before"\n')
    assert found.text.endswith("after = 1\n")
    random_parts = re.findall(r"[A-Za-z0-9]{20,}", SECRETS[kind])
    assert not any(part in found.text for part in random_parts)
    assert Redactor().redact([found.text]) == [Redacted(found.text)]


def test_every_text_with_a_private_key_is_looked_at() -> None:
    """The pattern names the marks itself, so that naming a source does not load what finds the keys."""
    pattern = Redactor(("PrivateKeyDetector",))._prefilter
    assert all(re.search(pattern, mark) for mark in MARKS)


def test_what_is_around_a_secret_stays() -> None:
    texts = [
        "url = 'https://user:S3cr3t99@host/path'\n",
        f"-----BEGIN PRIVATE {'KEY'}-----\n{KEY}\n-----END PRIVATE {'KEY'}-----\n",
        f"a = '{SECRETS['GitHub Token']}', '{SECRETS['Stripe Access Key']}'\r\nb = 1\r\n",
    ]
    found = Redactor().redact(texts)
    assert [one.text for one in found] == [
        f"url = 'https://user:{PLACEHOLDER}@host/path'\n",
        f"-----BEGIN PRIVATE {'KEY'}-----\n{PLACEHOLDER}\n-----END PRIVATE {'KEY'}-----\n",
        f"a = '{PLACEHOLDER}', '{PLACEHOLDER}'\r\nb = 1\r\n",
    ]
    assert found[2].counts == {"GitHub Token": 1, "Stripe Access Key": 1}


@pytest.mark.parametrize(
    "text",
    [
        "url = f'postgres://{user}:{password}@{host}'\n",
        "see https://user:password@example.org\n",
        "if line.startswith('-----BEGIN RSA PRIVATE KEY-----'):\n    key = read_rest_of_the_private_key(line)\n",
        "ACCAGGTTACCAGGTTACCA ACCAGGTTACCAGGTTACCAGG\n",
        "import os.path\nmodule.submodule.function_with_a_very_long_name_indeed()\n",
        "commit 8ea31bd4d6587e588057dc67c94ad83d49bc051b\n",
        "id = '123e4567-e89b-12d3-a456-426614174000'\n",
        "key = some_function_name_that_is_longer_than_twenty_four\n",
    ],
)
def test_ordinary_code_stays(text: str) -> None:
    assert Redactor().redact([text]) == [Redacted(text)]


def test_an_open_key_and_one_in_a_string() -> None:
    pieces = "\\n".join(LETTERS for _ in range(4))
    one_line = f'K = "-----BEGIN EC PRIVATE {"KEY"}-----\\n{pieces}\\n-----END EC PRIVATE {"KEY"}-----"\n'
    cut_off = f"-----BEGIN PRIVATE {'KEY'}-----\n{KEY}\n"
    for text in (one_line, cut_off):
        (found,) = Redactor().redact([text])
        assert found.counts == {"Private Key": 1}
        assert LETTERS not in found.text


def test_guessing_plugins_only_where_asked() -> None:
    text = 'password = "correct-horse-battery"\nvalue = "' + LETTERS[:40] + '"\n'
    assert Redactor().redact([text]) == [Redacted(text)]
    (found,) = Redactor(("KeywordDetector", "Base64HighEntropyString")).redact([text])
    assert found.counts == {"Base64 High Entropy String": 1, "Secret Keyword": 1}
    assert Redactor(()).redact([SECRETS["GitHub Token"]])[0].counts == {}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*SECRETS.values(), "clean = 1", "é ünï 漢字 😀", "", "\n\n"]), max_size=8))
def test_what_a_text_gives_does_not_depend_on_the_others(texts: list[str]) -> None:
    together = Redactor().redact(texts)
    assert together == [Redactor().redact([text])[0] for text in texts]
    joined = "\n".join(texts)
    (whole,) = Redactor().redact([joined])
    assert sum(whole.counts.values()) == sum(sum(one.counts.values()) for one in together)


def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    found: list[tuple[str, re.Pattern[str]]] = []
    for name in KNOWN_FORMS:
        plugin = secrets._plugin(name)
        found += [(name, pattern) for pattern in plugin.denylist]
    return found


@pytest.mark.parametrize(("name", "pattern"), _patterns(), ids=lambda value: str(value)[:40])
def test_the_fast_search_finds_all_that_the_plugins_do(name: str, pattern: re.Pattern[str]) -> None:
    redactor = Redactor((name,))

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(pattern, fullmatch=True).filter(lambda line: "\n" not in line))
    def check(line: str) -> None:
        assert pc.match_substring_regex(pa.array([line]), redactor._prefilter)[0].as_py()

    check()


def test_every_plugin_exists() -> None:
    for name in DETECTORS:
        assert type(secrets._plugin(name)).__name__ == name


def test_without_detect_secrets_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(extra_module.importlib, "import_module", missing)
    with pytest.raises(MissingExtra, match=r"needs the package detect-secrets; install it with .*\[code\]"):
        Redactor().redact([SECRETS["GitHub Token"]])


@pytest.mark.data
def test_real_code_is_left_alone(pomona_data: Path) -> None:
    with gzip.open(pomona_data / "code" / "thealgorithms_python_a.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    assert [found.counts for found in Redactor().redact(texts) if found.counts] == []
