"""The Beam engine with other runners: their options, the graphs that they get, Beam's own job server."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.engines import beam_options
from pipelines.engines.beam import BeamEngine
from pipelines.engines.plan import EngineError, Hints
from tests.engines import contract
from tests.engines.contract import WORDS, digests, reference, upper, words


@pytest.fixture
def server() -> Iterator[str]:
    """A port of this machine that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_unknown_options_are_refused_by_name() -> None:
    with pytest.raises(EngineError, match=r"unknown option --colour, --flnk_master; options are passed"):
        BeamEngine(1, options=["--runner=FlinkRunner", "--flnk_master=host:8081", "--colour", "red"])
    with pytest.raises(EngineError, match="unknown option stray"):
        BeamEngine(1, options=["stray"])
    with pytest.raises(EngineError, match="does not take these options: --parallelism=many"):
        BeamEngine(1, options=["--parallelism=many"])


@pytest.mark.parametrize("option", ["--job_endpoint=127.0.0.1:{}", "--flink_master=http://127.0.0.1:{}"])
def test_a_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    assert beam_options.WAIT_SECONDS <= 30
    monkeypatch.setattr(beam_options, "WAIT_SECONDS", 0.5)
    port = free_port()
    flag = option.format(port)
    with pytest.raises(EngineError, match=f"nothing answers at 127.0.0.1:{port} .*{flag}.*refused"):
        BeamEngine(1, options=["--runner=PortableRunner", flag])


def test_without_beam_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "apache_beam" else find(name, *more)
    )
    with pytest.raises(EngineError, match=r"^apache-beam is not installed: pip install 'pomona\[beam\]'$"):
        BeamEngine(1)


RUNNERS = {
    "FlinkRunner": ["--flink_master=http://{}", "--parallelism=8", "--environment_type=DOCKER"],
    "SparkRunner": ["--spark_rest_url=http://{}", "--spark_version=3", "--environment_type=DOCKER"],
    "DataflowRunner": ["--project=orchard", "--region=europe-west1", "--temp_location=gs://orchard/temporary"],
}


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("grouped", [False, True])
def test_other_runners_get_the_graph_and_the_options(tmp_path: Path, server: str, runner: str, grouped: bool) -> None:
    from apache_beam.options.pipeline_options import PortableOptions
    from apache_beam.runners.pipeline_context import PipelineContext
    from apache_beam.transforms.environments import Environment

    from pipelines.engines.beam_transforms import TableCoder

    given = [f"--runner={runner}", *(option.format(server) for option in RUNNERS[runner])]
    image = "registry.example.org/pomona:1"
    engine = BeamEngine(2, options=[*given, f"--environment_config={image}", "--environment_type=DOCKER"])
    hints = Hints(gpus=1, cpus=4, memory=8 << 30)
    pipeline = engine.pipeline(words(grouped=grouped, hints=hints), tmp_path)
    for option in given:
        name, _, value = option.removeprefix("--").partition("=")
        assert str(pipeline.options.get_all_options()[name]) == value
    environment = Environment.from_options(pipeline.options.view_as(PortableOptions))
    proto = pipeline.to_runner_api(default_environment=environment)
    components = proto.components

    transforms = {one.unique_name: one for one in components.transforms.values()}
    assert transforms["words/group"].spec.urn == "beam:transform:group_by_key:v1"
    for name in ("read", "map", "key", "write"):
        assert transforms[f"words/{name}"].spec.urn == "beam:transform:pardo:v1"
        assert len(transforms[f"words/{name}"].spec.payload) < 10_000
    (shuffled,) = transforms["words/group"].inputs.values()
    pair = components.coders[components.pcollections[shuffled].coder_id]
    key, value = (components.coders[one] for one in pair.component_coder_ids)
    assert pair.spec.urn == "beam:coder:kv:v1"
    assert key.spec.urn == "beam:coder:varint:v1"
    assert value.spec.urn == "beam:coder:pickled_python:v1"
    coder = PipelineContext(components).coders.get_by_id(pair.component_coder_ids[1])
    assert isinstance(coder, TableCoder)

    for name in ("read", "map", "write"):
        needs = components.environments[transforms[f"words/{name}"].environment_id]
        assert needs.urn == "beam:env:docker:v1"
        assert image.encode() in needs.payload
        assert dict(needs.resource_hints) == {
            "beam:resources:accelerator:v1": b"count:1",
            "beam:resources:cpu_count:v1": b"4",
            "beam:resources:min_ram_bytes:v1": str(8 << 30).encode(),
        }


