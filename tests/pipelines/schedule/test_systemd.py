"""Units: what they say is what systemd understands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipelines.schedule import systemd
from pipelines.schedule.cron import Cron
from tests.pipelines.schedule.entries import request
from trainer.errors import RequestError


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("0 3 * * *", ["*-*-* 03:00:00"]),
        ("*/15 * * * *", ["*-*-* *:00,15,30,45:00"]),
        ("30 9-17 * * mon-fri", ["Mon..Fri *-*-* 09..17:30:00"]),
        ("0 0 * * 0,6", ["Sat..Sun *-*-* 00:00:00"]),
        ("0 0 * * sun,wed", ["Wed,Sun *-*-* 00:00:00"]),
        ("0 0 1,15 1-6/2 *", ["*-01,03,05-01,15 00:00:00"]),
        ("0 0 13 * fri", ["*-*-13 00:00:00", "Fri *-*-* 00:00:00"]),
    ],
)
def test_systemd_is_told_the_same(text: str, lines: list[str]) -> None:
    assert systemd.on_calendar(Cron.parse(text)) == lines
    zoned = systemd.on_calendar(Cron.parse(text), "Europe/Berlin")
    assert zoned == [f"{line} Europe/Berlin" for line in lines]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
@pytest.mark.parametrize(
    "text",
    ["*/7 3-5 * * *", "0 0 13 * fri", "5,10-20/3 */6 * 2,11 *", "59 23 28-31 * *", "0 12 * * 0", "30 4 1,15 * 5"],
)
def test_systemd_itself_agrees_when_the_next_runs_are(text: str) -> None:
    cron = Cron.parse(text)
    start = datetime(2026, 11, 22, 6, 30)
    told: set[datetime] = set()
    for line in systemd.on_calendar(cron, "UTC"):
        answer = subprocess.run(
            ["systemd-analyze", "calendar", "--iterations=8", f"--base-time={start} UTC", line],
            capture_output=True, text=True, check=True, env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
        ).stdout  # fmt: skip
        told |= {
            datetime.fromisoformat(found) for found in re.findall(r"\w{3} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", answer)
        }
    upcoming: list[datetime] = []
    moment = start
    while len(upcoming) < 8:
        moment += timedelta(minutes=1)
        if cron.matches(moment):
            upcoming.append(moment)
    assert sorted(told - {start})[:8] == upcoming


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    folder = tmp_path / "100% of it's $HOME"
    folder.mkdir()
    (folder / "secrets").touch()
    entry = systemd.entry(
        request(folder, command=("/bin/echo", "a b", '"', "%h", "$HOME", "\\", ""), secrets=str(folder / "secrets"))
    )
    units = tmp_path / "units"
    units.mkdir()
    for name, content in entry.files.items():
        (units / name).write_text(content)
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--recursive-errors=no", *map(str, units.iterdir())],
        capture_output=True, text=True, check=False, env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    assert [line for line in done.stderr.splitlines() if "pomona-" in line] == []


def test_words_of_a_unit_are_quoted(tmp_path: Path) -> None:
    folder = tmp_path / "50% full"
    command = ("/opt/pomona", "a b", 'say "hi"', "%i", "$x", "back\\slash", "plain")
    service = systemd.entry(request(folder, command=command)).files["pomona-tiny.service"]
    assert 'ExecStart=/opt/pomona "a b" "say \\"hi\\"" %%i $$x "back\\\\slash" plain\n' in service
    assert f"WorkingDirectory={tmp_path}/50%% full\n" in service
    assert "Environment=PATH=/usr/bin:/bin\n" in service
    timer = systemd.entry(request(folder)).files["pomona-tiny.timer"]
    assert "OnCalendar=*-*-* 03:00:00\n" in timer
    with pytest.raises(RequestError, match="control character"):
        systemd.entry(request(folder, command=("/opt/pomona", "a\nb")))
