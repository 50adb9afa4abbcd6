"""A real S3 server on this machine (moto's), and a proxy before it that does what networks and busy stores do."""

from __future__ import annotations

import http.client
import logging
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
EMPTY_LIST = (
    b"<?xml version='1.0'?><ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
    b"<KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"
)


@dataclass
class Faults:
    """What the proxy does to requests; changed while it runs. `seen` counts (method, answer's status)."""

    busy: float = 0.0
    """Share of the calls that are answered 503."""
    seed: int = 0
    truncate: int = 0
    """So many uploads to come lose their second half on the way."""
    corrupt: int = 0
    """So many uploads to come arrive with other bytes, as many."""
    cut: int = 0
    """So many reads to come end in the middle of their bytes."""
    lose: int = 0
    """So many uploads to come are stored, and the connection ends before the answer."""
    blind_lists: bool = False
    """Lists show nothing, as those of a store may for a while."""
    unconditional: bool = False
    """The store knows no conditional writes."""
    statuses: list[int] = field(default_factory=list)
    """Answers to the calls to come, one each, instead of the store's."""
    seen: Counter[tuple[str, int]] = field(default_factory=Counter)
    asked: list[str] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    def take(self, name: str) -> bool:
        """Whether this request suffers a fault that is counted down."""
        with self.guard:
            left = getattr(self, name)
            setattr(self, name, max(0, left - 1))
            return left > 0

    def next_status(self) -> int:
        """Return the answer that this request gets instead of the store's, 0 for the store's."""
        with self.guard:
            if self.statuses:
                return self.statuses.pop(0)
            return 503 if self.dice.random() < self.busy else 0


@dataclass(frozen=True)
class Proxy:
    """A running proxy."""

    url: str
    faults: Faults


@contextmanager
def moto() -> Iterator[str]:
    """Run the server on a free loopback port; yield its URL."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    """Run a proxy before a server, on a free loopback port."""
    faults = Faults()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(urlsplit(target).netloc, faults))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Proxy(f"http://127.0.0.1:{server.server_address[1]}", faults)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(target: str, faults: Faults) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            faults.asked.append(f"{self.command} {self.path}")
            if status := faults.next_status():
                self.reply(status, {"Content-Type": "application/xml"}, BUSY if status == 503 else b"")
                return
            if faults.blind_lists and self.command == "GET" and "list-type=2" in self.path:
                self.reply(200, {"Content-Type": "application/xml"}, EMPTY_LIST)
                return
            conditional = self.headers.get("If-None-Match") or self.headers.get("If-Match")
            if faults.unconditional and self.command == "PUT" and conditional:
                self.reply(501, {}, b"<Error><Code>NotImplemented</Code><Message>no</Message></Error>")
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            uploads = self.command == "PUT" and len(body) > 1
            if uploads and faults.take("truncate"):
                body = body[: len(body) // 2]
                headers = {**_unsummed(headers), "Content-Length": str(len(body))}
            elif uploads and faults.take("corrupt"):
                body, headers = bytes([body[0] ^ 1]) + body[1:], _unsummed(headers)
            lost = uploads and faults.take("lose")
            upstream = http.client.HTTPConnection(target, timeout=60)
            try:
                upstream.request(self.command, self.path, body, headers)
                found = upstream.getresponse()
                data = found.read()
            finally:
                upstream.close()
            if lost:
                self.close_connection = True
                self.connection.close()
                return
            self.reply(found.status, dict(found.getheaders()), data)

        def reply(self, status: int, headers: dict[str, str], data: bytes) -> None:
            faults.seen[self.command, status] += 1
            cut = self.command == "GET" and status in (200, 206) and len(data) > 1 and faults.take("cut")
            self.send_response(status)
            length = next((value for name, value in headers.items() if name.lower() == "content-length"), None)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[: len(data) // 2] if cut else data)
            if cut:
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815 - the names http.server calls

    return Handler


def _unsummed(headers: dict[str, str]) -> dict[str, str]:
    """Leave out the checksums with which a store that checks them would refuse; not every one does."""
    return {name: value for name, value in headers.items() if "checksum" not in name.lower()}
