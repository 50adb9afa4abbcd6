from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.crawl.crawler import CrawlConfig, crawl
from pipelines.robots import RobotsFile
from pipelines.sites import pydoc
from pipelines.sites.pydoc_server import left_out


def _get(address: str, path: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def test_front_gives_what_a_real_site_has() -> None:
    with pydoc.serve() as site:
        status, headers, body = _get(site.address, "/robots.txt")
        assert (status, headers["content-type"]) == (200, "text/plain; charset=utf-8")
        robots = RobotsFile.from_response(status, body)
        assert not robots.allowed("PomonaBot", site.url + "secrets.html")
        assert not robots.allowed("PomonaBot", site.url + "ctypes.html")
        assert robots.allowed("PomonaBot", site.url + "ctypes.util.html")

        status, _, index = _get(site.address, "/")
        assert status == 200
        assert b'href="textwrap.html"' in index
        assert b'href="antigravity.html"' not in index
        assert b'href="test.html"' not in index

        _, _, module = _get(site.address, "/textwrap.html")
        _, _, copy = _get(site.address, "/copies/textwrap.html")
        assert b"Wrap&nbsp;a&nbsp;single&nbsp;paragraph" in module
        assert copy.replace(b'<base href="/">', b"") == module

        assert _get(site.address, "/old/json.html")[:2][0] == 301
        assert _get(site.address, "/getpass.html")[1]["x-robots-tag"] == "noai, noimageai"
        assert _get(site.address, "/broken.html")[1]["content-encoding"] == "gzip"
        assert _get(site.address, "/missing.html")[0] == 404
        assert _get(site.address, "/antigravity.html")[0] == 404
        assert b"numpy" not in index, "installed packages are no part of the site"


def test_bare_pydoc_answers_robots_with_html_and_so_allows_everything(tmp_path: Path) -> None:
    with pydoc.serve(front=False) as site:
        status, headers, body = _get(site.address, "/robots.txt")
        assert (status, headers["content-type"]) == (200, "text/html; charset=UTF-8")
        assert b"<html" in body
        config = CrawlConfig(
            seeds=(site.url + "textwrap.html",), delay=0.0, max_pages=2, connect_to={pydoc.HOST: site.address}
        )
        summary = crawl(config, tmp_path / "out")
    assert summary.kept == 2
    assert "robots-refused" not in summary.dropped


@pytest.mark.parametrize("module", ["this", "antigravity", "idlelib.run", "test", "unittest.test.support", "_testcapi"])
def test_modules_that_act_are_left_out(module: str) -> None:
    assert left_out(module)


@pytest.mark.parametrize("module", ["json", "unittest.mock", "json.tool", "testament", "doctest"])
def test_others_are_not(module: str) -> None:
    assert not left_out(module)


def _alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes")
@pytest.mark.parametrize("how", [signal.SIGKILL, None])
def test_server_ends_with_the_process_that_started_it(how: signal.Signals | None) -> None:
    program = (
        "import sys, time\n"
        "from pipelines.sites import pydoc\n"
        "with pydoc.serve() as site:\n"
        "    print(site.address, flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    assert parent.stdout.readline().startswith(b"127.0.0.1:")
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    assert len(children) == 1
    if how is None:
        parent.stdin.close()
        assert parent.wait(60) == 0
    else:
        os.kill(parent.pid, how)
        parent.wait(60)
    deadline = time.monotonic() + 60
    while _alive(int(children[0])) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(int(children[0]))
    parent.stdout.close()


def test_temporary_folder_is_removed_and_start_failure_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pydoc.serve():
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit(3)")
    monkeypatch.setattr(pydoc, "_PROGRAM", broken)
    with pytest.raises(pydoc.SiteError, match="exit status 3"), pydoc.serve():
        pass
