"""A RayJob made and waited for, against an API on the loopback device."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipelines.schedule.ray_job import Api, KubernetesError
from pipelines.schedule.ray_job import run as run_ray_job


class Cluster(BaseHTTPRequestHandler):
    """RayJobs of a Kubernetes API: each reading of a job moves it on by one state."""

    jobs: dict[str, dict[str, Any]]
    states: list[tuple[str, str]]
    calls: list[str]

    def _answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.calls.append("GET")
        job = self.jobs.get(self.path.rpartition("/")[2])
        if job is None:
            self._answer(404, {})
            return
        if job["left"]:
            job["status"] = dict(zip(("jobDeploymentStatus", "jobStatus"), job["left"].pop(0), strict=True))
        self._answer(200, job)

    def do_DELETE(self) -> None:
        self.calls.append("DELETE")
        del self.jobs[self.path.rpartition("/")[2]]
        self._answer(200, {})

    def do_POST(self) -> None:
        self.calls.append("POST")
        assert self.path == "/apis/ray.io/v1/namespaces/team/rayjobs"
        if self.headers["Authorization"] != "Bearer letmein":
            self._answer(403, {"message": "forbidden: cannot create"})
            return
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.jobs[job["metadata"]["name"]] = {**job, "left": list(self.states)}
        self._answer(201, job)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[Api, type[Cluster]]]:
    kind = type("Made", (Cluster,), {"jobs": {}, "states": [], "calls": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "token").write_text("letmein\n")
    yield Api(f"http://127.0.0.1:{server.server_address[1]}", "team", tmp_path / "token", None), kind
    server.shutdown()
    server.server_close()


MANIFEST = {"metadata": {"name": "pomona-tiny"}}
RUNNING, DONE, BAD = ("Running", "RUNNING"), ("Complete", "SUCCEEDED"), ("Failed", "FAILED")


def test_a_ray_job_is_made_and_waited_for(
    cluster: tuple[Api, type[Cluster]], capsys: pytest.CaptureFixture[str]
) -> None:
    api, kind = cluster
    kind.states = [("Initializing", ""), RUNNING, RUNNING, DONE]
    assert run_ray_job(api, MANIFEST, poll=0.01)
    assert capsys.readouterr().out.splitlines() == [
        "made RayJob pomona-tiny",
        "RayJob pomona-tiny: waiting",
        "RayJob pomona-tiny: Initializing",
        "RayJob pomona-tiny: Running RUNNING",
        "RayJob pomona-tiny: Complete SUCCEEDED",
    ]
    kind.states = [RUNNING, BAD]
    assert not run_ray_job(api, MANIFEST, poll=0.01), "the last one is removed, and a new one made"
    assert kind.calls.count("POST") == 2
    assert kind.calls.count("DELETE") == 1


def test_a_ray_job_that_is_going_is_waited_for_and_not_made_again(cluster: tuple[Api, type[Cluster]]) -> None:
    api, kind = cluster
    kind.jobs["pomona-tiny"] = {**MANIFEST, "left": [RUNNING, RUNNING, DONE]}
    assert run_ray_job(api, MANIFEST, poll=0.01)
    assert "POST" not in kind.calls


def test_a_refusal_of_the_cluster_is_told(cluster: tuple[Api, type[Cluster]]) -> None:
    api, _ = cluster
    api.token.write_text("wrong")
    with pytest.raises(KubernetesError, match=r"status 403.*cannot create"):
        run_ray_job(api, MANIFEST, poll=0.01)
