"""`pomona mix`: new weights over finished runs, with nothing curated again; and what entries of a recipe give."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from pipelines import remix
from pipelines.cli import app
from pipelines.engines.local import LocalEngine
from pipelines.recipe_errors import RecipeError
from pipelines.report.figures import share
from pipelines.report.folder import RunFolder
from pipelines.report.tally import gather
from pipelines.runs.folder import opened
from pipelines.runs.verify import verify
from pipelines.steps.step import RunFailed
from pipelines.why import why
from tests.pipelines.runs import tiny
from trainer.data import MixtureLoader

ENTRIES = [
    {"name": "long", "share": 0.5, "signal": "gopher.words", "percentiles": [60, 100]},
    {"name": "other", "share": 0.2, "sources": ["other"]},
    {"name": "web", "share": 0.3, "domains": ["web.test"], "epochs": 9},
]
LINEAR = {
    "interpolate": "linear",
    "pieces": 3,
    "points": [{"at": 0, "weights": {"web": 0.9, "other": 0.1}}, {"at": 1, "weights": {"web": 0.3, "other": 0.7}}],
}


def weights(**stages: Any) -> Path:
    path = Path("weights.yaml")
    path.write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    return path


def mix(*runs: str, out: str = "mixed", **stages: Any) -> Path:
    tokenizer = stages.pop("tokenizer", None)
    return remix.mix([Path(run) for run in runs], weights(**stages), Path(out), LocalEngine(1), tokenizer=tokenizer)


def manifest(run: str, stage: str = "core", kind: str = "mixture") -> dict[str, Any]:
    return json.loads(Path(run, kind, stage, "manifest.json").read_text())


def rows(run: str, stage: str = "core") -> list[dict[str, Any]]:
    return [
        row for path in sorted(Path(run, "mixture", stage).glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]


def stored(run: str, stage: str = "core") -> tuple[np.ndarray, list[dict[str, Any]]]:
    """The tokens of a stage end to end, and its documents in order, each with the entry that it counts for."""
    told = manifest(run, stage, "tokens")
    folder = Path(run, "tokens", stage)
    tokens = np.concatenate([np.fromfile(folder / shard["path"], told["dtype"]) for shard in told["shards"]])
    entry = {row["id"]: row["entry"] for row in rows(run, stage)}
    order = pq.read_table(folder / "documents.parquet").to_pylist()
    return tokens, [row | {"entry": entry[row["id"]]} for row in order]


def test_new_weights_come_out_and_nothing_is_curated_again(place: Path) -> None:
    before = tiny.tree(Path("run"))
    mix("run", core={"weights": {"web": 0.2, "other": 0.8}, "tokens": 12_000})
    told = manifest("mixed")
    assert told["realised_weights"] == pytest.approx({"web": 0.2, "other": 0.8}, abs=0.002)
    assert told["total_tokens"] == pytest.approx(12_000, abs=16)
    assert told["epoch_caps"] == {"web": 20, "other": 20}  # the run's own, which the file does not change
    assert tiny.tree(Path("run")) == before
    made = {path.name.rpartition("-")[0] for path in Path("mixed/steps").iterdir()}
    assert made == {"08-mix", "09-ledger"}
    described = json.loads(Path("mixed/run.json").read_text())
    (origin,) = described["mixed_from"]
    assert origin["run"] == "run"
    assert origin["recipe_digest"] == json.loads(Path("run/run.json").read_text())["recipe_digest"]
    assert described["recipe_digest"] == told["recipe"]["digest"] != origin["recipe_digest"]


def test_a_mixed_run_is_a_run_it_verifies_explains_and_can_be_mixed_again(place: Path) -> None:
    mix("run", core={"weights": {"web": 0.2, "other": 0.8}})
    assert verify(opened(Path("mixed"))).faults == []
    story = why(Path("mixed"), rows("mixed")[0]["id"])
    assert [verdict.step for verdict in story.records[0].verdicts][-1] == "08-mix"
    assert {"02-measure", "05-decontaminate"} <= {verdict.step for verdict in story.records[0].verdicts}
    steps = [Path(step["folder"]) for step in RunFolder.open(Path("mixed")).facts["steps"]]
    assert [step.parent == (Path("run") / "steps").resolve() for step in steps] == [True] * (len(steps) - 1) + [False]
    mix("mixed", core={"weights": {"web": 0.7, "other": 0.3}}, out="back")
    assert manifest("back")["tokens"] == manifest("run")["tokens"]
    assert [shard["sha256"] for shard in manifest("back")["shards"]] == [
        shard["sha256"] for shard in manifest("run")["shards"]
    ]


def test_entries_select_the_first_fit_counts_and_the_rows_say_for_which(place: Path) -> None:
    mix("run", core={"entries": ENTRIES, "tokens": 9_000, "sequence_length": 128})
    told = manifest("mixed")
    counted = Counter[str]()
    for row in rows("mixed"):
        counted[row["entry"]] += round(row["tokens"] * row["weight"])
    assert counted == told["tokens"]
    assert all(0 <= short <= 128 for short in told["short"].values())
    assert told["realised_weights"] == pytest.approx({"long": 0.5, "other": 0.2, "web": 0.3}, abs=0.01)
    words = {row["id"]: len(row["text"].split()) for row in rows("mixed")}
    longest = [words[row["id"]] for row in rows("mixed") if row["entry"] == "long"]
    assert min(longest) > max(words[row["id"]] for row in rows("mixed") if row["entry"] != "long") * 0.8
    assert {row["source"] for row in rows("mixed") if row["entry"] == "other"} == {"other"}
    assert told["entries"][0] == {"name": "long", "signal": "gopher.words", "percentiles": [60.0, 100.0]}
    folder = RunFolder.open(Path("mixed"))
    (stage, _) = gather(folder).of_stages(folder)
    assert {one.name: one.documents for one in stage.shares} == Counter(row["entry"] for row in rows("mixed"))
    assert stage.exact
    page = Path("mixed/report.html").read_text()
    assert "gopher.words percentiles 60 to 100" in page
    assert "| long | gopher.words percentiles 60 to 100 |" in Path("mixed/mixture/core/README.md").read_text()


def test_a_recipe_with_entries_builds_what_mixing_it_gives(place: Path) -> None:
    """The tokenizer's sample depends on the weights, so it is made of the run with entries."""
    stages = {"core": {"entries": ENTRIES, "tokens": 9_000}}
    tiny.build("entries", stages=stages)
    mix("entries", core={"weights": {"web": 0.5, "other": 0.5}}, out="other")
    mix("other", core=stages["core"], out="again")
    for kind in ("mixture", "tokens"):
        assert manifest("again", kind=kind)["shards"] == manifest("entries", kind=kind)["shards"]


