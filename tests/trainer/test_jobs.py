"""Jobs on this machine, what is kept of them, and what is answered when a cluster is not there."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trainer.errors import RequestError
from trainer.jobs import ray_address
from trainer.jobs.cli import app
from trainer.jobs.command import refuse_relative, refuse_secrets, words
from trainer.jobs.job import JobsError, Status, UnknownJob, Unreachable
from trainer.jobs.local import LocalJobs
from trainer.jobs.ray import RayJobs
from trainer.jobs.records import Records, state_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def jobs(state: Path) -> Iterator[LocalJobs]:
    made = LocalJobs(grace=30)
    yield made
    for job in made.list():
        made.cancel(job.record.id)


def submit(jobs: LocalJobs, script: str, tmp_path: Path) -> str:
    return jobs.submit(["/bin/sh", "-c", script], name="test job", workdir=tmp_path)


def waiting(tmp_path: Path, name: str = "gate") -> tuple[str, Path]:
    """A script that says it is ready, then waits for a line in a pipe, repeats it and ends."""
    gate = tmp_path / name
    os.mkfifo(gate)
    return f"echo ready; read line < {gate}; echo got $line", gate


def ready(jobs: LocalJobs, job: str) -> Iterator[str]:
    """Follow a log until the job says that it is ready."""
    pieces = jobs.logs(job, follow=True)
    text = ""
    while "ready\n" not in text:
        text += next(pieces)
    return pieces


def end(jobs: LocalJobs, job: str) -> str:
    return "".join(jobs.logs(job, follow=True))


def test_a_job_runs_in_its_folder_and_its_output_is_kept(jobs: LocalJobs, tmp_path: Path) -> None:
    job = submit(jobs, "pwd; echo to stderr >&2; printf 'häuser'", tmp_path)
    assert end(jobs, job) == f"{tmp_path}\nto stderr\nhäuser"
    state = jobs.status(job)
    assert (state.status, state.exit_code) == (Status.SUCCEEDED, 0)
    assert "".join(jobs.logs(job)) == end(jobs, job)
    assert [one.record.id for one in jobs.list()] == [job]


@pytest.mark.parametrize(
    ("script", "detail", "code"),
    [("exit 3", "exit code 3", 3), ("kill -9 $$", "ended by SIGKILL", -9)],
)
def test_a_failure_says_how_it_ended(jobs: LocalJobs, tmp_path: Path, script: str, detail: str, code: int) -> None:
    job = submit(jobs, script, tmp_path)
    end(jobs, job)
    state = jobs.status(job)
    assert (state.status, state.detail, state.exit_code) == (Status.FAILED, detail, code)
    assert jobs.cancel(job) == state


def test_a_command_that_is_not_there_is_a_failed_job_whose_log_says_so(jobs: LocalJobs, tmp_path: Path) -> None:
    job = jobs.submit(["/nowhere/pomona", "build"], name="x", workdir=tmp_path)
    assert "cannot start /nowhere/pomona" in end(jobs, job)
    assert jobs.status(job).exit_code == 127


def test_a_job_is_running_until_it_ends_and_a_log_can_be_followed_meanwhile(jobs: LocalJobs, tmp_path: Path) -> None:
    script, gate = waiting(tmp_path)
    job = submit(jobs, script, tmp_path)
    pieces = ready(jobs, job)
    assert jobs.status(job).status is Status.RUNNING
    gate.write_text("the line\n")
    assert "".join(pieces) == "got the line\n"
    assert jobs.status(job).status is Status.SUCCEEDED


def test_cancel_ends_the_whole_group_and_a_cancelled_job_is_stopped(jobs: LocalJobs, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    # The grandchild holds the pipe open for writing: reading it to its end shows that the grandchild has gone.
    job = submit(jobs, f"(exec 3> {alive}; echo ready; exec sleep 600) & wait", tmp_path)
    with alive.open() as pipe:
        ready(jobs, job)
        state = jobs.cancel(job)
        assert pipe.read() == ""
    assert (state.status, state.detail) == (Status.STOPPED, "cancelled")


def test_a_job_that_ignores_the_request_is_killed(jobs: LocalJobs, tmp_path: Path) -> None:
    job = submit(jobs, "trap '' TERM; echo ready; while :; do sleep 1; done", tmp_path)
    ready(jobs, job)
    jobs.grace = 0.3
    state = jobs.cancel(job)
    assert (state.status, state.exit_code) == (Status.STOPPED, -signal.SIGKILL)


def test_ctrl_c_ends_the_following_and_not_the_job(jobs: LocalJobs, tmp_path: Path) -> None:
    script, gate = waiting(tmp_path)
    job = submit(jobs, script, tmp_path)
    reader = subprocess.Popen(
        [sys.executable, "-c", "from trainer.jobs.cli import app; app()", "logs", job, "--follow"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True,
    )  # fmt: skip
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    os.killpg(reader.pid, signal.SIGINT)
    _, said = reader.communicate()
    assert reader.returncode == 130
    assert f"pomona jobs logs {job} --follow" in said
    assert f"pomona jobs cancel {job}" in said
    assert "Traceback" not in said
    assert jobs.status(job).status is Status.RUNNING
    gate.write_text("still here\n")
    assert end(jobs, job) == "ready\ngot still here\n"


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="finds the supervisor in /proc")
def test_a_job_whose_supervisor_was_killed_is_still_known_to_live(jobs: LocalJobs, tmp_path: Path) -> None:
    script, gate = waiting(tmp_path)
    job = submit(jobs, script, tmp_path)
    ready(jobs, job)
    started = jobs.records.folder(job) / "started.json"
    while not started.exists():
        pass
    os.kill(parent(json.loads(started.read_bytes())["pid"]), signal.SIGKILL)
    assert jobs.status(job).status is Status.RUNNING
    gate.write_text("alone\n")
    assert end(jobs, job) == "ready\ngot alone\n"
    state = jobs.status(job)
    assert (state.status, state.exit_code) == (Status.FAILED, None)
    assert "ended unseen" in state.detail


def test_a_process_number_that_was_given_away_is_not_taken_for_the_job(jobs: LocalJobs, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as other:
        job = submit(jobs, "exit 0", tmp_path)
        end(jobs, job)
        folder = jobs.records.folder(job)
        (folder / "exit.json").unlink()
        (folder / "started.json").write_text(json.dumps({"pid": other.pid}))
        assert jobs.status(job).status is Status.FAILED
        jobs.cancel(job)
        assert other.poll() is None
        other.kill()


def test_the_environment_reaches_the_job_and_nothing_that_is_kept(jobs: LocalJobs, tmp_path: Path) -> None:
    job = jobs.submit(
        ["/bin/sh", "-c", 'echo length ${#POMONA_TEST_SECRET}'],
        name="x", workdir=tmp_path, env={"POMONA_TEST_SECRET": "sesame"},
    )  # fmt: skip
    assert end(jobs, job) == "length 6\n"
    folder = jobs.records.folder(job)
    assert all("sesame" not in file.read_text() for file in folder.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "log").stat().st_mode) == 0o600


def test_ids_may_be_shortened_when_that_is_clear(jobs: LocalJobs, tmp_path: Path) -> None:
    first, second = submit(jobs, "exit 0", tmp_path), submit(jobs, "exit 0", tmp_path)
    records = Records()
    assert records.find(first).id == records.find(first[:-1]).id == first
    with pytest.raises(UnknownJob, match="begins 2 jobs"):
        records.find("test-job")
    with pytest.raises(UnknownJob, match=f"did you mean {second}"):
        records.find(f"x{second}")
    for job in (first, second):
        end(jobs, job)


def test_a_state_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobsError, match="XDG_STATE_HOME"):
        LocalJobs(Records(tmp_path / "file" / "jobs")).submit(["true"], name="x", workdir=tmp_path)


def test_a_relative_state_home_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_folder() == Path.home() / ".local" / "state" / "pomona" / "jobs"


def test_the_commands(jobs: LocalJobs, tmp_path: Path) -> None:
    runner = CliRunner()
    job = submit(jobs, "echo hello; exit 2", tmp_path)
    followed = runner.invoke(app, ["logs", job, "--follow"])
    assert followed.stdout == "hello\n"
    assert "exit code 2" in followed.stderr
    assert followed.exit_code == 1
    assert runner.invoke(app, ["logs", job]).stdout == "hello\n"
    assert json.loads(runner.invoke(app, ["status", job, "--json"]).stdout) == {
        "job": job, "status": "failed", "detail": "exit code 2", "exit_code": 2,
    }  # fmt: skip
    assert "failed  exit code 2" in runner.invoke(app, ["cancel", job]).stdout
    (listed,) = json.loads(runner.invoke(app, ["list", "--json"]).stdout)
    assert listed["job"] == job
    assert listed["command"] == ["/bin/sh", "-c", "echo hello; exit 2"]
    assert job in runner.invoke(app, ["list"], env={"COLUMNS": "200"}).stdout


def test_options_become_words() -> None:
    options = {"--out": Path("a b"), "--workers": 2, "--set": ["x=1", "y=2"], "--update": True, "--crawl": None}
    assert words(options) == ["--out", "a b", "--workers", "2", "--set", "x=1", "--set", "y=2", "--update"]
    assert words({"--update": False, "--set": []}) == []


@pytest.mark.parametrize(
    "options",
    [
        {"--out": "s3://key:hidden@bucket/run"},
        {"--store": "https://hidden@example.org/x"},
        {"--set": ["tokenizer.vocab_size=300", "sources.web.password=hidden"]},
        {"--set": ["sources.web.api_key=hidden"]},
    ],
)
def test_secrets_are_refused_without_being_repeated(options: dict[str, object]) -> None:
    with pytest.raises(RequestError, match="environment") as told:
        refuse_secrets(options)
    assert "hidden" not in str(told.value)


def test_what_only_looks_like_a_secret_is_not_refused() -> None:
    refuse_secrets({"--out": "s3://bucket/a@b", "--set": ["stages.core.tokens=5", "tokenizer.vocab_size=300"]})
    refuse_relative({"--out": "s3://bucket/run", "--store": "/shared/store", "--workers": 2}, "why")
    with pytest.raises(RequestError, match="--out runs/x: why; give an address such as s3://bucket/x"):
        refuse_relative({"--out": Path("runs/x")}, "why")


@pytest.mark.parametrize(
    ("given", "resolved"),
    [
        (None, "http://127.0.0.1:8265"),
        ("auto", "http://127.0.0.1:8265"),
        ("head", "http://head:8265"),
        ("head:80", "http://head:80"),
        ("http://head:8265/", "http://head:8265"),
        ("https://ray.example.org/team", "https://ray.example.org:443/team"),
        ("http://[::1]:8265", "http://[::1]:8265"),
    ],
)
def test_addresses(given: str | None, resolved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    assert ray_address.resolve(given) == resolved


def test_the_environments_address_is_used_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://elsewhere:8265")
    assert ray_address.resolve(None) == "http://elsewhere:8265"
    assert ray_address.resolve("here") == "http://here:8265"
    monkeypatch.setenv("RAY_ADDRESS", "elsewhere:6379")
    with pytest.raises(RequestError, match=r"RAY_ADDRESS elsewhere:6379: .*http://elsewhere:8265"):
        ray_address.resolve(None)


@pytest.mark.parametrize("given", ["ray://head:10001", "head:6379", "http://", "http://head:many", "http://u:p@head"])
def test_other_addresses_are_refused(given: str) -> None:
    with pytest.raises(RequestError, match="--address"):
        ray_address.resolve(given)


class Silent(BaseHTTPRequestHandler):
    reply: bytes = b"<html>hello</html>"
    status: int = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.reply)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Iterator[str]:
    handler = type("Handler", (Silent,), request.param)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_cluster_that_is_not_there_is_waited_for_and_then_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"  # bound, but nobody listens
        with pytest.raises(Unreachable, match=rf"{address}: asked /api/version [1-9] times in . s; last: .*refused"):
            RayJobs(address, connect=2.5).list()


def test_a_machine_that_never_answers_is_not_waited_for_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"http://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(Unreachable, match="timed out"):
            ray_address.wait_until_it_answers(address, 0.5)


@pytest.mark.parametrize(
    ("site", "reason"),
    [({}, "something answers there"), ({"status": 502}, "status 502"), ({"reply": b"{}"}, "something answers there")],
    indirect=["site"],
)
def test_an_answer_that_is_not_rays_is_said(site: str, reason: str) -> None:
    with pytest.raises(Unreachable, match=reason):
        ray_address.wait_until_it_answers(site, 0.5)


@pytest.mark.parametrize("hidden", ["ray", "aiohttp"])
def test_without_ray_one_line_says_what_to_install(hidden: str, tmp_path: Path) -> None:
    code = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
from trainer.jobs.ray import RayJobs
try:
    RayJobs("http://127.0.0.1:1").list()
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"RequestError Ray is not installed here ({hidden} is missing)")
    assert "pip install" in line


def test_naming_a_place_imports_no_ray() -> None:
    code = "import sys, trainer.jobs.cli; print(sorted({'ray', 'torch', 'aiohttp'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT) == "[]\n"
