from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from pipelines.crawl.canonical import left_to
from pipelines.crawl.crawler import CrawlConfig, crawl
from pipelines.crawl.scope import Scope, trap
from pipelines.recipe import Consent
from pipelines.sources import SourceConfig
from pipelines.sources.crawl import RecordedCrawl

if TYPE_CHECKING:
    from .conftest import LoopbackSite


@pytest.mark.parametrize(
    ("url", "held"),
    [
        ("http://h.test/docs/a", True),
        ("https://h.test:8443/docs/a", True),
        ("http://h.test/other", False),
        ("http://h.test/docs/a.pdf", False),
        ("http://h.test/docs/a.pdf?x", True),
        ("http://h.test/docs/?print=1", False),
        ("http://sub.wild.test/docs/", True),
        ("http://wild.test/docs/", True),
        ("http://notwild.test/docs/", False),
        ("http://sub.h.test/docs/", False),
        ("http://two.test/v2/x", True),
        ("http://two.test/v1/x", False),
    ],
)
def test_hosts_and_patterns(url: str, held: bool) -> None:
    scope = Scope(["h.test", "*.wild.test", "two.test"], ["/docs/", "two.test/v2/"], ["/*.pdf$", "/*print="])
    assert scope.holds(url) is held


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/a/b/c", ""),
        ("/a/a/b/b", ""),
        ("/a/a/a", "path-repeats"),
        ("/x/a/b/a/b/a/b/c", "path-repeats"),
        ("/x/a/b/a/b/c", ""),
        ("//////", ""),
        ("/" + "/".join(map(str, range(20))), ""),
        ("/" + "/".join(map(str, range(21))), "path-too-deep"),
        ("/a?/b/b/b/b/b", ""),
    ],
)
def test_traps(path: str, reason: str) -> None:
    assert trap("http://h.test" + path) == reason


