"""A list of addresses finds what is on it and what lies under it, in a few bytes an entry."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.safety import domains
from kernels.addresses import address_list, fingerprints
from kernels.strings import text_batch

ENTRIES = [
    "example.com",
    "bad.org/~user",
    "Foo.co.uk",
    "1.2.3.4",
    "site.net/a/b/",
    "com",
    "localhost",
    "# a comment",
    "",
]
ON = [
    *(
        "http://example.com",
        "https://www.example.com:80/x?y",
        "http://a.b.EXAMPLE.com./",
        "//example.com/",
        "example.com",
    ),
    *("http://user@example.com/", "http://user:pw@example.com:8080", "http://bad.org/~user/x.html", "bad.org/~user?x"),
    *("www.bad.org/~user#f", "foo.co.uk", "https://x.foo.co.uk/", "1.2.3.4", "http://1.2.3.4:80/", "site.net/a/b/c"),
    "http://example.com?http://good.org/",
]
OFF = [
    *("notexample.com", "example.com.evil.net", "http://bad.org/", "bad.org/~user2", "sub.bad.org/~user", "co.uk"),
    *("site.net/a", "", "http://", "com", "http://other.com", "http://good.org/example.com", "2.3.4", "uk", "5.2.3.4"),
    *("http://good.org/?u=http://example.com/", "localhost"),
]


def build(folder: Path, entries: list[str]) -> Path:
    (folder / "domains").write_text("\n".join(entries) + "\n")
    return folder / "domains"


def test_hosts_parents_and_paths(tmp_path: Path) -> None:
    file = build(tmp_path, ENTRIES)
    found = domains.listed(pa.array([*ON, *OFF, None]), file)
    assert [uri for uri, hit in zip([*ON, *OFF, None], found, strict=True) if hit] == ON


def test_a_compiled_list_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ut1").mkdir()
    file = build(tmp_path / "ut1", ENTRIES)
    out = tmp_path / "list.npz"
    assert domains.main([str(tmp_path / "ut1"), "--out", str(out)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["entries"] == 5
    assert told["left_out"] == 2
    uris = pa.array([*ON, *OFF])
    assert np.array_equal(domains.listed(uris, out), domains.listed(uris, file))


def test_a_list_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such list of addresses"):
        domains.read(tmp_path / "nothing.npz")
    (tmp_path / "empty").write_text("# nothing\n")
    with pytest.raises(ValueError, match="found no entries"):
        domains.read(tmp_path / "empty")
    (tmp_path / "broken.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="expected a list made by"):
        domains.read(tmp_path / "broken.npz")
    (tmp_path / "void.npz").write_bytes(b"")
    with pytest.raises(ValueError, match="expected a list made by"):
        domains.read(tmp_path / "void.npz")
    with pytest.raises(FileNotFoundError, match="neither a file nor a folder"):
        domains.build([tmp_path / "no"])


def test_a_point_in_front_says_what_lies_under(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(".example.com\n")
    found = domains.listed(
        pa.array(["http://a.example.com/", "http://example.com/", "http://ample.com/"]), tmp_path / "list"
    )
    assert found.tolist() == [1, 1, 0]


LABELS = st.text("abcxyz0-", min_size=1, max_size=4)
NAMES = st.lists(LABELS, min_size=2, max_size=4).map(".".join)


@given(st.lists(NAMES, min_size=1, max_size=20), st.lists(NAMES, max_size=20))
@settings(max_examples=200, deadline=None)
def test_it_is_what_a_set_of_names_says(entries: list[str], hosts: list[str]) -> None:
    hosts = [*hosts, *(f"a.{entry}" for entry in entries), *entries]
    keys, none = fingerprints(text_batch(pa.array(entries)))
    from kernels.addresses import listed

    found = listed(text_batch(pa.array([f"http://{host}/x" for host in hosts])), address_list(keys[~none]))
    for host, hit in zip(hosts, found, strict=True):
        labels = host.removeprefix("www.").split(".")
        parents = {".".join(labels[k:]) for k in range(len(labels) - 1)}
        assert hit == bool(parents & set(entries)), host


def test_a_million_entries_take_six_bytes_each_and_no_stranger_is_found() -> None:
    random = np.random.default_rng(0)
    numbers = random.choice(1 << 40, 1_200_000, replace=False)
    names = pa.array([f"{number:x}.org" for number in numbers.tolist()])
    keys, _ = fingerprints(text_batch(names[:1_000_000]))
    found = address_list(keys)
    assert (found.firsts.nbytes + found.rest.nbytes) / 1_000_000 <= 6
    assert domains.false_positive_rate(found) < 1e-8
    from kernels.addresses import listed

    assert listed(text_batch(names[:1_000_000]), found).all()
    assert not listed(text_batch(names[1_000_000:]), found).any()


@pytest.mark.data
def test_ut1(pomona_data: Path, tmp_path: Path) -> None:
    with gzip.open(pomona_data / "lists" / "ut1_domains.json.gz", "rt", encoding="utf-8") as file:
        lists: dict[str, list[str]] = json.load(file)
    for name in ("gambling", "dating", "warez"):
        (tmp_path / name).mkdir()
        file = build(tmp_path / name, lists[name])
        assert domains.listed(pa.array([f"https://shop.{one}/page" for one in lists[name]]), file).all()
        pages = pa.array(
            ["https://en.wikipedia.org/wiki/Gambling", "https://www.bbc.co.uk/news", "https://www.nhs.uk/"]
        )
        assert not domains.listed(pages, file).any()
