"""Pages that take too long, too much, or the whole process."""

from __future__ import annotations

import importlib
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from pipelines.extract.extraction import Extraction, ExtractionError
from pipelines.extract.guard import Guard, Limits


def fine(text: str) -> Extraction:
    return Extraction(text, engine=str(os.getpid()))


def spin() -> Extraction:
    while True:
        pass


def sleep() -> Extraction:
    time.sleep(600)
    return Extraction("slept")


def grow() -> Extraction:
    return Extraction(str(len(bytearray(4 << 30))))


def die() -> Extraction:
    os.kill(os.getpid(), signal.SIGKILL)
    return Extraction("dead")


def fail() -> Extraction:
    raise ExtractionError("empty-document", "nothing there")


def break_down() -> Extraction:
    raise ZeroDivisionError("by zero")


def test_the_child_imports_what_its_parent_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "added_to_the_path.py").write_text(
        "from pipelines.extract.extraction import Extraction\ndef job(): return Extraction('read')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    job = importlib.import_module("added_to_the_path").job
    with Guard() as guard:
        assert guard.run(job).text == "read"


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


@pytest.mark.slow
def test_limits_end_what_goes_beyond_them() -> None:
    before = children()
    with Guard(Limits(seconds=1, bytes=1 << 30)) as guard:
        first = guard.run(fine, "one").engine
        assert guard.run(fine, "two").engine == first, "one child reads many pages"
        for job, reason in (
            (spin, "too-slow"),
            (sleep, "too-slow"),
            (grow, "out-of-memory"),
            (die, "extraction-failed"),
            (fail, "empty-document"),
            (break_down, "extraction-failed"),
        ):
            with pytest.raises(ExtractionError) as caught:
                guard.run(job)
            assert caught.value.reason == reason
            assert guard.run(fine, "after").text == "after"
    assert children() <= before, "no child is left"
