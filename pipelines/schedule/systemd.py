"""A service and a timer for systemd, and what its OnCalendar= says of a cron expression (systemd.time(7))."""

from __future__ import annotations

from pipelines.schedule.cron import Cron, Field, runs
from pipelines.schedule.entry import Entry, Request
from trainer.errors import RequestError

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@+=:,./-%$")


def on_calendar(cron: Cron, time_zone: str | None = None) -> list[str]:
    """Translate a cron expression; one of the lines has to match.

    systemd wants both the weekday and the date of a line to match. Cron, with both restricted, wants either: that is
    two lines, and a moment that matches both starts the service once.
    """
    time = f"{_list(cron.hour)}:{_list(cron.minute)}:00"
    zone = f" {time_zone}" if time_zone else ""
    dates = f"*-{_list(cron.month)}-{_list(cron.day)}"
    if not cron.either_day:
        return [f"{_weekdays(cron.weekday)}{dates} {time}{zone}"]
    return [f"{dates} {time}{zone}", f"{_weekdays(cron.weekday)}*-{_list(cron.month)}-* {time}{zone}"]


def entry(request: Request) -> Entry:
    """Return a user's service and timer.

    A service that is still running is not started again, so that runs do not overlap; a run that was missed while
    the machine was off is made up for.

    Raises:
        RequestError: a path that no unit can hold.
    """
    for word in (*request.command, str(request.folder), request.path, request.secrets or ""):
        if any(ord(character) < 32 for character in word):
            raise RequestError(f"{word!r}: holds a control character, which a unit cannot; rename it")
    secrets = [f"EnvironmentFile={_specifiers(request.secrets)}"] if request.secrets else []
    service = [
        "[Unit]",
        f"Description=Pomona build of {_specifiers(request.name)}",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=oneshot",
        f"WorkingDirectory={_specifiers(str(request.folder))}",
        f"Environment={_word(f'PATH={request.path}', expands=False)}",
        *secrets,
        "ExecStart=" + " ".join(_word(word) for word in request.command),
    ]
    timer = [
        "[Unit]",
        f"Description=When to build {_specifiers(request.name)}",
        "",
        "[Timer]",
        *(f"OnCalendar={line}" for line in on_calendar(request.cron, request.time_zone)),
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    unit = request.unit
    return Entry(
        files={f"{unit}.service": "\n".join(service) + "\n", f"{unit}.timer": "\n".join(timer) + "\n"},
        install=(
            "install: put both files into ~/.config/systemd/user, then",
            f"    systemctl --user daemon-reload && systemctl --user enable --now {unit}.timer",
            "    loginctl enable-linger   # so that it also runs while you are not logged in",
        ),
        logs=f"journalctl --user -u {unit}",
        notes=(f"runs `pomona build --update` of {request.recipe} into {request.out}",),
    )


def _list(field: Field) -> str:
    if field.free:
        return "*"
    return ",".join(f"{low:02d}" if low == high else f"{low:02d}..{high:02d}" for low, high in runs(field.values))


def _weekdays(field: Field) -> str:
    if field.free:
        return ""
    # systemd's week begins with Monday: cron's Sunday, 0, goes last.
    found = runs(sorted((value - 1) % 7 for value in field.values))
    return ",".join(_DAYS[low] if low == high else f"{_DAYS[low]}..{_DAYS[high]}" for low, high in found) + " "


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _word(text: str, expands: bool = True) -> str:
    """Quote a word of ExecStart= or Environment= (systemd.syntax(7)); only ExecStart= `expands` a dollar sign."""
    quoted = text
    if not text or not set(text) <= _PLAIN:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        quoted = f'"{escaped}"'
    quoted = _specifiers(quoted)
    return quoted.replace("$", "$$") if expands else quoted
