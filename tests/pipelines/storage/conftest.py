"""A real S3 server for the tests of storage, with and without faults before it."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import storage
from pipelines.storage import retry
from pipelines.storage.s3 import connect
from tests.pipelines.storage.s3_server import Proxy, moto, proxy

_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The server's URL."""
    with moto() as url:
        yield url


@pytest.fixture
def s3_environment(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variables that every AWS tool reads; processes started by a test have them too."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "pomona")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret-of-anyone")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("POMONA_SCRATCH", str(tmp_path / "scratch"))


@pytest.fixture
def s3(s3_environment: None) -> Path:
    """A bucket of its own for a test."""
    name = f"bucket-{next(_numbers)}"
    connect()._fs.call_s3("create_bucket", Bucket=name)
    return storage.at(f"s3://{name}")


@pytest.fixture
def faulty(s3: Path, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy that the test's bucket is reached through from here on; waits between tries are short."""
    monkeypatch.setattr(retry, "POLICY", retry.Policy(first=0.002, most=0.02))
    with proxy(s3_server) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


@pytest.fixture(params=["local", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder on each kind of store."""
    if request.param == "s3":
        return request.getfixturevalue("s3") / "run"
    if request.param == "memory":
        return storage.at(f"memory://test-{next(_numbers)}/run")
    return tmp_path / "run"


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A loopback port that nobody listens on, and nobody can while the test runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
