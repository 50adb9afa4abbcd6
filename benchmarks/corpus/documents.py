"""The text of a corpus, extracted once: input of the runs that leave extraction out."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.recipe import fineweb


def extracted(corpus: Path) -> tuple[Path, list[Path]]:
    """Extract a corpus where that is not done; return the store that holds it, and the documents by partition.

    `pomona build --store` on a copy of the store does everything but the extraction.
    """
    from pipelines import recipe
    from pipelines.engines.settings import Settings, opened
    from pipelines.steps import extract
    from pipelines.steps.step import Steps

    loaded = recipe.load(fineweb(corpus, corpus / "recipe.yaml"))
    source = loaded.sources[0]
    assert source.type == "warc"
    store = corpus / "steps"
    with opened(Settings("local", len(os.sched_getaffinity(0)))) as engine:
        done = extract.run(Steps(store, engine), source.name, source, source.model_dump(mode="json"), loaded.partitions)
    return store, done.parts("documents")
