"""The process behind the sample site: pydoc's own HTTP server with a front before it. Standard library only.

Run as `python -I -S pydoc_server.py` from an empty folder (see `pydoc.serve`), never imported by Pomona: rendering a
page imports the module it describes. It writes one line of JSON with its port to standard output when it is ready,
and ends when its standard input does, so it cannot outlive the process that started it.
"""

from __future__ import annotations

import gzip
import html
import http.client
import http.server
import json
import os
import platform
import pydoc
import re
import socketserver
import sys
import sysconfig
import threading
import time

ROBOTS = b"""\
# Front of the sample site: pydoc itself has no robots.txt.
User-agent: *
Disallow: /search
Disallow: /get?
Disallow: /secrets.html
Disallow: /ctypes.
Allow: /ctypes.util.html
"""

# Importing these acts: a browser opens, text is printed, windows and tests start.
_LEFT_OUT = frozenset({"antigravity", "this", "idlelib", "turtledemo", "test", "__main__", "__phello__", "__hello__"})
_TEST_PARTS = frozenset({"test", "tests", "idle_test"})
_TEST_NAMES = ("_test", "_xxtest", "xxlimited", "xxsubtype", "_ctypes_test")

_LINK = re.compile(r'<a href="([A-Za-z0-9_.-]+)\.html(?:#[^"]*)?">(.*?)</a>', re.DOTALL)
_ADDRESS = re.compile(r"(?<= at )0x[0-9A-Fa-f]+|(?<=&nbsp;at&nbsp;)0x[0-9A-Fa-f]+")
_COPIES = ("json", "textwrap")
_EXTRA = """<p>Elsewhere on this site:
<a href="copies/json.html">a copy of json</a>, <a href="copies/textwrap.html">a copy of textwrap</a>,
<a href="old/json.html">an old address of json</a>, <a href="broken.html">a broken page</a>,
<a href="missing.html">a missing page</a>, <a href="search?key=json">a search</a></p>"""
_NOTED = {"/getpass.html": ("X-Robots-Tag", "noai, noimageai")}
_PAGE_SECONDS = 20.0


def left_out(module: str) -> bool:
    """Whether a module acts when it is imported, or belongs to the interpreter's own tests."""
    parts = module.split(".")
    return parts[0] in _LEFT_OUT or parts[0].startswith(_TEST_NAMES) or any(part in _TEST_PARTS for part in parts[1:])


_SYSTEM = html.escape(platform.platform(terse=True))
_LIBRARY = sysconfig.get_path("stdlib")


class Front(http.server.BaseHTTPRequestHandler):
    """Answers robots.txt and the special pages itself, and passes all else to pydoc's server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    upstream = 0

    def do_GET(self) -> None:
        """Answer one request."""
        path = self.path
        if path == "/robots.txt":
            self._answer(200, ROBOTS, "text/plain; charset=utf-8")
        elif path == "/old/json.html":
            self._answer(301, b"", "text/html", ("Location", "/json.html"))
        elif path == "/broken.html":
            # A gzip stream cut off in the middle, as a full disk or an impatient proxy leaves it.
            whole = gzip.compress(self._page("/gzip.html"), mtime=0)
            self._answer(200, whole[: len(whole) // 2], "text/html; charset=UTF-8", ("Content-Encoding", "gzip"))
        elif path in {f"/copies/{name}.html" for name in _COPIES}:
            page = self._page(path.removeprefix("/copies"))
            self._answer(200, page.replace(b"<head>", b'<head><base href="/">', 1), "text/html; charset=UTF-8")
        elif path.endswith(".css") or path in ("/", "/index.html", "/topics.html", "/keywords.html"):
            page = self._page(path)
            if path in ("/", "/index.html"):
                page = page.replace(b"</body>", _EXTRA.encode() + b"</body>", 1)
            self._answer(200, page, "text/css" if path.endswith(".css") else "text/html; charset=UTF-8")
        elif re.fullmatch(r"/topic\?key=[A-Za-z0-9_.+%-]+", path):
            self._answer(200, self._page(path), "text/html; charset=UTF-8")
        else:
            name = re.fullmatch(r"/([A-Za-z0-9_.-]+)\.html", path)
            if name is None or left_out(name.group(1)) or path == "/missing.html":
                self._answer(404, b"<!DOCTYPE html><title>404</title><p>No such page.", "text/html; charset=UTF-8")
            else:
                self._answer(200, self._page(path), "text/html; charset=UTF-8", *filter(None, [_NOTED.get(path)]))

    def _page(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=_PAGE_SECONDS)
        try:
            connection.request("GET", path)
            page = connection.getresponse().read().decode("utf-8", "replace")
        finally:
            connection.close()
        # What tells of this machine rather than of Python: its system and where its files lie.
        for told, instead in ((_SYSTEM, ""), (_LIBRARY, "Lib")):
            page = page.replace(told, instead)
        page = _ADDRESS.sub("0x0", page)  # of objects in memory: they would make each crawl's page another one
        linked = _LINK.sub(lambda found: found.group(2) if left_out(found.group(1)) else found.group(0), page)
        return linked.encode("utf-8", "replace")

    def _answer(self, status: int, body: bytes, content_type: str, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what is asked is in the crawl's own files."""


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """The front's server: a thread a connection, so that an idle connection keeps nobody waiting."""

    daemon_threads = True


def end_with(stdin: int, parent: int) -> None:
    """End the process when standard input is closed or the parent is gone; runs in a thread."""

    def watch_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(0)

    threading.Thread(target=watch_parent, daemon=True).start()
    while os.read(stdin, 4096):
        pass
    os._exit(0)


def main() -> None:
    """Serve until standard input ends."""
    # Modules that print, read or fail loudly on import must not reach the streams that we talk over.
    ready, stdin = os.dup(1), os.dup(0)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    threading.Thread(target=end_with, args=(stdin, os.getppid()), daemon=True).start()
    bare = sys.argv[1:] == ["--bare"]
    upstream = pydoc._start_server(pydoc._url_handler, "127.0.0.1", 0)  # type: ignore[attr-defined]
    if upstream.error:
        os.write(ready, json.dumps({"error": str(upstream.error)}).encode() + b"\n")
        return
    Front.upstream = upstream.port
    front = Server(("127.0.0.1", 0), Front)
    port = upstream.port if bare else front.server_port
    os.write(ready, json.dumps({"port": port}).encode() + b"\n")
    os.close(ready)
    front.serve_forever()


if __name__ == "__main__":
    main()
