"""A take-down of a run that lies on a store: every object of the new version is searched for the text."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import run as runs
from pipelines.engines.local import LocalEngine
from pipelines.recipe import load
from pipelines.runs.folder import opened
from pipelines.runs.verify import verify
from pipelines.takedown.selection import Asked
from pipelines.takedown.takedown import takedown
from tests.takedown.crawled import distinctive, holding, page_of, site


@pytest.mark.slow
def test_gone_from_a_store_and_a_build_does_not_bring_it_back(tmp_path: Path, s3: Path) -> None:
    with site(tmp_path) as recipe:
        run = s3 / "run"
        runs.build(load(recipe), runs.Options(run), LocalEngine(1))
        page = page_of(run)
        lines = distinctive(page)
        assert {name.split("/")[0] for name in holding(run, lines)} >= {"crawl", "mixture", "steps", "tokens"}
        dry = takedown(run, Asked(urls=(page,)), dry_run=True)
        done = takedown(run, Asked(urls=(page,)))
        assert [one.records for one in dry.archives] == [one.records for one in done.archives] == [1]
        assert holding(run, lines) == {}
        assert not verify(opened(run)).faults
        runs.build(load(recipe), runs.Options(run), LocalEngine(1))
        assert holding(run, lines) == {}
