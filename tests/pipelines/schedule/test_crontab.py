"""Lines for a crontab, through what cron and the shell make of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.schedule import crontab
from tests.pipelines.schedule.entries import request, run_by_cron
from trainer.errors import RequestError


def test_a_crontab_line_survives_cron_and_the_shell(tmp_path: Path) -> None:
    folder = tmp_path / "50% of it's $HOME"
    folder.mkdir()
    (folder / "secrets").write_text("TOKEN='a b%'\n")
    command = ("/bin/sh", "-c", 'pwd; echo "$PATH" "$TOKEN" "$1"', "sh", "10% ; $(date) 'x'")
    log = folder / "new folder" / "log %.txt"
    made = request(folder, command=command, log=log, secrets=str(folder / "secrets"))
    entry = crontab.entry(made)
    assert entry.logs == str(log)
    for runs in (1, 2):
        assert run_by_cron(entry.files["crontab"]).returncode == 0
        assert log.read_text() == f"{folder}\n/usr/bin:/bin a b% 10% ; $(date) 'x'\n" * runs
    failing = crontab.entry(request(folder, command=("/bin/sh", "-c", "exit 3")))
    assert run_by_cron(failing.files["crontab"]).returncode == 3


@pytest.mark.parametrize("name", ["back\\slash", "line\nbreak"])
def test_what_a_crontab_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError, match="a path holds"):
        crontab.entry(request(tmp_path / name))
    with pytest.raises(RequestError, match="own time zone"):
        crontab.entry(request(tmp_path, time_zone="Europe/Berlin"))
