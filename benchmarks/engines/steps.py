"""The same work as `bare`, as a build does it: the steps measure and decide, and the fingerprints, on an engine."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from benchmarks.engines.prepared import entries


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--engine", default="local")
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("parts", type=Path, nargs="+")
    asked = parser.parse_args()
    from dedup import DedupConfig
    from pipelines import recipe, rules
    from pipelines.engines.plan import Output, Plan
    from pipelines.engines.settings import Settings, opened
    from pipelines.ledger import Account
    from pipelines.steps import decide, measure
    from pipelines.steps.dedup_candidates import DOCUMENT_COLUMNS, Fingerprint, fingerprint_schema
    from pipelines.steps.step import Body, Finished, ReadParts, Steps, partition_shards

    loaded = recipe.load(asked.recipe)
    config = DedupConfig.preset(loaded.dedup.preset)
    files = entries(asked.parts)
    folder = asked.parts[0].parent.parent
    documents = sum(one.rows for one in files)
    given = Finished("01-extract-pages", "given", folder, Account(documents, documents), {"documents": files})

    def fingerprints(folder: Path, _: str) -> Body:
        plan = Plan(
            "04-dedup fingerprints",
            partition_shards([decided.parts("documents")]),
            ReadParts(DOCUMENT_COLUMNS),
            Fingerprint(config),
            {"fingerprints": Output(fingerprint_schema(config.bands))},
            conserve=("fingerprints",),
        )
        return Body(Account(), steps.run(plan, folder).files)

    started = time.perf_counter()
    with opened(Settings(asked.engine, asked.workers)) as engine:
        steps = Steps(asked.out, engine)
        measured = measure.run(steps, loaded.filters, [given])
        decided = decide.run(steps, loaded, rules.resolved(loaded.filters.rules), [given], measured)
        steps.perform(
            "04-dedup",
            code=("kernels", "dedup", "pipelines.steps.dedup_candidates"),
            parameters={},
            inputs=[decided.digest],
            body=fingerprints,
        )
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "documents": documents, "kept": decided.account.kept}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
