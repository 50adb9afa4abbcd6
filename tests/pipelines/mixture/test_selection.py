"""Entries take the documents that they name, the first that fits has a document, buckets meet without overlap."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.mixture.selection import Selection, bucket, host
from pipelines.recipe_mix import Entry

ABOUT = pa.table(
    {
        "source": ["web", "web", "wiki", "code", "code"],
        "kind": ["web", "web", "web", "code", "code"],
        "language": ["en", "zh", "en", None, "python"],
        "license": [None, "CC-BY-4.0", "CC-BY-SA-4.0", "MIT", "MIT"],
        "uri": [
            "https://user@News.Example.org:8080/a?b",
            "http://example.org.evil.test/",
            "https://en.wikipedia.org/wiki/A",
            "pip:rich/a.py",
            "file:///srv/example.org/b.py",
        ],
        "quality.good": [0.9, 0.5, None, 0.1, 0.5],
    }
)
BITS = np.arange(5, dtype=np.uint64)


def taken(**fields: object) -> list[int]:
    selection = Selection([Entry.model_validate({"name": "one", **fields})])
    for part in (ABOUT.slice(0, 2), ABOUT.slice(0, 0), ABOUT.slice(2)):  # parts of a run may be empty
        selection.add(part)
    labels, counts = selection.done(BITS)
    rows = np.flatnonzero(labels == 0).tolist()
    assert counts == [len(rows)]
    return rows


def test_every_field_selects() -> None:
    assert taken() == [0, 1, 2, 3, 4]
    assert taken(sources=["wiki", "code"]) == [2, 3, 4]
    assert taken(kinds=["code"], licenses=["MIT"]) == [3, 4]
    assert taken(languages=["zh", "und"]) == [1, 3]
    assert taken(licenses=["none", "MIT"]) == [0, 3, 4]
    assert taken(domains=["example.org"]) == [0]
    assert taken(domains=["WIKIPEDIA.org", "en.wikipedia.org"]) == [2]
    assert taken(domains=["pedia.org"]) == []
    assert taken(signal="quality.good", min=0.5) == [0, 1, 4]
    assert taken(signal="quality.good", min=0.1, max=0.5) == [3]
    assert taken(signal="quality.good", percentiles=[50, 100]) == [0, 4]
    assert taken(signal="quality.good", percentiles=[0, 50]) == [1, 3]
    assert taken(kinds=["code"], signal="quality.good", percentiles=[50, 100]) == [4]


def test_hosts_are_read_from_addresses_only() -> None:
    found = host(ABOUT["uri"]).to_pylist()
    assert found == ["news.example.org", "example.org.evil.test", "en.wikipedia.org", "", ""]


def test_the_first_entry_that_fits_has_the_document() -> None:
    entries = [
        Entry(name="best", signal="quality.good", percentiles=(75, 100)),
        Entry(name="web", kinds=("web",)),
        Entry(name="again", sources=("wiki",)),
        Entry(name="rest"),
    ]
    selection = Selection(entries)
    selection.add(ABOUT)
    labels, counts = selection.done(BITS)
    assert [entries[at].name for at in labels] == ["best", "web", "web", "rest", "rest"]
    assert counts == [1, 3, 1, 5]


@settings(deadline=None)
@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=60),
    st.lists(st.integers(1, 99), max_size=4, unique=True),
    st.integers(0, 5),
)
def test_buckets_that_meet_share_nothing_and_leave_nothing_out(values: list[float], cuts: list[int], seed: int) -> None:
    value = np.round(np.array(values), 0)  # many equal ones
    bits = np.random.default_rng(seed).permutation(len(value)).astype(np.uint64)
    edges = [0, *sorted(cuts), 100]
    parts = [bucket(value, bits, (low, high)) for low, high in pairwise(edges)]
    assert (np.sum(parts, axis=0) == 1).all()
    order = np.random.default_rng(seed + 1).permutation(len(value))
    again = [bucket(value[order], bits[order], (low, high)) for low, high in pairwise(edges)]
    assert all((one[order] == two).all() for one, two in zip(parts, again, strict=True))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"min": 0.5}, "give 'signal'"),
        ({"signal": "a.b"}, "no min, max or percentiles"),
        ({"signal": "a.b", "min": 2, "max": 1}, "no document fits"),
        ({"signal": "a.b", "percentiles": [90, 10]}, "rise from low to high"),
        ({"domains": ["https://example.org/"]}, "String should match pattern"),
    ],
)
def test_a_selector_that_could_never_fit_is_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Entry.model_validate({"name": "one", **given})
