"""Sites that mean harm, or were built without care: each costs a bounded amount, and the ledger says what it was."""

from __future__ import annotations

import gzip
import itertools
import json
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.crawl.crawler import CrawlConfig, CrawlSummary, crawl
from pipelines.sources.crawl import RecordedCrawl
from pipelines.sources.record import Record

Reply = Callable[[str, int], Iterator[bytes]]
"""Bytes to send for a path, asked for the n-th time; they are sent as they come."""


class Hostile:
    """A server that sends whatever bytes it likes, whenever it likes."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.other: Reply = lambda path, _: iter([_page(b"x")])
        self.asked: Counter[str] = Counter()
        self.sent = 0
        self.cookies: list[str] = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = self.rfile.readline()
                    if not line:
                        return
                    head += line
                path = head.split(b" ")[1].decode()
                outer.cookies += [line for line in head.decode().split("\r\n") if line.lower().startswith("cookie:")]
                outer.asked[path] += 1
                reply = outer.replies.get(path.split("?")[0], outer.other)
                try:
                    for piece in reply(path, outer.asked[path]):
                        self.wfile.write(piece)
                        self.wfile.flush()
                        outer.sent += len(piece)
                except OSError:
                    return  # the client had enough, which is what these tests are about

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _answer(status: str, body: bytes, *fields: str) -> bytes:
    head = "".join(f"{field}\r\n" for field in (*fields, f"Content-Length: {len(body)}", "Connection: close"))
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def _page(body: bytes, *fields: str) -> bytes:
    return _answer("200 OK", body, "Content-Type: text/html", *fields)


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    server = Hostile()
    server.replies["/robots.txt"] = lambda *_: iter([_answer("404 Not Found", b"")])
    server.replies["/.well-known/tdmrep.json"] = lambda *_: iter([_answer("404 Not Found", b"")])
    yield server
    server.close()


def _crawl(server: Hostile, out: Path, **fields: Any) -> tuple[CrawlSummary, dict[str, tuple[str, str]]]:
    values: dict[str, Any] = {
        "seeds": ["http://h.test/"], "delay": 0.0, "adaptive_delay": 0.0, "timeout": 1.0, "max_retries": 0,
        "connect_to": {"h.test": server.address}, "max_pages": 60,
    }  # fmt: skip
    summary = crawl(CrawlConfig.model_validate({**values, **fields}), out)
    rows = pq.read_table(out / "ledger.parquet").to_pylist()
    return summary, {row["uri"].removeprefix("http://h.test"): (row["verdict"], row["reason"]) for row in rows}


def _send(body: bytes, *fields: str) -> Reply:
    return lambda *_: iter([_page(body, *fields)])


def test_endless_pages(hostile: Hostile, tmp_path: Path) -> None:
    """Every page leads to ten new ones; so does a calendar, and a relative link that grows."""
    numbers = itertools.count()
    hostile.other = lambda *_: iter(
        [_page(b"".join(b"<a href=/n%d>" % next(numbers) for _ in range(10)) + b"<a href='deeper/deeper/deeper/'>")]
    )
    summary, rows = _crawl(hostile, tmp_path / "out", max_pages=40)
    assert sum(hostile.asked.values()) <= 42
    assert summary.kept == 40
    assert Counter(reason for _, reason in rows.values())["out-of-budget"] > 100
    assert json.loads((tmp_path / "out/crawl.json").read_text())["links_left"]["path-repeats"] > 0


def test_session_identifiers_in_links(hostile: Hostile, tmp_path: Path) -> None:
    """A site of three pages whose links carry another session identifier each time."""
    numbers = itertools.count()

    def reply(path: str, _: int) -> Iterator[bytes]:
        session = f"{next(numbers):032x}"
        links = (
            f"<a href='/a;jsessionid={session}'><a href='/b?PHPSESSID={session}&x=1'><a href='/?sessionid={session}'>"
        )
        yield _page(links.encode(), f"Set-Cookie: PHPSESSID={session}")

    hostile.other = reply
    summary, rows = _crawl(hostile, tmp_path / "out")
    assert set(rows) == {"/", "/a", "/b?x=1"}
    assert summary.kept == 3
    assert hostile.cookies == [], "no cookie is kept"


def test_cookie_walls_and_redirect_loops(hostile: Hostile, tmp_path: Path) -> None:
    numbers = itertools.count()

    def move(location: str, *fields: str) -> Reply:
        return lambda *_: iter([_answer("302 Found", b"", f"Location: {location}", *fields)])

    hostile.replies |= {
        "/": _send(b"<a href=wall><a href=session><a href=there><a href=r0>"),
        "/wall": move("/wall", "Set-Cookie: seen=1"),
        "/session": lambda *_: iter([_answer("302 Found", b"", f"Location: /session?PHPSESSID={next(numbers)}")]),
        "/there": move("/back"),
        "/back": move("/there"),
        "/endless": lambda *_: iter([_answer("302 Found", b"", f"Location: /endless?{next(numbers)}")]),
        "/r0": move("/endless"),
    }
    summary, rows = _crawl(hostile, tmp_path / "out", max_redirects=4)
    assert rows["/wall"] == rows["/session"] == rows["/back"] == ("failed", "redirect-loop")
    assert summary.failed == {"redirect-loop": 3, "too-many-redirects": 1}
    assert sum(hostile.asked.values()) < 15


def test_slow_drips_and_silence(hostile: Hostile, tmp_path: Path) -> None:
    def drip(*_: Any) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n"
        while True:
            time.sleep(0.05)
            yield b"x"

    def header_drip(*_: Any) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        for number in itertools.count():
            time.sleep(0.05)
            yield b"X-%d: y\r\n" % number

    def interim(*_: Any) -> Iterator[bytes]:
        while True:
            time.sleep(0.01)
            yield b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"

    def silence(*_: Any) -> Iterator[bytes]:
        time.sleep(60)
        yield b""

    names = {"/drip": drip, "/header": header_drip, "/interim": interim, "/silence": silence}
    hostile.replies |= {"/": _send(b"".join(b"<a href=%s>" % name.encode() for name in names)), **names}
    _, rows = _crawl(hostile, tmp_path / "out", timeout=0.4)  # three of them never end by themselves
    assert {rows[name] for name in names} == {("failed", "timeout")}


def test_a_host_that_does_not_answer_is_given_up(hostile: Hostile, tmp_path: Path) -> None:
    def reset(*_: Any) -> Iterator[bytes]:
        yield b""

    hostile.replies["/"] = _send(b"".join(b"<a href=/%d>" % number for number in range(50)))
    hostile.other = reset
    summary, _ = _crawl(hostile, tmp_path / "out", max_host_failures=4)
    assert summary.failed == {"bad-http": 4}
    assert summary.dropped == {"host-given-up": 46}
    assert sum(hostile.asked.values()) == 3 + 4
    hostile.other = lambda *_: iter([_answer("429 Too Many Requests", b"", "Retry-After: 3600")])
    summary, _ = _crawl(hostile, tmp_path / "busy", max_host_failures=4)
    assert (summary.failed, summary.dropped) == ({"http-status": 4}, {"host-given-up": 46})


def test_headers_beyond_measure(hostile: Hostile, tmp_path: Path) -> None:
    def endless(*_: Any) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        while True:
            yield b"X-Filler: " + b"y" * 5000 + b"\r\n"

    def one_line(*_: Any) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nX: "
        while True:
            yield b"y" * 65536

    hostile.replies |= {
        "/": _send(b"<a href=long><a href=endless><a href=line><a href=ok>"),
        "/long": _send(b"x", "X-Filler: " + "y" * 70_000),
        "/endless": endless,
        "/line": one_line,
        "/ok": _send(b"x", "X-Filler: " + "y" * 60_000),
    }
    _, rows = _crawl(hostile, tmp_path / "out", timeout=5.0)
    assert {name: rows[name][1] for name in ("/long", "/endless", "/line", "/ok")} == {
        "/long": "header-too-large", "/endless": "header-too-large", "/line": "header-too-large", "/ok": "",
    }  # fmt: skip
    assert hostile.sent < 30_000_000


@pytest.mark.timeout(150)
def test_bombs_and_endless_bodies(hostile: Hostile, tmp_path: Path) -> None:
    def endless(*_: Any) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
        while True:
            yield b"10000\r\n" + b"x" * 65536 + b"\r\n"

    hostile.replies |= {
        "/": _send(b"<a href=bomb><a href=large><a href=endless><a href=nested><a href=links>"),
        "/bomb": _send(gzip.compress(bytes(10_000_000), 9, mtime=0), "Content-Encoding: gzip"),
        "/large": _send(gzip.compress(bytes(300_000_000), 9, mtime=0), "Content-Encoding: gzip"),
        "/endless": endless,
        "/nested": _send(b"<div>" * 400_000 + b"<a href=never>"),
        "/links": _send(b"".join(b"<a href=/l%d>" % number for number in range(100_000))),
    }
    summary, rows = _crawl(hostile, tmp_path / "out", max_body_bytes=3_000_000, max_links=50, max_depth=1)
    assert rows["/endless"] == ("failed", "too-large")
    assert summary.kept == 5, "a bomb is kept as it came: unpacking it is what must not happen"
    assert "/never" not in rows
    source = RecordedCrawl(tmp_path / "out")
    outcomes = {outcome.uri: outcome for unit in source.units() for outcome in source.read(unit)}
    for name, reason in (("bomb", "decompression-bomb"), ("large", "too-large")):
        bomb = outcomes[f"http://h.test/{name}"]
        assert not isinstance(bomb, Record)
        assert bomb.reason == reason


@pytest.mark.timeout(60)
def test_hostile_robots_and_reservations(hostile: Hostile, tmp_path: Path) -> None:
    hostile.replies |= {
        "/robots.txt": _send(b"User-agent: *\n" + b"Disallow: /" + b"*a" * 5000 + b"$\n" * 2000),
        "/.well-known/tdmrep.json": _send(b"[" * 900_000),
        "/" + "a" * 1500: _send(b"x"),
    }
    summary, _ = _crawl(hostile, tmp_path / "out", seeds=["http://h.test/" + "a" * 1500])
    assert summary.kept == 1
    manifest = json.loads((tmp_path / "out/crawl.json").read_text())
    assert manifest["tdmrep"]["http://h.test"]["error"].startswith("not JSON")


def test_slow_answers_lengthen_the_delay(hostile: Hostile, tmp_path: Path) -> None:
    moments: list[tuple[float, float]] = []

    def slow(path: str, _: int) -> Iterator[bytes]:
        begun = time.monotonic()
        time.sleep(0.3)
        yield _page(b"".join(b"<a href=/%d>" % number for number in range(3)))
        moments.append((begun, time.monotonic()))

    hostile.other = slow
    _crawl(hostile, tmp_path / "out", adaptive_delay=1.0, timeout=5.0)
    gaps = [later[0] - earlier[1] for earlier, later in itertools.pairwise(moments)]
    assert len(gaps) == 3
    assert min(gaps[1:]) >= 0.1, "half of what the answers took, at least, after the second"
    assert max(gaps) < 6, "one answer's length and not many, on a machine however busy"