def test_phases_lie_in_the_stored_order_with_the_shares_they_say(place: Path) -> None:
    mix("run", core={"schedule": LINEAR, "tokens": 60_000, "epochs": 60})
    phases = manifest("mixed", kind="tokens")["phases"]
    assert phases == manifest("mixed")["phases"]
    tokens, order = stored("mixed")
    assert sum(phase["tokens"] for phase in phases) == len(tokens) == manifest("mixed")["total_tokens"]
    assert [phase["weights"]["web"] for phase in phases] == pytest.approx([0.8, 0.6, 0.4])
    ends = np.cumsum([row["length"] for row in order])
    borders = np.cumsum([phase["tokens"] for phase in phases])
    assert set(borders) <= set(ends)  # no document lies over the border of two phases
    start = 0
    for phase, stop in zip(phases, np.searchsorted(ends, borders) + 1, strict=True):
        inside = Counter[str]()
        for row in order[start:stop]:
            inside[row["entry"]] += row["length"]
        assert {name: count / phase["tokens"] for name, count in inside.items()} == phase["realised_weights"]
        assert phase["realised_weights"] == pytest.approx(phase["weights"], abs=0.02)
        start = stop
    assert 'class="phases"' in Path("mixed/report.html").read_text()
    assert "Shares change while the stage is trained on" in Path("mixed/mixture/core/README.md").read_text()


