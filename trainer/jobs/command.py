"""The command line of a job: the options that were given, what may not travel in it, and which program runs it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from trainer.errors import RequestError

PLACES = ("--out", "--crawl", "--store", "--run", "--mixture")
"""Options that name a folder which a job reads or writes."""

Options = Mapping[str, object]
"""Option to value: None, False and an empty list leave it out, True makes a flag, a list repeats it."""

_USER_INFO = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s]*@", re.IGNORECASE)
_SECRET_FIELD = re.compile(
    r"(?:^|[._-])(?:passw(?:or)?d|secret|token|credentials?|(?:api|access)[_-]?key)=", re.IGNORECASE
)


def words(options: Options) -> list[str]:
    """Write options as words of a command line, in their order."""
    written: list[str] = []
    for name, value in options.items():
        if value is True:
            written.append(name)
        elif isinstance(value, list | tuple):
            for one in value:
                written += [name, str(one)]
        elif value is not None and value is not False:
            written += [name, str(value)]
    return written


def refuse_secrets(options: Options) -> None:
    """Refuse what should not be read in a job's record, a cluster's list of jobs or a crontab.

    Raises:
        RequestError: a user name or password in an address, or a `--set` of a field that is named like a secret.
    """
    for name, word in _pairs(options):
        if _USER_INFO.search(word):
            raise RequestError(
                f"{name}: holds an address with a user name or password, which everyone who sees the job could read; "
                "give credentials in the environment of where it runs (for s3: AWS_ACCESS_KEY_ID, "
                "AWS_SECRET_ACCESS_KEY or a profile)"
            )
        if name == "--set" and _SECRET_FIELD.search(word):
            raise RequestError(
                f"--set {word.partition('=')[0]}=…: sets what looks like a secret, which everyone who sees the job "
                "could read; give it in the environment of where it runs"
            )


def refuse_relative(options: Options, why: str) -> None:
    """Refuse folders that mean another place where the job runs. Raises RequestError."""
    for name in PLACES:
        value = options.get(name)
        if value is not None and "://" not in str(value) and not Path(str(value)).is_absolute():
            raise RequestError(
                f"{name} {value}: {why}; give an address such as s3://bucket/{Path(str(value)).name}, or the absolute "
                "path of a folder that is the same on all its machines"
            )


def program() -> list[str]:
    """Return how this installation's `pomona` is started, with absolute paths."""
    beside = Path(sys.executable).absolute().parent / "pomona"
    return [str(beside)] if beside.exists() else [str(Path(sys.executable).absolute()), "-m", "pipelines.cli"]


def _pairs(options: Options) -> list[tuple[str, str]]:
    written: list[tuple[str, str]] = []
    for name, value in options.items():
        values = value if isinstance(value, list | tuple) else [value]
        written += [(name, str(one)) for one in values if one is not None]
    return written
