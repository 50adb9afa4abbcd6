"""What Beam prints and logs, kept from the user: the driver says what matters itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager

READERS = ("beam_control_read", "read_grpc_client_inputs")
"""Threads of Beam's runner that read from a worker, and end with an error when it does."""


class NotBeams(logging.Filter):
    """Drops what Beam logs through the root logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record stays."""
        return "apache_beam" not in record.pathname


@contextmanager
def quiet() -> Generator[None]:
    """Silence Beam's own messages, and the threads that a dead worker leaves without a partner."""
    ours, root = logging.getLogger("apache_beam"), logging.getLogger()
    level, drop, hook = ours.level, NotBeams(), threading.excepthook
    # Where nobody has set up logging, a first message through the root logger would, for the whole process.
    usual = logging.lastResort if not root.handlers else None

    def heard(args: threading.ExceptHookArgs) -> None:
        if args.thread is None or args.thread.name not in READERS:
            hook(args)

    ours.setLevel(logging.CRITICAL + 1)
    root.addFilter(drop)
    if usual is not None:
        root.addHandler(usual)
    threading.excepthook = heard
    try:
        yield
    finally:
        threading.excepthook = hook
        ours.setLevel(level)
        root.removeFilter(drop)
        if usual is not None:
            root.removeHandler(usual)