def test_phases_cut_documents_where_they_must_and_no_token_is_lost(place: Path) -> None:
    """Shares to the token: what a phase leaves of a document begins the next, and together they are its tokens."""
    mix("run", core={"schedule": LINEAR, "tokens": 9_000, "epochs": 60, "sequence_length": 1})
    told = manifest("mixed")
    assert told["exact_to"] == 1
    assert told["cut_documents"] > 2
    for phase in told["phases"]:
        for name, weight in phase["weights"].items():
            assert abs(phase["realised_weights"][name] - weight) * phase["tokens"] <= 2
    eos = manifest("mixed", kind="tokens")["eos_id"]
    parts = Path("run").glob("steps/07-tokenize-*/tokens/*.parquet")
    known = {row["id"]: [*row["tokens"], eos] for path in parts for row in pq.read_table(path).to_pylist()}
    tokens, order = stored("mixed")
    ends = np.cumsum([row["length"] for row in order])
    borders = np.cumsum([phase["tokens"] for phase in told["phases"]])
    pieces: dict[str, list[tuple[int, int]]] = {}
    for row, end in zip(order, ends.tolist(), strict=True):
        assert tokens[end - row["length"] : end].tolist() == known[row["id"]][row["first"] :][: row["length"]]
        if row["length"] < len(known[row["id"]]):
            pieces.setdefault(row["id"], []).append((row["first"], int(np.searchsorted(borders, end))))
    assert any(len(found) > 1 for found in pieces.values())
    for found in pieces.values():
        assert found[0][0] == 0
        # The head in one phase, the rest in a later one.
        assert all(one < two and before < after for (one, before), (two, after) in pairwise(found))
    loader = MixtureLoader("mixed/tokens/core", sequence_length=16, batch_size=4)
    for step in range(4):
        for row in loader.provenance(step).to_pylist():
            own = known[row["id"]][row["document_offset"] :][: row["tokens"]]
            start = row["offset"]
            assert tokens[start : start + row["tokens"]].tolist() == own


def test_the_tokens_and_their_phases_load_in_torch_alone(place: Path) -> None:
    torch = pytest.importorskip("torch")
    mix("run", core={"schedule": LINEAR, "tokens": 60_000, "epochs": 60})
    told = manifest("mixed", kind="tokens")
    shards = [
        torch.from_file(f"mixed/tokens/core/{shard['path']}", size=shard["tokens"], dtype=getattr(torch, told["dtype"]))
        for shard in told["shards"]
    ]
    tokens = torch.cat([shard.to(torch.int64) for shard in shards])
    parts = tokens.split([phase["tokens"] for phase in told["phases"]])
    assert all(part[-1] == told["eos_id"] for part in parts)


def test_repetition_is_told_where_it_happens(place: Path) -> None:
    mix("run", core={"weights": {"web": 0.1, "other": 0.9}, "tokens": 300_000})
    told = manifest("mixed")
    assert told["epochs"]["other"] > 2
    have = told["supply"]["other"]["tokens"]
    again = told["tokens"]["other"] / have - 1
    worth = have + have * 15.39 * (1 - np.exp(-again / 15.39))
    assert told["effective_tokens"]["other"] == pytest.approx(worth, abs=1)
    assert told["repetition_cost"]["other"] == pytest.approx(1 - worth / told["tokens"]["other"], abs=1e-5)
    page = Path("mixed/report.html").read_text()
    assert share(told["repetition_cost"]["other"], 1) in page[page.index('id="stages"') :]


