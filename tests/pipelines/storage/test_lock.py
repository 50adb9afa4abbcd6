"""One writer a run folder: refused with the holder's name, taken over from the dead, loss noticed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pipelines import storage
from pipelines.storage import remote_lock
from pipelines.storage.remote_lock import Claim, RemoteLock, Times
from tests.pipelines.storage.s3_server import Proxy

QUICK = Times(beat=0.05, lease=3.0, settle=0.2)
"""A holder that lives beats sixty times in a lease: no load of a test machine makes it look dead."""
DYING = Times(beat=0.05, lease=0.3, settle=0.2)

HOLD = """
import sys
from pipelines import storage
from pipelines.storage import remote_lock
remote_lock.TIMES = remote_lock.Times(beat=0.05, lease=3.0, settle=0.2)
if sys.argv[2] == "elsewhere":
    remote_lock.this_machine = lambda: "another"
with storage.lock(storage.at(sys.argv[1]), "pomona build first"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(folder: Path, where: str = "here") -> Iterator[subprocess.Popen[str]]:
    """A process that holds the folder until it is killed or its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), where], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Callable[[Times], None]:
    return lambda times: monkeypatch.setattr(remote_lock, "TIMES", times)


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return request.getfixturevalue("s3") / "run" if request.param == "s3" else tmp_path / "run"


def test_a_second_writer_is_refused_with_the_holders_name(folder: Path, times: Callable[[Times], None]) -> None:
    times(QUICK)
    with holder(folder) as process:
        with (
            pytest.raises(storage.RunLocked, match=rf"run: in use by pomona build first, process {process.pid} on "),
            storage.lock(folder, "second"),
        ):
            pass
        process.communicate()  # its input ends, and it gives the folder back
        assert process.returncode == 0
    with storage.lock(folder, "third") as held:
        held.check()


def test_a_killed_holder_of_this_machine_is_known_to_be_dead(folder: Path, times: Callable[[Times], None]) -> None:
    times(Times(beat=5.0, lease=100_000.0, settle=0.2))  # no lease ends in this test
    with holder(folder) as process:
        process.kill()
        process.wait()
        with storage.lock(folder, "second") as held:
            held.check()


def test_a_killed_holder_of_another_machine_is_taken_over_after_its_lease(
    s3: Path, times: Callable[[Times], None]
) -> None:
    times(DYING)
    with holder(s3 / "run", "elsewhere") as process:
        process.kill()
        process.wait()
        with storage.lock(s3 / "run", "second"):
            assert storage.read_json(s3 / "run" / ".lock")["holder"].startswith("second, process ")
    assert not storage.exists(s3 / "run" / ".lock")


@pytest.mark.parametrize("unconditional", [False, True])
def test_of_many_that_come_together_one_holds(s3: Path, faulty: Proxy, unconditional: bool) -> None:
    faulty.faults.unconditional = unconditional
    beginning, ending = threading.Barrier(4), threading.Barrier(4)
    held: list[int] = []
    refused: list[str] = []

    def run(number: int) -> None:
        lock = RemoteLock(s3 / "run" / ".lock", f"run {number}", Times(beat=0.1, lease=20.0, settle=1.0))
        beginning.wait()
        try:
            lock.acquire()
            held.append(number)
        except storage.RunLocked as error:
            refused.append(str(error))
        ending.wait()
        if number in held:
            lock.release()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 1
    assert len(refused) == 3
    assert all(f"in use by run {held[0]}" in message for message in refused)


def test_a_dead_holders_lock_goes_to_one_of_many(s3: Path) -> None:
    path = s3 / "run" / ".lock"
    storage.write_bytes(path, Claim(holder="the dead", token="x", machine="another").data())
    locks = [RemoteLock(path, f"run {number}", Times(beat=0.1, lease=1.0, settle=0.2)) for number in range(3)]
    outcomes: list[str] = []

    def run(lock: RemoteLock) -> None:
        try:
            lock.acquire()
            outcomes.append("held")
        except storage.RunLocked:
            outcomes.append("refused")

    threads = [threading.Thread(target=run, args=(lock,)) for lock in locks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held", "refused", "refused"]
    for lock in locks:
        lock.release(quiet=True)


def test_a_holder_that_beats_keeps_its_lock_past_the_lease(s3: Path, times: Callable[[Times], None]) -> None:
    times(Times(beat=0.1, lease=2.0, settle=0.2))
    pause = threading.Event()
    with storage.lock(s3 / "run", "first") as held:
        while storage.read_json(s3 / "run" / ".lock")["beat"] <= 25:  # later than the lease after the first
            pause.wait(0.1)
        held.check()


def test_a_lost_lock_is_noticed_with_the_name_of_who_took_it(s3: Path) -> None:
    lock = RemoteLock(s3 / "run" / ".lock", "first", QUICK)
    lock.acquire()
    lock.check()
    storage.write_bytes(s3 / "run" / ".lock", Claim(holder="second, process 7 on elsewhere", token="y").data())
    assert lock._thread is not None
    lock._thread.join()  # its next beat finds out, and it ends
    with pytest.raises(storage.LockLost, match="no longer holds its folder: second, process 7 on elsewhere took it"):
        lock.check()
    with pytest.raises(storage.LockLost):
        lock.release()
    assert storage.read_json(s3 / "run" / ".lock")["token"] == "y"


def test_a_removed_lock_ends_the_run_that_held_it(s3: Path) -> None:
    with (
        pytest.raises(storage.LockLost, match="its lock was removed"),
        storage.lock(s3 / "run", "first"),
    ):
        storage.remove_file(s3 / "run" / ".lock")


def test_a_lock_that_cannot_be_renewed_is_not_trusted(s3: Path, faulty: Proxy) -> None:
    lock = RemoteLock(s3 / "run" / ".lock", "first", Times(beat=0.05, lease=0.2, settle=0.1))
    lock.acquire()
    faulty.faults.busy = 1.0
    silent = threading.Event()
    while True:
        try:
            lock.check()
        except storage.LockLost as error:
            assert "could not be renewed" in str(error)  # noqa: PT017 - awaited, not raised by one call
            break
        silent.wait(0.02)
    faulty.faults.busy = 0.0
    lock.release(quiet=True)


def test_answers_that_get_lost_do_not_lose_the_lock(s3: Path, faulty: Proxy) -> None:
    faulty.faults.lose = 2
    with storage.lock(s3 / "run", "first") as held:
        held.check()
        assert faulty.faults.lose == 0
    assert not storage.exists(s3 / "run" / ".lock")


def test_a_wall_clock_that_jumps_changes_nothing(
    s3: Path, times: Callable[[Times], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    times(QUICK)
    with holder(s3 / "run"), ExitStack() as stack:
        monkeypatch.setattr(remote_lock.time, "time", lambda: 4e9)
        with pytest.raises(storage.RunLocked, match="pomona build first"):
            stack.enter_context(storage.lock(s3 / "run", "second"))


def test_a_damaged_lock_is_taken_over_after_the_lease(s3: Path, times: Callable[[Times], None]) -> None:
    times(DYING)
    storage.write_bytes(s3 / "run" / ".lock", b"{")
    with storage.lock(s3 / "run", "second") as held:
        held.check()


def test_a_lock_on_a_store_without_conditions(tmp_path: Path, times: Callable[[Times], None]) -> None:
    times(QUICK)
    folder = storage.at(f"memory://{tmp_path.name}/run")
    with storage.lock(folder, "first") as held:
        held.check()
        with pytest.raises(storage.RunLocked, match="in use by first"), storage.lock(folder, "second"):
            pass
    assert not storage.exists(folder / ".lock")
