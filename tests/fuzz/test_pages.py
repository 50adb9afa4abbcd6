"""Any page gives a text or a named reason: the same in a process that checks every index, alone or after others."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernels import _cache_folder  # pyright: ignore[reportPrivateUsage]
from pipelines.extract import Chain
from pipelines.ledger import KEPT
from pipelines.sources.raw import RAW_SCHEMA
from pipelines.steps.extract import ExtractTexts
from tests.fuzz.checked import Checked
from tests.fuzz.outcome import check, outcome
from tests.fuzz.pages import damaged, pages
from tests.fuzz.rounds import ROUNDS

SETTINGS = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
)


@pytest.fixture(scope="module")
def checked() -> Iterator[Checked]:
    """Compiling all kernels with checks takes a minute, once: they are kept beside those without."""
    usual = Path(_cache_folder())  # not NUMBA_CACHE_DIR, which is the folder of those without checks
    with Checked(usual.with_name(usual.name.replace("kernels", "checked"))) as process:
        yield process


def agreed(checked: Checked, html: list[bytes]) -> None:
    """Each page is read here, all of them there."""
    here = [outcome(page) for page in html]
    for result in here:
        check(result)
    assert checked.outcomes(html) == here


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("round_", ROUNDS)
@settings(SETTINGS, max_examples=120)
@given(html=st.lists(pages(), min_size=1, max_size=3))
def test_any_page(checked: Checked, round_: int, html: list[bytes]) -> None:
    agreed(checked, html)


@pytest.mark.parametrize("round_", ROUNDS)
@settings(SETTINGS, max_examples=10)
@given(html=st.lists(pages(), min_size=2, max_size=5))
def test_pages_of_a_batch_are_as_each_alone(round_: int, html: list[bytes]) -> None:
    rows = [{"id": str(at), "uri": f"u{at}", "source": "s", "content_type": "text/html", "body": page, "verdict": KEPT,
             "reason": "", "metadata": "{}"} for at, page in enumerate(html)]  # fmt: skip
    extract = ExtractTexts(Chain(engines=("auto",)))
    alone = [extract(pa.Table.from_pylist([row], RAW_SCHEMA)) for row in rows]
    assert extract(pa.Table.from_pylist(rows, RAW_SCHEMA)).equals(pa.concat_tables(alone))


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(0)
@pytest.mark.parametrize("round_", ROUNDS)
@settings(SETTINGS, max_examples=40)
@given(data=st.data())
def test_real_pages_damaged(checked: Checked, pomona_data: Path, round_: int, data: st.DataObject) -> None:
    files = sorted((pomona_data / "html_gold").glob("*/html/*.html.gz"))
    whole = gzip.decompress(data.draw(st.sampled_from(files)).read_bytes())
    low = data.draw(st.integers(0, len(whole)))
    agreed(checked, [data.draw(damaged(whole[low : low + 30_000])), data.draw(damaged(whole))])