def test_several_runs_are_mixed_with_the_tokenizer_of_one_and_each_record_counts_once(place: Path) -> None:
    tiny.another()
    both = {"weights": {"web": 0.5, "other": 0.5}, "tokens": 20_000}
    with pytest.raises(RecipeError, match=r"second: tokenizer \w{12} of 600 tokens, run has \w{12} of 600"):
        mix("run", "second", core=both)
    mix("run", "second", core=both, tokenizer=Path("run"))
    made = json.loads(Path("mixed/run.json").read_text())
    merged = next(step for step in made["steps"] if step["name"] == "06-merge")
    kept = [
        next(
            step
            for step in json.loads(Path(run, "run.json").read_text())["steps"]
            if step["name"] == "05-decontaminate"
        )["kept"]
        for run in ("run", "second")
    ]
    assert merged["in"] == sum(kept)
    # The pages of `other`, and one of `web`, are in both.
    assert merged["dropped"]["in-another-run"] >= 1
    assert merged["kept"] + merged["dropped"]["in-another-run"] == merged["in"]
    ids = [row["id"] for row in rows("mixed")]
    assert len(ids) == len(set(ids))
    assert manifest("mixed")["realised_weights"] == pytest.approx({"web": 0.5, "other": 0.5}, abs=0.01)
    assert [one["run"] for one in made["mixed_from"]] == ["run", "second"]
    assert manifest("mixed", kind="tokens")["tokenizer"]["sha256"] == made["mixed_from"][0]["tokenizer"]
    assert manifest("mixed")["supply"]["web"]["tokens"] > manifest("run")["supply"]["web"]["tokens"]


@pytest.mark.slow
def test_a_run_in_other_partitions_gives_the_same_mixture(place: Path) -> None:
    """Beside the same run in as many partitions as the first: equal shards, and a ledger of the same rows."""
    tiny.another()
    tiny.another(out="third", partitions=3)
    both = {"weights": {"web": 0.5, "other": 0.5}, "tokens": 20_000}
    for second, out in (("second", "even"), ("third", "uneven")):
        mix("run", second, core=both, tokenizer=Path("run"), out=out)
        assert verify(opened(Path(out))).faults == []
    for kind in ("mixture", "tokens"):
        assert manifest("uneven", kind=kind)["shards"] == manifest("even", kind=kind)["shards"]
    told = [
        pq.read_table(f"{out}/ledger").sort_by([("id", "ascending"), ("step", "ascending")])
        for out in ("even", "uneven")
    ]
    assert told[0].num_rows == told[1].num_rows
    assert told[0]["id"].to_pylist() == told[1]["id"].to_pylist()
    assert len(list(Path("uneven/ledger").glob("*.parquet"))) == 2
    one = rows("uneven")[0]
    assert [verdict.step for verdict in why(Path("uneven"), one["id"]).records[0].verdicts][-1] == "08-mix"
    # And again from that mixture: what was brought together is not told twice.
    mix("uneven", core={"entries": ENTRIES, "tokens": 9_000}, out="again")
    mix("even", core={"entries": ENTRIES, "tokens": 9_000}, out="again-even")
    assert manifest("again")["shards"] == manifest("again-even")["shards"]
    assert sum(pq.read_metadata(path).num_rows for path in Path("again/ledger").glob("*.parquet")) == sum(
        pq.read_metadata(path).num_rows for path in Path("again-even/ledger").glob("*.parquet")
    )


def test_a_mixture_of_several_runs_is_mixed_again_by_signals_of_all(place: Path) -> None:
    tiny.another()
    mix("run", "second", core={"weights": {"web": 0.5, "other": 0.5}}, tokenizer=Path("second"))
    mix("mixed", core={"entries": ENTRIES, "tokens": 9_000}, out="again")
    told = manifest("again")
    assert told["realised_weights"] == pytest.approx({"long": 0.5, "other": 0.2, "web": 0.3}, abs=0.01)
    merged = sum(pq.read_metadata(path).num_rows for path in Path("mixed").glob("steps/06-merge-*/documents/*.parquet"))
    # Four tenths are the longest, whichever run measured them; a few documents are held out.
    assert told["supply"]["long"]["documents"] == pytest.approx(0.4 * merged, rel=0.25)
    tokenizer = json.loads(Path("again/run.json").read_text())["mixed_from"][0]["tokenizer"]
    assert tokenizer == manifest("second")["tokenizer"]["sha256"] != manifest("run")["tokenizer"]["sha256"]


