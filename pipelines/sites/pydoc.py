"""The documentation of the Python that runs Pomona, as a live site: pydoc's HTTP server with a front before it.

pydoc renders the standard library's modules, topics and keywords: several hundred real pages on every machine with a
Python. The front adds what real sites have and pydoc lacks: a robots.txt that refuses some pages, two pages at a second
address, a redirect, a broken page, a missing one and an X-Robots-Tag. Modules that act when imported are left out.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pipelines.sites.site import Site

HOST = "pydoc.test"
START_SECONDS = 30.0
"""Longest wait until the server answers; it takes about half a second."""

_PROGRAM = Path(__file__).with_name("pydoc_server.py")


class SiteError(Exception):
    """The sample site did not start; the message says why."""


@contextmanager
def serve(front: bool = True) -> Generator[Site]:
    """Serve the site in a process of its own while the context lasts.

    The process runs isolated (`-I`) and without installed packages (`-S`) in an empty temporary folder: pages are
    about the standard library only, and no file of the current folder can be imported. It ends with the context, and
    also when this process is killed: its standard input closes then, and it watches its parent.

    Args:
        front: False serves pydoc's bare server, which answers robots.txt with an HTML page and status 200.

    Raises:
        SiteError: the server did not come up within START_SECONDS.
    """
    command = [sys.executable, "-I", "-S", "-W", "ignore", str(_PROGRAM)]
    if not front:
        command.append("--bare")
    # os.html shows the environment: nothing of this machine's may stand there. No DISPLAY, and a BROWSER that does
    # nothing: no window may open, whatever a module does on import.
    environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    environment["BROWSER"] = "true"
    with tempfile.TemporaryDirectory(prefix="pomona-pydoc-") as folder:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            yield Site(f"http://{HOST}/", f"127.0.0.1:{_port(process)}")
        finally:
            _end(process)


def _port(process: subprocess.Popen[bytes]) -> int:
    if process.stdout is None:
        raise SiteError("pydoc's server has no standard output to read its port from")
    deadline = time.monotonic() + START_SECONDS
    line = b""
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0:
            raise SiteError(f"pydoc's server was not ready after {START_SECONDS:.0f} s")
        if select.select([process.stdout], [], [], left)[0]:
            piece = os.read(process.stdout.fileno(), 4096)
            if not piece:
                raise SiteError(f"pydoc's server ended before it was ready (exit status {process.wait()})")
            line += piece
    answer = json.loads(line)
    if "error" in answer:
        raise SiteError(f"pydoc's server did not start: {answer['error']}")
    return int(answer["port"])


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    try:
        process.wait(2.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
