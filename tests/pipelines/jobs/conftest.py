"""A local Ray head on the loopback device, started once for the tests and ended with them.

It asks for no token: whether Ray's client sends one is settled when Ray is first imported, maybe by another test.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer.jobs.ray_address import wait_until_it_answers

SECRET = "a secret of the cluster"


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="session")
def ray_head() -> Iterator[str]:
    bin_ = Path(sys.executable).absolute().parent
    gcs, dashboard, client, agent, grpc = free_ports(5)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "POMONA_TEST_SECRET": SECRET,
    }
    # Ray's sockets lie below its folder, and the names of sockets are short: pytest's own folders are too deep.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        head = subprocess.Popen(
            [
                str(bin_ / "ray"), "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={gcs}",
                "--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}",
                f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}",
                f"--dashboard-agent-grpc-port={grpc}", "--num-cpus=2", "--object-store-memory=100000000",
                f"--temp-dir={folder}",
            ],
            env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        address = f"http://127.0.0.1:{dashboard}"
        try:
            wait_until_it_answers(address, 90)
            yield address
        finally:
            head.send_signal(signal.SIGTERM)
            try:
                head.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(head.pid, signal.SIGKILL)
                head.wait()
