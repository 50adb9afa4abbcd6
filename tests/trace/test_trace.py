"""From a loss to the documents of a step, and from planted garbage to the rule that drops it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from typer.testing import CliRunner

from filters import Rule
from pipelines.cli import app
from pipelines.recipe import Filters
from pipelines.trace import page
from pipelines.trace.spikes import SpikeReport, report
from tests.trace.conftest import PLANTED
from trainer.data import IGNORE
from trainer.errors import CheckpointError, RequestError
from trainer.models.storage import load_hf
from trainer.trace import Replay

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(checkpoint: Path) -> SpikeReport:
    return report(checkpoint, device="cpu", threshold=4.0)


def planted_steps(checkpoint: Path) -> list[int]:
    replay = Replay(checkpoint, device="cpu")
    loader = replay.stage.loader
    return [
        step for step in range(1, replay.stage.steps + 1) if "dump" in loader.provenance(step - 1)["source"].to_pylist()
    ]


def test_losses_of_a_step_are_the_models(checkpoint: Path, planted: Path) -> None:
    """Each document's mean as a plain forward pass over the step's batch gives it; shares sum to one."""
    replay = Replay(checkpoint, device="cpu")
    traced = replay.trace(7)
    batch = replay.stage.loader.batch(6)
    model = load_hf(checkpoint).eval()
    with torch.no_grad():
        result = model(
            torch.from_numpy(batch.input_ids),
            document_ids=torch.from_numpy(batch.document_ids),
            labels=torch.from_numpy(batch.labels),
        )
    losses = result.per_token.view(batch.labels.shape).numpy()
    for one in traced.documents:
        mine = (batch.document_ids == one.document) & (batch.labels != IGNORE)
        assert one.loss == pytest.approx(float(losses[mine].mean()), rel=1e-4)
        assert one.tokens == int((batch.document_ids == one.document).sum())
    assert sum(one.share for one in traced.documents) == pytest.approx(1)
    assert [one.loss for one in traced.documents] == sorted((one.loss for one in traced.documents), reverse=True)
    mixture = {
        row["id"]: row["text"]
        for path in sorted((planted / "mixture" / "core").glob("part-*.parquet"))
        for row in pq.read_table(path, columns=["id", "text"]).to_pylist()
    }
    for one in traced.documents:
        assert one.text.removesuffix("<eos>")[:40] in mixture[one.id]


def test_the_planted_documents_cost_most(checkpoint: Path) -> None:
    steps = planted_steps(checkpoint)
    assert steps
    worst = Replay(checkpoint, device="cpu").trace(steps[0]).documents[0]
    assert worst.source == "dump"


def test_the_report_names_source_and_rule(found: SpikeReport, planted: Path, checkpoint: Path) -> None:
    assert set(found.steps) & set(planted_steps(checkpoint))
    assert found.suspects
    assert {one.source for one in found.suspects[:2]} == {"dump"}
    assert found.sources[0].source == "dump"
    assert {one.rule for one in found.rules} == {"few-words", "long-words"}
    assert found.rules[0].rule == "long-words"
    assert found.rules[0].passed == found.rules[0].asked > 0
    proposal = found.proposals[0]
    documents = pq.read_table(planted / "tokens" / "core" / "documents.parquet").to_pandas().drop_duplicates("id")
    dumped = set(documents[documents.source == "dump"].id)
    assert proposal.by_source["dump"] == len(dumped) == len(dumped & dropped(planted, proposal.yaml))
    others = set(documents[documents.source != "dump"].id)
    assert len(dropped(planted, proposal.yaml) & others) < 0.01 * len(others)
    assert proposal.documents == len(dropped(planted, proposal.yaml) & set(documents.id))
    assert len(dumped) <= PLANTED


def dropped(run: Path, line: str) -> set[str]:
    """Ids that a proposed rule drops, decided as a build does."""
    (rule,) = yaml.safe_load(line)
    assert Filters.model_validate({"rules": [rule]}).rules
    from filters import decide

    out: set[str] = set()
    for path in sorted((run / "steps").glob("02-measure-*/signals/part-*.parquet")):
        table = pq.read_table(path)
        keep = decide(table, [Rule.model_validate(rule)])["keep"].to_numpy()
        out |= set(np.array(table["id"].to_pylist())[~keep])
    return out


def test_the_page_is_whole_and_safe(found: SpikeReport) -> None:
    text = page.render(found)
    assert "<script" not in text
    assert found.proposals[0].name in text
    assert text.count("<svg") == 2
    assert "dump" in text


def test_the_command(checkpoint: Path, planted: Path, tmp_path: Path) -> None:
    step = planted_steps(checkpoint)[0]
    done = CliRunner().invoke(app, ["trace", str(checkpoint), "--step", str(step), "--top", "3", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["documents"][0]["uri"].startswith("https://dump.test/")
    assert "gopher.mean_word_length" in told["documents"][0]["signals"]
    assert len(told["documents"]) == 3
    out = tmp_path / "spikes.html"
    done = CliRunner().invoke(app, ["trace", str(checkpoint), "--spikes", "--threshold", "4", "--html", str(out)])
    assert done.exit_code == 0, done.output
    assert "proposed, for filters.rules" in done.output
    assert out.exists()


def test_without_the_run_the_tokens_are_enough(checkpoint: Path, planted: Path, tmp_path: Path) -> None:
    """A mixture of tokens alone gives documents and sources, and says that no rule can be named."""
    shutil.copytree(planted / "tokens", tmp_path / "bare" / "tokens")
    shutil.copytree(planted / "tokenizer", tmp_path / "bare" / "tokenizer")
    made = report(checkpoint, mixture=tmp_path / "bare", device="cpu", threshold=4.0)
    assert made.suspects[0].source == "dump"
    assert not made.proposals
    assert any("no finished run" in note for note in made.notes)


def test_mistakes_are_named(checkpoint: Path, planted: Path, tmp_path: Path) -> None:
    replay = Replay(checkpoint, device="cpu")
    with pytest.raises(RequestError, match="has the steps 1 to"):
        replay.trace(100_000)
    with pytest.raises(RequestError, match="knows the stages core"):
        Replay(checkpoint, stage="anneal")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        Replay(planted / "train" / "model")
    other = tmp_path / checkpoint.name
    shutil.copytree(checkpoint, other)
    state = json.loads((other / "state.json").read_text())
    state["loader"]["order_sha256"] = "0" * 64
    (other / "state.json").write_text(json.dumps(state))
    with pytest.raises(CheckpointError, match="order_sha256 was '000"):
        Replay(other, mixture=planted)
    with pytest.raises(RequestError, match="name the run"):
        Replay(other)
    assert CliRunner().invoke(app, ["trace", str(checkpoint)]).exit_code != 0
