"""The page: self-contained, escaped, accessible, true to the run, and the same however the files are batched."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from pipelines import report
from pipelines.report import folder, page
from tests.pipelines.report.sample_run import shared


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared(tmp_path_factory.getbasetemp)


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    return page.render(page.gather(run))


class Seen(HTMLParser):
    """Collects what the assertions ask about."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "br", "link", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open and self.open[-1] == "script" else self.text).append(data)


def test_needs_nothing_else(html: str) -> None:
    seen = Seen(html)
    assert not seen.open
    for tag, attributes in seen.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form")
        assert not {"src", "srcset", "action", "background", "poster", "data"} & set(attributes)
        for name, value in attributes.items():
            assert not name.startswith("on"), f"inline handler {name} on <{tag}>"
            if name in ("href", "xlink:href"):
                assert (value or "").startswith("#"), f"<{tag}> leads out of the page to {value!r}"
    style = html[html.index("<style>") : html.index("</style>")]
    assert "@import" not in style
    assert re.findall(r"url\(([^)]*)\)", style) == ["#fade", "#rest"]


def test_only_our_script_may_run(html: str) -> None:
    seen = Seen(html)
    policy = next(attributes for tag, attributes in seen.tags if "http-equiv" in attributes)["content"] or ""
    assert len(seen.scripts) == 1
    digest = base64.b64encode(hashlib.sha256(seen.scripts[0].encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


def test_hostile_text_is_shown_not_run(html: str) -> None:
    assert "topic?key=&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "&lt;script&gt;alert(&#39;unescaped&#39;)&lt;/script&gt;" in html
    assert html.count("<script") == 1


def test_accessible(html: str) -> None:
    seen = Seen(html)
    ids = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [tag for tag, _ in seen.tags].count("h1") == 1
    levels = [int(tag[1]) for tag, _ in seen.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert html.count("<table") == html.count("<caption") > 5
    for tag, attributes in seen.tags:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes.get("aria-label")
        if tag == "th":
            assert attributes.get("scope") in ("row", "col")
        if tag == "section" or attributes.get("role") == "region":
            assert attributes.get("aria-label") or attributes["aria-labelledby"] in ids
        if tag == "a":
            assert (attributes["href"] or "").removeprefix("#") in ids


def test_tells_every_sum_and_reason(run: Path, html: str) -> None:
    told = json.loads((run / "run.json").read_text())
    table = html[html.index('<table id="reasons-table">') :]
    table = table[: table.index("</table>")]
    rows = re.findall(r'tag (dropped|failed)">([^<]+)</span></td><td class="n">(\d+)', table)
    expected = [
        (verdict, reason, str(count))
        for step in told["steps"]
        for verdict in ("dropped", "failed")
        for reason, count in step[verdict].items()
    ]
    assert sorted(rows) == sorted(expected)
    assert "Every record is accounted for" in html
    for stage in ("core", "continued", "heldout"):
        assert f">{stage}" in html


def test_names_failures_refusals_leaks_and_parents(html: str) -> None:
    for wanted in (
        "http://127.0.0.1:7464/broken",
        "codec can&#39;t decode byte 0xff",
        "Disallow: /get?key=",
        "licence-not-permissive",
        "http://127.0.0.1:7464/keyword?key=if",
        "Lambda expressions (sometimes called lambda forms)",
    ):
        assert wanted in html


def test_names_tokens_for_training_that_sites_refuse(html: str) -> None:
    assert "<code>ccbot, gptbot</code></td><td>robots.txt, to tokens for training</td>" in html


def test_batch_borders_do_not_show(run: Path, html: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "BATCH_ROWS", 7)
    assert page.render(page.gather(run)) == html


@pytest.mark.slow
def test_the_same_page_under_any_hash_seed(run: Path, html: str) -> None:
    """Sets and threads have no order of their own; none may show."""
    code = "import sys; from pathlib import Path; from pipelines.report import page; "
    code += "sys.stdout.reconfigure(encoding='utf-8'); print(page.render(page.gather(Path(sys.argv[1]))), end='')"
    for seed in ("1", "2"):
        command = [sys.executable, "-c", code, str(run)]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        assert subprocess.run(command, env=environment, capture_output=True, check=True).stdout.decode() == html


def test_written_whole_into_the_run(run: Path, html: str) -> None:
    path = report.write(run)
    assert path == run / "report.html"
    assert path.read_text("utf-8") == html
    assert not list(run.glob(".report*"))
    assert len(html) < 500_000


def test_sums_that_do_not_close_are_shouted(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    told = json.loads((copy / "run.json").read_text())
    told["steps"][-1]["in"] += 1
    (copy / "run.json").write_text(json.dumps(told))
    found = page.render(page.gather(copy))
    assert "The sums do not close" in found
    assert "Every record is accounted for" not in found


def test_an_empty_run_has_a_page(tmp_path: Path) -> None:
    told = {"name": "empty", "created": "", "recipe": {}, "recipe_digest": "0" * 64, "versions": {}, "inputs": {}}
    (tmp_path / "run.json").write_text(json.dumps({**told, "steps": [], "stages": [], "crawl": {}}))
    found = page.render(page.gather(tmp_path))
    Seen(found)
    for words in ("measured no signals", "No duplicate was found", "no decontamination step", "Nothing failed"):
        assert words in found


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "not found"), ("{", "not JSON"), ("[]", "holds a list"), ('{"steps": []}', "'recipe' is missing")],
)
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(folder.RunFolderError, match=words) as error:
        report.write(tmp_path)
    assert "run.json" in str(error.value)
