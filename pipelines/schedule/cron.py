"""Cron expressions: five fields, read strictly, with one meaning in every cron.

Taken: `*`, numbers, ranges, lists, steps over `*` or a range, names of months and weekdays, 7 for Sunday, and the
macros from @hourly to @yearly. Refused, because crons disagree on them or do not have them: a step over a single
number, ranges that wrap, `?`, `L`, `W`, `#`, @reboot, and a stepped star in one day field while the other is
restricted (Vixie cron takes `*/2` for unrestricted and wants both fields to match, Kubernetes wants either).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pipelines.recipe_errors import nearest

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
# Written out: the calendar module's names change with the locale.
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_WEEKDAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_ELEMENT = re.compile(r"(?P<star>\*)(?:/(?P<every>\d+))?|(?P<low>\w+)(?:-(?P<high>\w+)(?:/(?P<step>\d+))?)?", re.ASCII)
_LONGEST_MONTH = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}


class CronError(ValueError):
    """A cron expression is wrong or ambiguous; the message says where, and what to write."""


@dataclass(frozen=True)
class _Kind:
    name: str
    low: int
    high: int
    names: dict[str, int]


_MINUTE = _Kind("minute", 0, 59, {})
_HOUR = _Kind("hour", 0, 23, {})
_DAY = _Kind("day of month", 1, 31, {})
_MONTH = _Kind("month", 1, 12, _MONTHS)
_WEEKDAY = _Kind("day of week", 0, 7, _WEEKDAYS)
_KINDS = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)


@dataclass(frozen=True)
class Field:
    """The values that one field takes. `free` is a plain star: it restricts nothing."""

    values: tuple[int, ...]
    free: bool
    stepped_star: bool = False


@dataclass(frozen=True)
class Cron:
    """When something runs. Weekdays are 0 (Sunday) to 6."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Read an expression. Raises CronError."""
        fields = _MACROS.get(text.strip().lower(), text).split()
        if text.strip().startswith("@") and len(fields) == 1:
            raise CronError(f"{text!r}: no such macro{nearest(text, _MACROS)}")
        if len(fields) != len(_KINDS):
            raise CronError(
                f"{text!r}: has {len(fields)} fields, expected 5: minute hour day-of-month month day-of-week, "
                "for example '0 3 * * *' for every day at 03:00"
            )
        minute, hour, day, month, weekday = (
            _field(field, kind, text) for field, kind in zip(fields, _KINDS, strict=True)
        )
        made = cls(minute, hour, day, month, weekday)
        made._check(text)
        return made

    def matches(self, moment: datetime) -> bool:
        """Say whether it runs in a moment's minute."""
        if moment.minute not in self.minute.values or moment.hour not in self.hour.values:
            return False
        if moment.month not in self.month.values:
            return False
        day = moment.day in self.day.values
        weekday = moment.isoweekday() % 7 in self.weekday.values
        return (day or weekday) if self.either_day else (day and weekday)

    @property
    def either_day(self) -> bool:
        """Whether both day fields are restricted: then a day that matches one of them is enough."""
        return not self.day.free and not self.weekday.free

    def text(self) -> str:
        """Write it in the form that every cron reads alike: numbers only, Sunday 0."""
        fields = (self.minute, self.hour, self.day, self.month, self.weekday)
        return " ".join(_written(field, kind) for field, kind in zip(fields, _KINDS, strict=True))

    def _check(self, text: str) -> None:
        for stepped, other in ((self.day, self.weekday), (self.weekday, self.day)):
            if stepped.stepped_star and not other.free:
                raise CronError(
                    f"{text!r}: a stepped star in one day field with the other restricted: some crons run when both "
                    f"match, others when either does; write the days out: {','.join(map(str, stepped.values))}"
                )
        if not self.day.free and not self.either_day:
            longest = max(_LONGEST_MONTH.get(month, 31) for month in self.month.values)
            if min(self.day.values) > longest:
                months = ", ".join(_MONTH_NAMES[month - 1] for month in self.month.values)
                raise CronError(f"{text!r}: never runs: no day {min(self.day.values)} in {months}")


def _field(text: str, kind: _Kind, whole: str) -> Field:
    values: set[int] = set()
    for element in text.split(","):
        found = _ELEMENT.fullmatch(element)
        if found is None:
            raise CronError(f"{whole!r}: {kind.name} {element!r}: {_expected(kind)}")
        if found["star"] and element != text:
            raise CronError(f"{whole!r}: {kind.name} {text!r}: a star in a list; write its values out")
        values |= _values(found, element, kind, whole)
    taken = {value % 7 for value in values} if kind is _WEEKDAY else values
    stepped = text.startswith("*/") and text != "*/1"
    return Field(tuple(sorted(taken)), text in ("*", "*/1"), stepped)


def _values(found: re.Match[str], element: str, kind: _Kind, whole: str) -> set[int]:
    high_most = 6 if kind is _WEEKDAY else kind.high
    if found["star"]:
        return set(range(kind.low, high_most + 1, _step(found["every"], element, kind, whole)))
    low = _number(found["low"], element, kind, whole)
    if found["high"] is None:
        return {low}
    high = _number(found["high"], element, kind, whole)
    if kind is _WEEKDAY and found["high"].lower() == "sun" and low > 0:
        high = 7
    if low > high:
        raise CronError(f"{whole!r}: {kind.name} {element!r}: the range runs backwards; write it as a list")
    if low == high and found["step"]:
        raise CronError(f"{whole!r}: {kind.name} {element!r}: a step over one number, which crons read differently")
    return set(range(low, high + 1, _step(found["step"], element, kind, whole)))


def _step(text: str | None, element: str, kind: _Kind, whole: str) -> int:
    step = 1 if text is None else int(text)
    if not 1 <= step <= kind.high - kind.low + 1:
        raise CronError(
            f"{whole!r}: {kind.name} {element!r}: a step of {step}; expected 1 to {kind.high - kind.low + 1}"
        )
    return step


def _number(text: str, element: str, kind: _Kind, whole: str) -> int:
    named = kind.names.get(text.lower())
    if named is not None:
        return named
    if not text.isdecimal() or not kind.low <= int(text) <= kind.high:
        raise CronError(f"{whole!r}: {kind.name} {element!r}: found {text!r}; {_expected(kind)}")
    return int(text)


def _expected(kind: _Kind) -> str:
    names = f" or {', '.join(kind.names)}" if kind.names else ""
    return f"expected *, */step, or numbers from {kind.low} to {kind.high}{names}, ranges a-b[/step] and lists of them"


def _written(field: Field, kind: _Kind) -> str:
    if field.free:
        return "*"
    if field.stepped_star:
        return f"*/{field.values[1] - field.values[0] if len(field.values) > 1 else kind.high - kind.low + 1}"
    return ",".join(
        str(low) if low == high else f"{low}-{high}" if high - low > 1 else f"{low},{high}"
        for low, high in runs(field.values)
    )


def runs(values: Iterable[int]) -> list[tuple[int, int]]:
    """Join ascending numbers that follow each other: first and last of each run."""
    joined: list[tuple[int, int]] = []
    for value in values:
        if joined and value == joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], value)
        else:
            joined.append((value, value))
    return joined
