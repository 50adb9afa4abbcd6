"""Jobs on a real Ray head: submitted, followed, asked about, cancelled, listed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trainer.jobs import ray_address
from trainer.jobs.cli import app
from trainer.jobs.job import JobsError, Status, UnknownJob
from trainer.jobs.ray import RayJobs
from trainer.jobs.records import Records

pytestmark = pytest.mark.slow


@pytest.fixture
def jobs(ray_head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RayJobs:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return RayJobs(ray_head)


def submit(jobs: RayJobs, script: str, folder: Path, **more: object) -> str:
    folder.mkdir(exist_ok=True)
    return jobs.submit(["/bin/sh", "-c", script], name="a test", workdir=folder, **more)  # type: ignore[arg-type]


def said(log: str) -> list[str]:
    """Return the job's own lines of a log; Ray puts lines of its own anywhere among them."""
    return [line for line in log.splitlines() if " job_manager.py:" not in line and "Running entrypoint" not in line]


def until_ready(pieces: Iterator[str]) -> None:
    text = ""
    while "ready\n" not in text:
        text += next(pieces)


def test_a_job_runs_with_the_folder_that_was_sent(jobs: RayJobs, tmp_path: Path) -> None:
    (tmp_path / "sent").mkdir()
    (tmp_path / "sent" / "a file.txt").write_text("its content\n")
    job = submit(jobs, "ls; cat 'a file.txt'; echo and $EXTRA >&2", tmp_path / "sent", env={"EXTRA": "more"})
    followed = "".join(jobs.logs(job, follow=True))
    assert said(followed) == ["a file.txt", "its content", "and more"]
    assert jobs.status(job).status is Status.SUCCEEDED
    assert "".join(jobs.logs(job)) == followed
    record = Records().find(job)
    assert (record.place, record.address) == ("ray", jobs.address)
    assert job in {one.record.id for one in jobs.list()}


def test_a_failure_and_a_cancellation(jobs: RayJobs, tmp_path: Path) -> None:
    failing = submit(jobs, "echo so; exit 4", tmp_path / "sent")
    "".join(jobs.logs(failing, follow=True))
    state = jobs.status(failing)
    assert (state.status, state.detail, state.exit_code) == (Status.FAILED, "exit code 4", 4)
    assert jobs.cancel(failing) == state
    endless = submit(jobs, "echo ready; exec sleep 600", tmp_path / "sent")
    pieces = jobs.logs(endless, follow=True)
    until_ready(pieces)
    assert jobs.status(endless).status is Status.RUNNING
    assert jobs.cancel(endless).status is Status.STOPPED
    assert said("".join(pieces)) == []


def test_the_commands_find_the_cluster_by_the_record(jobs: RayJobs, tmp_path: Path) -> None:
    runner = CliRunner()
    job = submit(jobs, "echo hello", tmp_path / "sent")
    followed = runner.invoke(app, ["logs", job[:-2], "--follow"])
    assert said(followed.stdout) == ["hello"]
    assert followed.exit_code == 0
    assert json.loads(runner.invoke(app, ["status", job, "--json"]).stdout)["status"] == "succeeded"
    (listed,) = json.loads(runner.invoke(app, ["list", "--json"]).stdout)
    assert (listed["job"], listed["status"]) == (job, "succeeded")
    elsewhere = json.loads(runner.invoke(app, ["list", "--json", "--address", jobs.address]).stdout)
    assert job in {one["job"] for one in elsewhere}
    # A record from elsewhere is not needed when the cluster is named.
    Records().drop(Records().find(job))
    assert "succeeded" in runner.invoke(app, ["status", job, "--address", jobs.address]).stdout


def test_an_unknown_job_is_said_to_be_unknown(jobs: RayJobs) -> None:
    for call in (jobs.status, jobs.logs, jobs.cancel):
        with pytest.raises(UnknownJob, match="knows no job of this id"):
            call("no-such-job")


class Guarded(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


def test_a_cluster_that_asks_for_a_token_is_answered_with_how_to_give_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Guarded)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.raises(JobsError, match=r"asks for a token.*RAY_AUTH_TOKEN"):
        submit(RayJobs(f"http://127.0.0.1:{server.server_address[1]}"), "true", tmp_path / "sent")
    assert Records().all() == []
    server.shutdown()
    server.server_close()


def test_a_cluster_that_went_away_leaves_its_jobs_listed_as_unknown(
    jobs: RayJobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = Records()
    gone = records.new("ray", "x", ["true"], tmp_path, "http://127.0.0.1:9")
    records.write(gone)
    monkeypatch.setattr("trainer.jobs.cli._LIST_CONNECT_SECONDS", 0.1)
    job = submit(jobs, "true", tmp_path / "sent")
    "".join(jobs.logs(job, follow=True))
    listed = json.loads(CliRunner().invoke(app, ["list", "--json"]).stdout)
    assert {one["job"]: one["status"] for one in listed} == {gone.id: "unknown", job: "succeeded"}


def test_the_version_is_rays(ray_head: str) -> None:
    import ray

    assert ray_address.wait_until_it_answers(ray_head, 5) in (ray.__version__, "unknown")