def test_stages_that_the_file_does_not_name_stay_and_null_takes_one_out(place: Path) -> None:
    mix("run", late={"weights": {"web": 0.2, "other": 0.8}, "tokens": 5_000})
    assert manifest("mixed")["shards"] == manifest("run")["shards"]
    assert manifest("mixed", "late")["total_tokens"] == pytest.approx(5_000, abs=8)
    mix("mixed", core=None, out="again")
    assert [path.name for path in sorted(Path("again/mixture").iterdir())] == ["heldout", "late"]


def test_runs_that_do_not_go_together_are_refused_with_their_numbers(place: Path) -> None:
    core = {"weights": {"web": 1.0}}
    with pytest.raises(RecipeError, match="run: given twice"):
        mix("run", "run", core=core)
    with pytest.raises(RecipeError, match=r"--tokenizer elsewhere: not one of the runs.*valid here: run"):
        mix("run", core=core, tokenizer=Path("elsewhere"))
    with pytest.raises(RecipeError, match="a run that is mixed again, which stays as it is"):
        mix("run", core=core, out="run")
    with pytest.raises(RunFailed, match="nothing: no run here"):
        mix("nothing", core=core)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"weights": {"web": 0.5, "other": 0.6}}, "weights.yaml:.*weights sum to 1.1, expected 1; in proportion"),
    ({"weights": {"web": 0.5, "others": 0.5}}, "no source 'others'; did you mean 'other'"),
    (
        {"entries": [{"name": "a", "share": 1, "signal": "gopher.word", "min": 1}]},
        "no signal 'gopher.word' is measured; did you mean 'gopher.words'",
    ),
    ({"entries": [{"name": "a", "share": 1, "languages": ["eng"]}]}, "found 'eng', expected 'en'"),
    ({"weights": {"web": 1.0}, "toknes": 3}, "unknown field; did you mean 'tokens'"),
]


@pytest.mark.parametrize(("core", "told"), WRONG)
def test_wrong_weights_are_answered_before_anything_is_made(place: Path, core: dict[str, Any], told: str) -> None:
    done = CliRunner().invoke(app, ["mix", "run", "--weights", str(weights(core=core)), "--out", "mixed"])
    assert isinstance(done.exception, RecipeError)
    with pytest.raises(RecipeError, match=told):
        raise done.exception
    assert not Path("mixed").exists()


def test_infeasible_weights_are_refused_as_a_wrong_request_with_the_nearest_ones(place: Path) -> None:
    core = {
        "entries": [
            {"name": "web", "share": 0.5, "sources": ["web"]},
            {"name": "zh", "share": 0.5, "languages": ["zh"]},
        ],
        "tokens": 5_000,
    }
    done = CliRunner().invoke(app, ["mix", "run", "--weights", str(weights(core=core)), "--out", "mixed", "--json"])
    assert isinstance(done.exception, remix.Refused)
    (told,) = json.loads(done.output.splitlines()[-1])["refused"]
    assert "zh should give 2,500 tokens" in told["problem"]
    assert "no document fits it" in told["problem"]
    assert told["budget"] == 0
    assert told["weights"] == {"web": 1.0, "zh": 0.0}


def test_the_command_prints_what_came_out(place: Path) -> None:
    path = weights(core={"weights": {"web": 0.2, "other": 0.8}})
    done = CliRunner().invoke(app, ["mix", "run", "--weights", str(path), "--out", "mixed", "--workers", "1", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output.splitlines()[-1])["stages"] == ["core", "heldout"]
