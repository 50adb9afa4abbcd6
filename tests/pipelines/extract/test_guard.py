"""Pages that take too long, too much, or the whole process."""

from __future__ import annotations

import os
import signal
import time

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


@pytest.mark.slow
def test_limits_end_what_goes_beyond_them() -> None:
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
    assert not [child for child in psutil.Process().children() if child.name().startswith("python")]
