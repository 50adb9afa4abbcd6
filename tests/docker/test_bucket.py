"""The bucket of a run is made once on a real S3 server, and failures are told in one line."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from tests.docker.conftest import DOCKER


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        # By a name, as in a cluster: buckets must go into the path, not into the host's name.
        yield f"http://localhost:{port}"
    finally:
        server.stop()


def make(endpoint: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    surroundings = {
        **os.environ,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    return subprocess.run(
        [sys.executable, DOCKER / "bucket.py", *arguments], env=surroundings, capture_output=True, text=True
    )


def test_a_bucket_is_made_once(endpoint: str) -> None:
    first, second = make(endpoint, "pomona"), make(endpoint, "pomona")
    assert (first.returncode, first.stdout) == (0, "bucket pomona: made\n")
    assert (second.returncode, second.stdout) == (0, "bucket pomona: was there\n")


def test_a_name_that_the_store_refuses_fails(endpoint: str) -> None:
    done = make(endpoint, "no")
    assert done.returncode == 1
    assert "bucket no: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_that_is_not_there_fails() -> None:
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        done = make(f"http://127.0.0.1:{taken.getsockname()[1]}", "pomona")
    assert done.returncode == 1
    assert "AWS_ENDPOINT_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_name_the_usage_is_told(endpoint: str) -> None:
    assert make(endpoint).returncode == 2
