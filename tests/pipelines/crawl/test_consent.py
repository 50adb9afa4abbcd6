"""What sites say of the use of their pages, from the crawl to the decision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.crawl.crawler import CrawlConfig, crawl
from pipelines.crawl.tdmrep import MAX_BODY, TdmFile
from pipelines.document import RIGHTS_TYPE
from pipelines.extract import extract_html
from pipelines.licence_link import spdx_of
from pipelines.recipe import Consent
from pipelines.robots import RobotsFile
from pipelines.sources.crawl import CrawlSource
from pipelines.sources.record import Record, Rights
from pipelines.steps.decide import refused
from pipelines.training_consent import COMMON_TOKENS, NOTED, TrainingRules, expand

if TYPE_CHECKING:
    from .conftest import LoopbackSite

# The examples of the TDMRep report, section "TDM File on the Origin Server".
EXAMPLE = b"""[
  {"location": "/directory-a/", "tdm-reservation": 1},
  {"location": "/directory-b/html/", "tdm-reservation": 1, "tdm-policy": "https://provider.com/policies/policy.json"},
  {"location": "/directory-b/images/*.jpg", "tdm-reservation": 0}
]"""


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/directory-a/x.pdf", "tdm-reservation: 1"),
        ("/directory-b/html/p.html", "tdm-reservation: 1; tdm-policy: https://provider.com/policies/policy.json"),
        ("/directory-b/images/a/b.jpg", "tdm-reservation: 0"),
        ("/directory-b/images/a.png", ""),
        ("/Directory-a/", ""),
    ],
)
def test_the_report_s_example(path: str, said: str) -> None:
    assert TdmFile.parse(EXAMPLE).said(f"https://provider.com{path}") == said


def test_first_rule_that_matches_decides() -> None:
    rules = b'[{"location": "/a/open$", "tdm-reservation": 0}, {"location": "/a*", "tdm-reservation": "1"}]'
    file = TdmFile.parse(rules)
    assert [file.said(f"http://h.test{path}") for path in ("/a/open", "/a/opener", "/b")] == [
        "tdm-reservation: 0", "tdm-reservation: 1", "",
    ]  # fmt: skip
    assert TdmFile.parse(b'[{"location": "/p/foo-%24", "tdm-reservation": 1}]').said("http://h.test/p/foo-%24")


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"<html>", b"[" * 100_000, b'[{"location": "/", "tdm-reservation": 2}]', b"x" * (MAX_BODY + 1),
     b'[{"location": "/", "tdm-reservation": true}]', b'[{"tdm-reservation": 1}]', b"[1, null]"],
)  # fmt: skip
def test_errors_of_the_protocol_say_nothing(body: bytes) -> None:
    file = TdmFile.parse(body)
    assert file.error
    assert file.said("http://h.test/") == ""


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(st.one_of(st.none(), st.integers(), st.text(max_size=8)), lambda inner: st.lists(inner, max_size=3)),
    st.text("/*$ab%2", max_size=10),
)
def test_never_raises(value: Any, location: str) -> None:
    TdmFile.parse(json.dumps(value).encode()).said("http://h.test/a")
    TdmFile.parse(json.dumps([{"location": location, "tdm-reservation": 1, "tdm-policy": value}]).encode()).said("/a")


def test_tokens_are_asked_one_by_one() -> None:
    body = b"User-agent: *\nDisallow: /all\n\nUser-agent: GPTBot\nUser-agent: ccbot\nDisallow: /\nAllow: /open\n"
    rules = TrainingRules(RobotsFile.from_response(200, body))
    assert rules.refused("http://h.test/x") == "ccbot, gptbot"
    assert rules.refused("http://h.test/open") == "-"
    assert set(rules.refused("http://h.test/all").split(", ")) == set(NOTED)
    assert expand(["common", "Own-Extended"]) == tuple(
        sorted(token.lower() for token in (*COMMON_TOKENS, "Own-Extended"))
    )
    assert TrainingRules(RobotsFile.from_response(404, b"")).refused("http://h.test/") == "-"


@pytest.mark.parametrize(
    ("training", "tokens", "is_refused"),
    [
        ("ccbot, gptbot", ("common",), True),
        ("ccbot, gptbot", ("GPTBot",), True),
        ("ccbot, gptbot", ("bot", "gptbo", "cbot"), False),
        ("ccbot, gptbot", (), False),
        (None, ("common",), False),
    ],
)
def test_the_recipe_answers_to_tokens(training: str | None, tokens: tuple[str, ...], is_refused: bool) -> None:
    rights = pa.chunked_array([pa.array([{"training": training}, None], RIGHTS_TYPE)])
    said = refused(rights, Consent(training=tokens)).to_pylist()
    assert said == [f"robots.txt refuses {training}" if is_refused else None, None]


@pytest.mark.parametrize(
    ("link", "identifier"),
    [
        ("https://creativecommons.org/licenses/by-sa/4.0/", "CC-BY-SA-4.0"),
        ("http://creativecommons.org/licenses/by/3.0/de/", "CC-BY-3.0-DE"),
        ("https://www.creativecommons.org/licenses/by-nc-nd/4.0/deed.de", "CC-BY-NC-ND-4.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", None),
        ("https://creativecommons.org/licenses/by-all/4.0/", None),
        ("https://www.apache.org/licenses/LICENSE-2.0", "Apache-2.0"),
        ("https://example.org/licence", None),
        ("", None),
    ],
)
def test_licences_that_pages_link_to(link: str, identifier: str | None) -> None:
    assert spdx_of(link) == identifier


def test_licence_of_a_page() -> None:
    page = (
        b"<title>t</title><p>%s</p><a rel='nofollow license' href='https://creativecommons.org/licenses/by/4.0/'>l</a>"
    )
    assert extract_html(page % (b"A sentence of a page with a licence. " * 20)).license_link == (
        "https://creativecommons.org/licenses/by/4.0/"
    )


def _config(site: LoopbackSite, **fields: Any) -> dict[str, Any]:
    return {
        "seeds": ["http://h.test/"], "delay": 0.0, "adaptive_delay": 0.0, "timeout": 5.0, "max_retries": 0,
        "connect_to": {"h.test": site.address}, **fields,
    }  # fmt: skip


def _rights(source: CrawlSource, folder: Path) -> dict[str, Rights]:
    recorded = source.recorded(folder)
    outcomes = [outcome for unit in recorded.units() for outcome in recorded.read(unit)]
    return {one.uri.removeprefix("http://h.test"): one.rights for one in outcomes if isinstance(one, Record)}


def test_what_a_site_says_travels_with_its_pages(site: LoopbackSite, tmp_path: Path) -> None:
    from .conftest import Answer, page

    text = {"Content-Type": "text/plain"}
    site.answers = {
        "/robots.txt": Answer(b"User-agent: GPTBot\nUser-agent: My-Extended\nDisallow: /b\n", 200, text),
        "/.well-known/tdmrep.json": Answer(b"", 302, {"Location": "/tdm.json"}),
        "/tdm.json": Answer(b'[{"location": "/b", "tdm-reservation": 1, "tdm-policy": "https://h.test/p"}]', 200, text),
        "/": page("/b", "/bh", "/c"),
        "/b": page(text="reserved by the file"),
        "/bh": page(text="the header stands above the file"),
        "/c": page(text="nothing said"),
    }
    site.answers["/bh"].headers["TDM-Reservation"] = "0"  # type: ignore[union-attr]
    out = tmp_path / "out"
    source = CrawlSource(name="web", **_config(site))
    crawl(source.config(), out)
    rights = _rights(source, out)
    assert rights["/b"].reservation == "tdm-reservation: 1; tdm-policy: https://h.test/p"
    assert rights["/bh"].reservation == "tdm-reservation: 0"
    assert rights["/c"].reservation is None
    assert {path: said.training for path, said in rights.items()} == {
        "/": None,
        "/b": "gptbot",
        "/bh": "gptbot",
        "/c": None,
    }
    assert site.paths().count("/.well-known/tdmrep.json") == 1
    own = CrawlSource(name="web", **_config(site), training_tokens=("my-extended",))
    assert _rights(own, out)["/b"].training == "gptbot, my-extended"
    assert _rights(own, out)["/c"].training is None
    assert _rights(own, out)["/c"].robots_rule == ""
    assert [unit.digest for unit in own.recorded(out).units()] != [unit.digest for unit in source.recorded(out).units()]

    # In an update, other rights make another page, also where the page itself has not changed.
    site.answers["/robots.txt"] = Answer(b"User-agent: GPTBot\nDisallow: /c\n", 200, text)
    site.answers["/tdm.json"] = Answer(b"[]", 200, text)
    again = crawl(source.config(), out, previous=out)
    assert again.update == {"changed": 3, "unchanged": 1, "withdrawn": 3}
    rights = _rights(source, out)
    assert {path: (said.reservation, said.training) for path, said in rights.items()} == {
        "/": (None, None), "/b": (None, None), "/bh": ("tdm-reservation: 0", None), "/c": (None, "gptbot"),
    }  # fmt: skip


def test_a_file_that_robots_refuses_is_not_asked_for(site: LoopbackSite, tmp_path: Path) -> None:
    from .conftest import Answer, page

    site.answers = {
        "/robots.txt": Answer(b"User-agent: *\nDisallow: /.well-known\n", 200, {"Content-Type": "text/plain"}),
        "/": page(),
    }
    crawl(CrawlConfig.model_validate(_config(site)), tmp_path / "out")
    assert site.paths() == ["/robots.txt", "/"]
    manifest = json.loads((tmp_path / "out/crawl.json").read_text())
    assert manifest["tdmrep"] == {"http://h.test": {"status": "robots-refused"}}
