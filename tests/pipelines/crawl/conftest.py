"""A scripted site on loopback, with any number of host names."""

from __future__ import annotations

import http.server
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message

import pytest


@dataclass
class Answer:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/html; charset=utf-8"})
    seconds: float = 0.0
    length: int | None = None
    not_modified: dict[str, str] = field(default_factory=dict)  # header fields of a 304


def page(*links: str, text: str = "a page") -> Answer:
    anchors = "".join(f'<a href="{link}">{link}</a>' for link in links)
    return Answer(f"<!DOCTYPE html><title>t</title><p>{text}</p>{anchors}".encode())


@dataclass
class LoopbackSite:
    """Answers by "host/path" or, failing that, by "/path"; every request is noted with its time.

    An answer with an ETag or Last-Modified is not sent to a client that has it: 304. `sent` notes the path, the status
    and the bytes of the body of each answer.
    """

    answers: dict[str, Answer | Callable[[int], Answer]] = field(default_factory=dict)
    requests: list[tuple[float, str, str]] = field(default_factory=list)
    sent: list[tuple[str, int, int]] = field(default_factory=list)
    address: str = ""

    def statuses(self) -> dict[str, int]:
        """How often each status was sent, robots.txt apart."""
        return dict(Counter(status for path, status, _ in self.sent if path != "/robots.txt"))

    def forget(self) -> None:
        self.requests.clear()
        self.sent.clear()

    def paths(self, host: str = "") -> list[str]:
        return [path for _, name, path in self.requests if not host or name == host]

    def times(self, host: str) -> list[float]:
        return [moment for moment, name, _ in self.requests if name == host]

    @staticmethod
    def is_known(answer: Answer, asked: Message) -> bool:
        if answer.status != 200:
            return False
        if "If-None-Match" in asked:  # RFC 9110, 13.1.3: the other condition is then not looked at
            return asked["If-None-Match"] == answer.headers.get("ETag")
        return "If-Modified-Since" in asked and asked["If-Modified-Since"] == answer.headers.get("Last-Modified")

    def answer(self, host: str, path: str) -> Answer:
        self.requests.append((time.monotonic(), host, path))
        found = self.answers.get(host + path, self.answers.get(path))
        if found is None:
            return Answer(b"none", 404)
        return found if isinstance(found, Answer) else found(self.paths(host).count(path))


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some tests are about."""


@pytest.fixture
def site() -> Iterator[LoopbackSite]:
    script = LoopbackSite()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            answer = script.answer(self.headers["Host"], self.path)
            time.sleep(answer.seconds)
            if script.is_known(answer, self.headers):
                answer = Answer(b"", 304, answer.not_modified)
            script.sent.append((self.path, answer.status, len(answer.body)))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 304:
                self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
            self.end_headers()
            self.wfile.write(answer.body)
            if answer.length is not None:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    script.address = f"127.0.0.1:{server.server_port}"
    yield script
    server.shutdown()
    server.server_close()


@pytest.fixture
def small_site(site: LoopbackSite) -> LoopbackSite:
    """Pages with an ETag, with a date, and with neither."""
    from tests.pipelines.crawl import recrawled

    recrawled.fill(site)
    return site
