"""Libraries that only some sources need: imported when they are, with a line that says how to get them."""

from __future__ import annotations

import importlib
from typing import Any


class MissingExtra(Exception):
    """A library of the extra `code` is not installed; the message says how to install it."""


def extra(module: str, package: str) -> Any:
    """Import a module of the extra `code`.

    Raises:
        MissingExtra: its package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise MissingExtra(
            f"the source `code` needs the package {package}; install it with  pip install -c constraints.txt '.[code]'"
        ) from error