def test_the_operators_own_accelerator_is_left_to_stand(tmp_path: Path) -> None:
    wanted = "type:nvidia-l4;count:2;install-nvidia-driver"
    options = ["--runner=DataflowRunner", *RUNNERS["DataflowRunner"]]
    engine = BeamEngine(1, options=[*options, f"--resource_hints=accelerator={wanted}"])
    pipeline = engine.pipeline(words(grouped=False, hints=Hints(gpus=1)), tmp_path)
    hints = [dict(one.resource_hints) for one in pipeline.to_runner_api().components.environments.values()]
    assert {"beam:resources:accelerator:v1": wanted.encode()} in hints
    assert {"beam:resources:accelerator:v1": b"count:1"} not in hints


def test_options_that_a_runner_misses_are_named(tmp_path: Path) -> None:
    engine = BeamEngine(1, options=["--runner=DataflowRunner"])
    with pytest.raises(EngineError, match=r"do not make a pipeline for DataflowRunner: .*project"):
        engine.pipeline(words(grouped=False), tmp_path)


# ---- Beam's job server -----------------------------------------------------------------------------------------------

SDK = "--environment_type=beam:env:harness_subprocess_python:v1"
HARNESS = f"--environment_config={sys.executable} -m apache_beam.runners.worker.sdk_worker_main"


@contextmanager
def job_server(workers: int, jobs: list[dict[str, Any]]) -> Iterator[str]:
    """Beam's own job server, in this process so that it shows what it was sent; each job on some workers."""
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
    from apache_beam.runners.portability.local_job_service import BeamJob, LocalJobServicer

    class Job(BeamJob):
        def _invoke_runner(self) -> Any:
            from apache_beam.portability.api import beam_job_api_pb2

            jobs.append({**self.pipeline_options().get_all_options(), "graph": self._pipeline_proto})
            self.set_state(beam_job_api_pb2.JobState.RUNNING)
            runner = FnApiRunner(provision_info=self._provision_info)
            runner._num_workers = workers
            return runner.run_via_runner_api(self._pipeline_proto, self.pipeline_options())

    servicer = LocalJobServicer(beam_job_type=Job)
    port = servicer.start_grpc_server()
    try:
        yield f"localhost:{port}"
    finally:
        servicer.stop()


def tells_its_process(table: pa.Table) -> pa.Table:
    (Path(os.environ["POMONA_TEST_MARK"]) / str(os.getpid())).touch()
    return upper(table)


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["PortableRunner", "FlinkRunner", "SparkRunner"])
def test_a_job_server_runs_plans_on_several_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: str, capfd: Any
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    monkeypatch.setenv("POMONA_TEST_MARK", str(marks))
    jobs: list[dict[str, Any]] = []
    with job_server(2, jobs) as endpoint:
        options = [f"--runner={runner}", f"--job_endpoint={endpoint}", SDK, HARNESS, "--parallelism=3"]
        engine = BeamEngine(2, options=options)
        for grouped in (False, True):
            plan = words((1, 2, 3, 4), grouped=grouped, map=tells_its_process)
            engine.run(plan, tmp_path / f"out-{grouped}")
            assert digests(tmp_path / f"out-{grouped}") == reference(plan, tmp_path / f"local-{grouped}")
            assert engine.counts == dict.fromkeys(("read", "map", "shuffle", "emit"), len(WORDS) * 10)
        with pytest.raises(LookupError, match=r"^'?a fox'?$"):
            engine.run(words(grouped=False, map=contract.hates_foxes), tmp_path / "bad")
    processes = {int(path.name) for path in marks.iterdir()} - {os.getpid()}
    assert len(processes) >= 2
    assert [job["parallelism"] for job in jobs] == ["3", "3", "3"]
    assert any(one.unique_name == "words/group" for one in jobs[0]["graph"].components.transforms.values())


@pytest.mark.slow
def test_beams_job_server_as_it_comes(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as service:
        try:
            endpoint = f"--job_endpoint=localhost:{port}"
            engine = BeamEngine(1, options=["--runner=PortableRunner", endpoint, "--environment_type=LOOPBACK"])
            plan = words(grouped=True)
            engine.run(plan, tmp_path / "out")
        finally:
            service.terminate()
    assert digests(tmp_path / "out") == reference(plan, tmp_path / "local")
    assert engine.counts["emit"] == len(WORDS) * 6
