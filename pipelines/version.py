"""`pomona --version`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer


def _told(asked: bool) -> None:
    if asked:
        typer.echo(f"pomona {version('pomona')}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_told, is_eager=True, help="Print the version and exit.")]
"""An option that answers before any command is looked at."""
