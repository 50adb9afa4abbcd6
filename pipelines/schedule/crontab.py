"""A line for crontab(5)."""

from __future__ import annotations

import shlex

from pipelines.schedule.entry import Entry, Request
from trainer.errors import RequestError


def entry(request: Request) -> Entry:
    """Return the line that runs a build from a user's crontab.

    cron gives a command an almost empty environment, so the line names the folder, the search path and the log. It
    needs no lock of its own: a run folder that is being built refuses a second build with the first one's name.

    Raises:
        RequestError: a path that no crontab can hold, or a time zone, which crontab(5) has no portable way to say.
    """
    if request.time_zone:
        raise RequestError(
            "--time-zone: cron runs in the machine's own time zone; leave it out, or use --to systemd or kubernetes"
        )
    log = request.log
    steps = [f"mkdir -p {shlex.quote(str(log.parent))}", f"cd {shlex.quote(str(request.folder))}"]
    if request.secrets:
        steps += ["set -a", f". {shlex.quote(request.secrets)}", "set +a"]
    run = f"PATH={shlex.quote(request.path)} {shlex.join(request.command)} >> {shlex.quote(str(log))} 2>&1"
    command = " && ".join([*steps, run])
    for wrong, name in (("\\", "a backslash"), ("\n", "a line break"), ("\r", "a line break")):
        if wrong in command:
            raise RequestError(f"a path holds {name}, which crons read differently: rename it, or use --to systemd")
    # An unescaped % ends the command for cron, and what follows becomes its standard input.
    line = f"{request.cron.text()} {command}".replace("%", "\\%")
    return Entry(
        files={"crontab": line + "\n"},
        install=("install: crontab -e, and add the line below",),
        logs=str(log),
        notes=(f"runs `pomona build --update` of {request.recipe} into {request.out}",),
    )