@pytest.mark.parametrize("fields", [{"hosts": ["http://a.test/"]}, {"exclude": ["/"]}, {"max_sitemaps": 5000}])
def test_mistakes(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CrawlConfig.model_validate({"seeds": ["http://h.test/"], **fields})


def test_the_examples_in_the_docs_are_right() -> None:
    page = (Path(__file__).parents[3] / "docs/crawl.md").read_text()
    sources = TypeAdapter(SourceConfig)
    for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        value = yaml.safe_load(block)
        for source in value.get("sources", ()):
            sources.validate_python(source)
        Consent.model_validate(value.get("consent", {}))


def test_new_fields_leave_old_digests_alone() -> None:
    plain = CrawlConfig(seeds=("http://h.test/",))
    assert plain.digest() == CrawlConfig(seeds=("http://h.test/",), workers=4, canonical=True).digest()
    assert plain.digest() != CrawlConfig(seeds=("http://h.test/",), canonical=False).digest()


def _config(site: LoopbackSite, **fields: Any) -> CrawlConfig:
    hosts = ("h.test", "two.test", "sub.two.test")
    values: dict[str, Any] = {
        "seeds": ["http://h.test/"], "delay": 0.0, "adaptive_delay": 0.0, "tdmrep": False, "timeout": 5.0,
        "connect_to": dict.fromkeys(hosts, site.address), "max_retries": 0,
    }  # fmt: skip
    return CrawlConfig.model_validate({**values, **fields})


def _rows(folder: Path) -> dict[str, tuple[str, str]]:
    table = pq.read_table(RecordedCrawl(folder).ledger)
    return {row["uri"].removeprefix("http://h.test"): (row["verdict"], row["reason"]) for row in table.to_pylist()}


def _evidence(folder: Path, url: str) -> dict[str, Any]:
    rows = pq.read_table(RecordedCrawl(folder).ledger).to_pylist()
    return next(json.loads(row["evidence"]) for row in rows if row["uri"] == url)


@pytest.fixture
def chain(site: LoopbackSite) -> LoopbackSite:
    """A host with twelve pages, each linking to the next ones, and a second one with subdomains."""
    from .conftest import page

    site.answers = {f"h.test/{n}": page(*(f"/{m}" for m in range(n + 1, n + 4)), text="x" * 1000) for n in range(12)}
    site.answers["/"] = page("/0", "/1", "http://two.test/a", "http://sub.two.test/b")
    site.answers["/a"] = site.answers["/b"] = page()
    return site


def test_subdomains(chain: LoopbackSite, tmp_path: Path) -> None:
    crawl(_config(chain, hosts=["*.two.test"], max_depth=1), tmp_path / "out")
    assert {"http://two.test/a", "http://sub.two.test/b"} < set(_rows(tmp_path / "out"))


def test_patterns_keep_pages_out_and_count_them(chain: LoopbackSite, tmp_path: Path) -> None:
    crawl(_config(chain, exclude=["/1$"], include=["/0", "/1", "/2", "/3"]), tmp_path / "out")
    assert set(_rows(tmp_path / "out")) == {"/", "/0", "/2", "/3"}, "the seed, and what the patterns let in"
    assert json.loads((tmp_path / "out/crawl.json").read_text())["links_out_of_scope"] > 3


@pytest.mark.parametrize(
    ("budget", "asked"),
    [({"max_host_pages": 4}, 4), ({"max_host_bytes": 3000}, 4), ({"max_bytes": 3000}, 4), ({"max_pages": 5}, 5)],
)
def test_budgets_are_kept_and_named(chain: LoopbackSite, tmp_path: Path, budget: dict[str, int], asked: int) -> None:
    summary = crawl(_config(chain, **budget), tmp_path / "out")
    assert sum(path != "/robots.txt" for path in chain.paths()) == summary.kept == asked
    over = [url for url, said in _rows(tmp_path / "out").items() if said == ("dropped", "out-of-budget")]
    assert over
    ((name, limit),) = budget.items()
    assert _evidence(tmp_path / "out", f"http://h.test{over[0]}")[name] == limit


def test_time_is_a_budget(chain: LoopbackSite, tmp_path: Path) -> None:
    for answer in chain.answers.values():
        answer.seconds = 0.2  # type: ignore[union-attr]
    summary = crawl(_config(chain, max_seconds=1.0), tmp_path / "out")
    assert 1 <= summary.kept <= 5
    assert summary.dropped["out-of-budget"] >= 1


def test_pages_give_way_to_kept_ones_only() -> None:
    named = {"a": "b", "b": "c", "lost": "gone", "r2": "r1", "r1": "r2", "r3": "r1", "on": "lost"}
    assert left_to(named, {"c"}) == {"a": "c", "b": "c", "r2": "r1", "r3": "r1", "on": "lost"}


def test_second_addresses_are_left_to_the_canonical_one(site: LoopbackSite, tmp_path: Path) -> None:
    from .conftest import Answer, page

    def names(link: str, text: str, **headers: str) -> Answer:
        tag = f"<link rel=canonical href='{link}'>" if not headers else ""
        return Answer(f"{tag}<p>{text}".encode(), 200, {"Content-Type": "text/html", "ETag": f'"{text}"', **headers})

    site.answers = {
        "/": page("/copy?utm=1", "/header", "/page", "/orphan", "/unlinked-copy"),
        "/page": page(text="the page"),
        "/copy?utm=1": names("/page", "copy"),
        "/header": names("", "by header", Link='</page>; rel="canonical"'),
        "/orphan": names("/missing", "orphan"),
        "/unlinked-copy": names("/unlinked", "second address"),
        "/unlinked": page(text="found by its copy"),
    }
    out = tmp_path / "out"
    summary = crawl(_config(site), out)
    rows = _rows(out)
    assert {url for url, said in rows.items() if said == ("dropped", "not-canonical")} == {
        "/copy?utm=1", "/header", "/unlinked-copy",
    }  # fmt: skip
    assert rows["/orphan"] == ("kept", ""), "what it names is missing: nothing is lost"
    assert rows["/unlinked"] == ("kept", "")
    assert _evidence(out, "http://h.test/header")["canonical"] == "http://h.test/page"

    def read() -> set[str]:
        source = RecordedCrawl(out)
        return {outcome.uri for unit in source.units() for outcome in source.read(unit)}

    assert len(read()) == summary.kept == 4
    size = sum(path.stat().st_size for path in (out / "warc").iterdir())
    site.forget()
    units = {unit.name: unit.digest for unit in RecordedCrawl(out).units()}
    again = crawl(_config(site), out, previous=out)
    assert again.update == {"unchanged": 4, "withdrawn": 0}
    assert {unit.name: unit.digest for unit in RecordedCrawl(out).units()} == units
    assert sum(path.stat().st_size for path in (out / "warc").iterdir()) == size, "second addresses are not stored anew"
    assert site.statuses()[304] == 4
    del site.answers["/page"]
    last = crawl(_config(site), out, previous=out)
    assert last.update == {"unchanged": 5, "withdrawn": 1}, "what gave way to it comes back"
    assert {"http://h.test/copy?utm=1", "http://h.test/header"} < read()
    crawl(_config(site, canonical=False), tmp_path / "all")
    assert "not-canonical" not in {reason for _, reason in _rows(tmp_path / "all").values()}
