"""What a command costs: wall time, processor time and peak memory of it and of every process below it."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

INTERVAL = 0.2
"""Seconds between two looks at the processes; their memory is read at every fifth."""

ONE_THREAD: Mapping[str, str] = dict.fromkeys(
    ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "1"
)
"""One core a process for everyone: libraries that would use more are told not to."""


class CommandFailed(Exception):
    """A measured command ended with an error; the message holds the end of what it said."""


@dataclass(frozen=True)
class Cost:
    """What a command cost.

    Attributes:
        seconds: wall time from its start to its end.
        cpu_seconds: processor time of all its processes. Where some outlive their parents it comes from samples, and
            misses what they did after the last one.
        peak_bytes: largest sum of the proportional set sizes of its processes, from samples a second apart.
        said: the JSON object that it printed last, {} where there is none.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    said: Mapping[str, Any]


class Meter:
    """Looks at a process and all below it until it is stopped; `peaks` by label, where somebody sets `label`."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._known: dict[tuple[int, float], psutil.Process] = {}
        self._cpu: dict[tuple[int, float], float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.label = ""
        self.peaks: dict[str, int] = {}

    def __enter__(self) -> Meter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def cpu_seconds(self) -> float:
        """Processor time seen so far."""
        return sum(self._cpu.values())

    @property
    def peak_bytes(self) -> int:
        """Largest sum of proportional set sizes seen so far."""
        return max(self.peaks.values(), default=0)

    def _look(self) -> None:
        looks = 0
        while not self._ended.wait(INTERVAL):
            self._find()
            self._times()
            if looks % 5 == 0:
                size, label = self._size(), self.label
                self.peaks[label] = max(self.peaks.get(label, 0), size)
            looks += 1

    def _find(self) -> None:
        # Processes once seen are remembered: a daemon leaves the tree of the one that started it.
        try:
            found = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for one in found:
            self._known.setdefault((one.pid, one.create_time()), one)

    def _times(self) -> None:
        for key, one in self._known.items():
            try:
                if one.is_running():
                    times = one.cpu_times()
                    self._cpu[key] = times.user + times.system
            except psutil.Error:
                continue

    def _size(self) -> int:
        total = 0
        for one in self._known.values():
            try:
                if one.is_running():
                    total += one.memory_full_info().pss
            except psutil.Error:
                continue
        return total


def watched(
    command: Sequence[str | Path], log: Path, *, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Cost:
    """Run a command, its error output going to a file, and say what it cost.

    Args:
        command: the command.
        log: where its standard error goes, and its output beside it.
        environment: variables beside this process's own.
        cwd: its working folder.

    Raises:
        CommandFailed: it ended with another code than 0.
    """
    return side_by_side([command], [log], environment=environment, cwd=cwd)[0]


def side_by_side(
    commands: Sequence[Sequence[str | Path]],
    logs: Sequence[Path],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> list[Cost]:
    """Run commands at the same time; see `watched`."""
    costs: list[Cost | CommandFailed | None] = [None] * len(commands)

    def run(number: int) -> None:
        costs[number] = _run(commands[number], logs[number], {**os.environ, **(environment or {})}, cwd)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(commands))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done: list[Cost] = []
    for cost in costs:
        if isinstance(cost, CommandFailed):
            raise cost
        assert cost is not None
        done.append(cost)
    return done


def _run(
    command: Sequence[str | Path], log: Path, environment: Mapping[str, str], cwd: Path | None
) -> Cost | CommandFailed:
    log.parent.mkdir(parents=True, exist_ok=True)
    out = log.with_suffix(".out")
    started = time.perf_counter()
    with log.open("wb") as errors, out.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=environment, cwd=cwd)
        with Meter(process.pid) as meter:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
    process.returncode = code = os.waitstatus_to_exitcode(status)
    text = out.read_text(encoding="utf-8", errors="replace")
    if code:
        end = "\n".join((log.read_text(encoding="utf-8", errors="replace") + text).strip().splitlines()[-8:])
        return CommandFailed(f"{' '.join(map(str, command[:6]))} ... ended with {code}; {log} ends with\n{end}")
    cpu = max(usage.ru_utime + usage.ru_stime, meter.cpu_seconds)
    return Cost(seconds, cpu, meter.peak_bytes, _said(text))


def _said(text: str) -> dict[str, Any]:
    for line in reversed(text.strip().splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    return {}
