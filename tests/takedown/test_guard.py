"""The list that sources are held against."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.recipe_errors import RecipeError
from pipelines.takedown.guard import Guard, guard_of, hosts_of, in_domains, read

LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=6).filter(
    lambda one: one.strip("-") == one
)
HOST = st.lists(LABEL, min_size=1, max_size=4).map(".".join)


@given(st.lists(HOST, min_size=1, max_size=20), st.lists(HOST, min_size=1, max_size=5))
def test_domains_mean_themselves_and_what_is_below(hosts: list[str], domains: list[str]) -> None:
    found = in_domains(pa.array(hosts), domains).to_pylist()
    assert found == [any(host == one or host.endswith("." + one) for one in domains) for host in hosts]


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("https://News.Example.ORG/a?b#c", "news.example.org"),
        ("http://user@example.org:8080/", "example.org"),
        ("http://example.org./x", "example.org"),
        ("https://evil.test/?u=https://example.org", "evil.test"),
        ("pypi:numpy/a.py", None),
        ("note://x@y/z", "y"),
    ],
)
def test_hosts(uri: str, host: str | None) -> None:
    assert hosts_of(pa.array([uri])).to_pylist() == [host]


def test_what_is_refused_and_by_what() -> None:
    guard = Guard(urls=("http://a.test/x",), domains=("b.test",), licences=("MIT",), ids=("1" * 32,))
    table = pa.table(
        {
            "id": ["0" * 32, "1" * 32, "2" * 32, "3" * 32, "4" * 32],
            "uri": [
                "https://a.test/x/",
                "http://c.test/",
                "https://www.b.test/1",
                "http://c.test/2",
                "http://c.test/3",
            ],
            "license": [None, None, None, "mit", "Apache-2.0"],
        }
    )
    assert guard.refused(table).to_pylist() == [
        "url https://a.test/x/",
        f"id {'1' * 32}",
        "domain www.b.test",
        "licence mit",
        None,
    ]


def test_a_list_as_text(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# from the legal department\nurl http://a.test/x\ndomain b.test\n\nlicence MIT\n")
    guard = guard_of(tmp_path, path)
    assert guard.said == ["url http://a.test/x", "domain b.test", "licence MIT"]
    assert guard.digest == Guard(("http://a.test/x",), ("b.test",), ("MIT",)).digest


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("url\n", "list.txt:1: found 'url', expected url, domain, licence or id and a value"),
        ("domain a.test\nsite b.test\n", "list.txt:2: found 'site b.test'"),
        ('{"takedowns": [{"versoin": 2}]}', "takedowns.0"),
    ],
)
def test_a_damaged_list_is_named(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "list.txt").write_text(content)
    with pytest.raises(RecipeError) as error:
        read(tmp_path / "list.txt")
    assert told in str(error.value)


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        read(tmp_path / "none.txt")
