"""Ray: clusters joined, started and out of reach; hints; workers that die."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.engines import ray_cluster
from pipelines.engines.plan import EngineError, Hints, Shard
from pipelines.engines.ray import RayEngine
from tests.engines.contract import ROWS, WORDS, digests, pardon, reference, upper, words


@pytest.fixture(scope="module")
def joined() -> Iterator[Any]:
    """A cluster in this process that pretends to have two GPUs."""
    import ray

    RayEngine(1)  # sets what must be set before Ray starts
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        # Ray reads these once a process: a file that ran before may have started a cluster with the same token.
        patch.setenv("RAY_AUTH_TOKEN", ray_cluster.token())
        patch.setenv("RAY_AUTH_MODE", "")  # put back afterwards; Ray sets it
        del os.environ["RAY_AUTH_MODE"]
        ray.init(address="local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False)
        yield ray
        ray.shutdown()


def note_gpu(table: pa.Table, marks: str) -> pa.Table:
    import ray

    gpus = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    name = f"{os.getpid()}-{'-'.join(gpus)}-{len(list(Path(marks).iterdir()))}-{table.num_rows}"
    (Path(marks) / name).touch()
    return table


class OnGpu:
    """A function that holds a model, as a step's does: made where it runs, kept from batch to batch."""

    def __init__(self, marks: str) -> None:
        self.marks = marks

    def __call__(self, table: pa.Table) -> pa.Table:
        return upper(note_gpu(table, self.marks))


@pytest.mark.slow
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("actors", [None, (1, 1), (2, 2)])
def test_hints_give_gpus_and_actors(joined: Any, tmp_path: Path, grouped: bool, actors: tuple[int, int] | None) -> None:
    (tmp_path / "marks").mkdir()
    hints = Hints(cpus=0.5, gpus=1, actors=actors)
    plan = words((3, 0, 2, 1, 1, 1), grouped=grouped, hints=hints, map=OnGpu(str(tmp_path / "marks")))
    engine = RayEngine(2)
    engine.run(plan, tmp_path / "out")
    engine.close()
    assert joined.is_initialized(), "a cluster that the engine did not start is not its to end"
    assert engine.counts["map"] == engine.counts["emit"] == 8 * len(WORDS)
    seen = [path.name.split("-") for path in (tmp_path / "marks").iterdir()]
    assert {gpu for _, gpu, _, _ in seen} <= {"0", "1"}
    assert sum(int(rows) for *_, rows in seen) == 8 * len(WORDS)
    assert len({pid for pid, *_ in seen}) <= (actors[1] if actors else 6)
    assert digests(tmp_path / "out") == reference(words((3, 0, 2, 1, 1, 1), grouped=grouped), tmp_path / "expected")


def kill_foxes(table: pa.Table) -> pa.Table:
    if "fox" in table["word"].to_pylist():
        os.kill(os.getpid(), signal.SIGKILL)
    return upper(table)


def die(shard: Shard) -> Iterator[pa.Table]:
    os.kill(os.getpid(), signal.SIGKILL)
    yield ROWS.empty_table()


@pytest.mark.slow
def test_a_record_that_kills_its_worker_is_set_apart(joined: Any, tmp_path: Path) -> None:
    result = RayEngine(2).run(words((1, 1), grouped=False, map=kill_foxes, map_fault=pardon), tmp_path)
    for entry in result.files["rows"]:
        found = pq.read_table(tmp_path / entry.path)["word"].to_pylist()
        expected = ["its worker died 3 times on this record alone" if one == "fox" else one.upper() for one in WORDS]
        assert sorted(found) == sorted(expected)


@pytest.mark.slow
def test_a_reader_that_keeps_dying_is_given_up(joined: Any, tmp_path: Path) -> None:
    with pytest.raises(
        EngineError, match="words: the worker of read 0 ended 3 times, the last time at read of batch 0"
    ):
        RayEngine(2).run(words((1,), grouped=False, read=die), tmp_path)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find: Callable[..., Any] = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "ray" else find(name, *more))
    with pytest.raises(EngineError, match=r"^ray is not installed: pip install 'pomona\[ray\]'$"):
        RayEngine(1)


