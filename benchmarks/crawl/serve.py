"""The server of all hosts: one process on loopback that says at its end what it saw."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from benchmarks.crawl.site import answers

Pages = dict[str, dict[str, tuple[str, bytes]]]


class Seen:
    """What was asked of each host, and when."""

    def __init__(self) -> None:
        self.status: Counter[int] = Counter()
        self.asked: dict[str, list[float]] = defaultdict(list)
        self.pages: set[tuple[str, str]] = set()
        self.most_at_once: Counter[str] = Counter()

    def told(self) -> dict[str, Any]:
        """The smallest time between two requests to a host, host by host, and counts."""
        gaps = {
            host: min((later - earlier for earlier, later in pairwise(times)), default=None)
            for host, times in self.asked.items()
        }
        times = [at for of_host in self.asked.values() for at in of_host]
        return {
            "requests": sum(self.status.values()),
            "status": {str(status): count for status, count in sorted(self.status.items())},
            "pages": len(self.pages),
            "hosts": len(self.asked),
            "seconds": max(times) - min(times) if times else 0.0,
            "gaps": gaps,
        }


class Http(asyncio.Protocol):
    """HTTP/1.1 with connections kept open; GET only, answers whole."""

    def __init__(self, pages: Pages, seen: Seen) -> None:
        self._pages, self._seen, self._held = pages, seen, b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self._held += data
        while b"\r\n\r\n" in self._held:
            head, _, self._held = self._held.partition(b"\r\n\r\n")
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        now = time.monotonic()
        line, *fields = head.decode("latin-1").split("\r\n")
        target = line.split(" ")[1]
        host = next((one.partition(":")[2].strip() for one in fields if one.lower().startswith("host:")), "")
        host = host.rpartition(":")[0] or host
        path = unquote(target.partition("?")[0])
        found = self._pages.get(host, {}).get(path)
        self._seen.asked[host].append(now)
        if found is None:
            status, kind, body, coding = 404, "text/html", b"<title>not found</title>", ""
        else:
            status, (kind, body), coding = 200, found, "Content-Encoding: gzip\r\n"
            if path != "/robots.txt":
                self._seen.pages.add((host, path))
        self._seen.status[status] += 1
        reason = "OK" if status == 200 else "Not Found"
        top = f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\n{coding}Content-Length: {len(body)}\r\n\r\n"
        self._transport.write(top.encode() + body)


async def serve(file: Path, port: int) -> dict[str, Any]:
    """Serve until SIGTERM; return what was seen."""
    pages, seen, end = answers(file), Seen(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, end.set)
    server = await loop.create_server(lambda: Http(pages, seen), "127.0.0.1", port, backlog=512)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await end.wait()
    server.close()
    return seen.told()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    print(json.dumps(asyncio.run(serve(asked.file, asked.port))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
