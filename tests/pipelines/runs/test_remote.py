"""Runs at a URL: listed, shown, verified, cleaned, resumed and planned as those on this machine are."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.engines.local import LocalEngine
from pipelines.estimate import REUSED, RUNS, Standing, estimate
from pipelines.run import Options
from pipelines.runs.clean import SPILLED, UNREFERRED, clean, find
from pipelines.runs.files import below, disk_bytes
from pipelines.runs.folder import found, opened
from pipelines.runs.listing import describe, rows
from pipelines.runs.resume import requested, resume
from pipelines.runs.verify import CHANGED, MISSING, UNLISTED, verify
from pipelines.storage import exists, lock, read_bytes, read_json, remove_file, scratch, write_bytes
from tests.pipelines.runs import tiny
from tests.pipelines.runs.test_listing import Stopped, stop_at
from tests.pipelines.storage.conftest import s3 as s3
from tests.pipelines.storage.conftest import s3_environment as s3_environment
from tests.pipelines.storage.conftest import s3_server as s3_server

pytestmark = pytest.mark.slow


def test_a_run_on_a_store_from_its_plan_to_its_end(place: Path, s3: Path) -> None:
    out = s3 / "runs" / "tiny"

    def plan() -> dict[str, str]:
        made = estimate(tiny.recipe(filters=tiny.threshold(4.6)), Options(out), Standing("local", 1))
        return {line.step: line.state for line in made.lines}

    tiny.build(out)
    with pytest.raises(Stopped):
        tiny.build(out, filters=tiny.threshold(4.6), begun=stop_at("05-decontaminate"))
    (row,) = rows(found([s3 / "runs"]))
    assert (row.run, row.state) == (str(out), "unfinished, at 05-decontaminate")
    assert {name for name, state in plan().items() if state == REUSED} == {
        "01-extract-web", "01-extract-other", "02-measure", "03-decide", "04-dedup"
    }  # fmt: skip
    assert plan()["05-decontaminate"] == RUNS
    kept = find([out])
    assert kept.scraps == []
    assert "unfinished, at 05-decontaminate" in kept.left[0]

    resume(out, requested(out), LocalEngine(1))
    (row,) = rows(found([s3 / "runs"]))
    assert row.state == "finished"
    assert row.tokens == read_json(out / "mixture/core/manifest.json")["total_tokens"]
    assert row.bytes == disk_bytes(below(out)) > 0
    told = describe(opened(out))
    assert {step["name"]: step["reused"] for step in told["steps"]}["03-decide"] is True
    assert all(shard["from"] for mixture in told["mixtures"] for shard in mixture["shards"])
    assert verify(opened(out)).faults == []

    step = out / "steps" / next(one["folder"] for one in told["steps"] if one["name"] == "03-decide").rpartition("/")[2]
    spills = scratch(step, "x") / "run.arrow"
    spills.parent.mkdir(parents=True)
    spills.write_bytes(bytes(1000))
    with lock(out, "pomona build tiny"):
        assert "in use by pomona build tiny" in find([out]).left[0]
    gone = clean([out])
    assert {scrap.why for scrap in gone.scraps} == {UNREFERRED, SPILLED}
    assert not spills.exists()
    assert not any(exists(scrap.path / "_manifest.json") for scrap in gone.scraps)
    assert not any(below(scrap.path) for scrap in gone.scraps if scrap.why == UNREFERRED)
    assert find([out]).scraps == []
    assert verify(opened(out)).faults == []

    part, ledger = out / "mixture/core/part-00000.parquet", out / "ledger/part-00000.parquet"
    data = bytearray(read_bytes(part))
    data[len(data) // 2] ^= 1
    write_bytes(part, bytes(data))
    remove_file(ledger)
    write_bytes(out / "tokens/core/extra.bin", b"more")
    assert {(one.kind, str(one.path)) for one in verify(opened(out)).faults} == {
        (CHANGED, str(part)),
        (MISSING, str(ledger)),
        (UNLISTED, str(out / "tokens/core/extra.bin")),
    }


def test_a_local_run_with_a_store_at_a_url(place: Path, s3: Path) -> None:
    store = s3 / "steps"
    tiny.build("one", store=store)
    tiny.build("two", store=store, filters=tiny.threshold(4.6))
    assert opened(Path("two")).store == store
    assert find([], [store]).scraps == []
    assert verify(opened(Path("two"))).faults == []
    tiny.build("two", store=store)
    gone = clean([], [store])
    assert {scrap.path.name[:9] for scrap in gone.scraps} >= {"03-decide", "04-dedup-"}
    assert verify(opened(Path("one"))).faults == []