def test_an_address_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(EngineError, match=f"tried to connect to 127.0.0.1, port {port}: .* check the address"):
        RayEngine(1, address=f"127.0.0.1:{port}")


def in_process(code: str, *arguments: str, **environment: str) -> str:
    """Run code in a process of its own: Ray is in one cluster at a time, and keeps what it read of the environment."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("RAY_")}, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_an_address_where_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        said = in_process(
            """
            import sys, os
            from pipelines.engines import plan, ray, ray_cluster
            ray_cluster.CONNECT_SECONDS = 2
            try:
                ray.RayEngine(1, address=sys.argv[1])
            except plan.EngineError as error:
                print(error, flush=True)
            os._exit(0)
            """,
            f"127.0.0.1:{server.getsockname()[1]}",
        )
    assert "did not answer within 2 seconds" in said
    assert ray_cluster.CONNECT_SECONDS < 30


@pytest.mark.slow
def test_a_local_cluster_is_small_private_and_gone_afterwards(tmp_path: Path) -> None:
    said = in_process(
        """
        import os, sys
        from pathlib import Path
        import psutil
        from pipelines.engines.plan import EngineError, Hints
        from pipelines.engines.ray import RayEngine
        from tests.engines.contract import words
        home, out = Path(sys.argv[1]), Path(sys.argv[2])
        engine = RayEngine(3, memory=600 << 20)
        engine.run(words(grouped=True), out)
        import ray
        there = ray.cluster_resources()
        print("cpus", there["CPU"], "store", there["object_store_memory"] <= 300 << 20)
        ours = psutil.Process().children(recursive=True)
        pids = {one.pid for one in ours}
        heard = {one.laddr.ip for one in psutil.net_connections("tcp") if one.status == "LISTEN" and one.pid in pids}
        print("heard on", sorted(ip.removeprefix("::ffff:") for ip in heard))
        try:
            engine.run(words(grouped=False, hints=Hints(gpus=1)), out / "gpu")
        except EngineError as error:
            print(error)
        engine.close()
        print("left", [one for one in psutil.wait_procs(ours, 20)[1] if one.status() != "zombie"])
        print("token", (home / ".ray" / "auth_token").exists(), "RAY_AUTH_TOKEN" in os.environ)
        """,
        str(tmp_path / "home"),
        str(tmp_path / "out"),
        HOME=str(tmp_path / "home"),
    )
    assert "cpus 3.0 store True" in said
    assert "heard on ['127.0.0.1', '127.0.0.1']" in said or "heard on ['127.0.0.1']" in said
    assert "words: its hints ask for 1 × 1 of GPU, this machine has 0; change the hints" in said
    assert "left []" in said
    assert "token False False" in said


@pytest.mark.slow
def test_a_running_cluster_is_joined_by_its_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}"]
    command += ["--num-cpus=2", "--include-dashboard=false", "--object-store-memory=100000000"]
    head = subprocess.Popen(
        command, env=os.environ | settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert head.stdout is not None
        lines: list[str] = []
        for line in head.stdout:
            lines.append(line)
            if "--block" in line or "runtime started" in line:
                break
        said = in_process(
            """
            import sys
            from pathlib import Path
            from pipelines.engines.ray import RayEngine
            from tests.engines.contract import words
            engine = RayEngine(2, address=sys.argv[1])
            print(engine.run(words(grouped=True), Path(sys.argv[2])).received)
            engine.close()
            """,
            f"127.0.0.1:{port}",
            str(tmp_path / "out"),
            **settings,
        )
        assert head.poll() is None, "".join(lines)
        assert said.split() == [str(6 * len(WORDS))]
        assert digests(tmp_path / "out") == reference(words(grouped=True), tmp_path / "expected")
    finally:
        family = [*psutil.Process(head.pid).children(recursive=True)]
        head.terminate()
        head.communicate(timeout=120)
        for one in psutil.wait_procs(family, 20)[1]:
            one.kill()
