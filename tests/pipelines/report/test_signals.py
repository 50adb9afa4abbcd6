"""Histograms, rule effects and nearest samples, each against a plain count over the same files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.report import samples, scale, signals, tally
from pipelines.report.folder import RunFolder
from tests.pipelines.report.sample_run import RULES, shared


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared(tmp_path_factory.getbasetemp)


@pytest.fixture(scope="module")
def found(run: Path) -> signals.Signals:
    return tally.gather(RunFolder.open(run)).signals


def _rows(run: Path, step: str, output: str) -> list[dict[str, Any]]:
    paths = sorted(run.glob(f"steps/{step}-*/{output}/*.parquet"))
    return pa.concat_tables(pq.read_table(path) for path in paths).to_pylist()


@pytest.fixture(scope="module")
def rows(run: Path) -> list[dict[str, Any]]:
    """Every measured record with its kind and the rules that dropped it."""
    kinds = {row["id"]: row["kind"] for row in _rows(run, "02-measure", "documents")}
    verdicts = {row["id"]: row for row in _rows(run, "03-decide", "ledger")}
    found = _rows(run, "02-measure", "signals")
    for row in found:
        evidence = json.loads(verdicts[row["id"]]["evidence"] or '{"failed": []}')
        row["kind"], row["failed"] = kinds[row["id"]], [rule["rule"] for rule in evidence["failed"]]
    return found


def test_every_value_is_in_its_lane(found: signals.Signals, rows: list[dict[str, Any]]) -> None:
    assert found.records == len(rows) > 100
    for signal in found.numbers:
        assert signal.total + signal.missing == len(rows)
        for kind, lane in signal.lanes.items():
            assert lane.total == sum(row["kind"] == kind for row in rows)


def test_effects_are_the_ledgers(found: signals.Signals, rows: list[dict[str, Any]]) -> None:
    effects = {effect.rule.name: effect for signal in found.numbers for effect in signal.effects}
    assert set(effects) == {rule["name"] for rule in RULES}
    assert any(effect.dropped for effect in effects.values())
    for name, effect in effects.items():
        assert effect.dropped == sum(name in row["failed"] for row in rows)
        assert effect.alone == sum(row["failed"] == [name] for row in rows)
        kinds = effect.rule.kinds
        assert effect.asked == sum(not kinds or row["kind"] in kinds for row in rows)
    for signal in found.numbers:
        names = {effect.rule.name for effect in signal.effects}
        assert signal.dropped == sum(bool(names & set(row["failed"])) for row in rows)


def test_a_tagging_rule_drops_nothing_and_says_what_it_found(found: signals.Signals) -> None:
    effect = next(effect for signal in found.numbers for effect in signal.effects if effect.rule.action == "tag")
    assert (effect.dropped, effect.outside) == (0, 1)


def test_tags_among_a_dropped_records_rules_drop_nothing(run: Path, found: signals.Signals, tmp_path: Path) -> None:
    """The ledger lists every rule that a record fails, also those that only tag."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    for path in copy.glob("steps/03-decide-*/ledger/*.parquet"):
        table = pq.read_table(path)
        told = [text and text.replace("]}", ',{"rule":"few-digits"}]}') for text in table["evidence"].to_pylist()]
        at = table.schema.get_field_index("evidence")
        pq.write_table(table.set_column(at, "evidence", pa.array(told, pa.string())), path)

    def sums(read: signals.Signals) -> list[tuple[str, int, int, int]]:
        effects = (effect for signal in read.numbers for effect in signal.effects)
        return [(effect.rule.name, effect.dropped, effect.alone, effect.outside) for effect in effects]

    assert sums(tally.gather(RunFolder.open(copy)).signals) == sums(found)


@pytest.mark.parametrize("name", [rule["name"] for rule in RULES if rule.get("action", "drop") == "drop"])
def test_samples_are_the_nearest(found: signals.Signals, rows: list[dict[str, Any]], name: str) -> None:
    signal, effect = next(
        (signal, effect) for signal in found.numbers for effect in signal.effects if effect.rule.name == name
    )
    for boundary in effect.boundaries:
        below = boundary.word == "at least"

        def nearest(values: list[float], bound: float = boundary.bound) -> list[float]:
            return sorted(set(values), key=lambda number, bound=bound: abs(number - bound))[: samples.SAMPLES]

        dropped = [
            row[signal.name]
            for row in rows
            if name in row["failed"]
            and (row[signal.name] < boundary.bound if below else row[signal.name] > boundary.bound)
        ]
        kept = [
            row[signal.name]
            for row in rows
            if not row["failed"] and (not effect.rule.kinds or row["kind"] in effect.rule.kinds)
        ]
        assert [value for value, _ in boundary.dropped.found()] == nearest(dropped)
        assert [value for value, _ in boundary.kept.found()] == nearest(kept)


def test_excerpts_are_the_texts_beginnings(run: Path, found: signals.Signals) -> None:
    ids = [
        id_ for signal in found.decided() for effect in signal.effects for _, id_ in effect.boundaries[0].kept.found()
    ]
    texts = samples.excerpts(RunFolder.open(run).documents_until("measure"), ids)
    documents = {row["id"]: row for row in _rows(run, "02-measure", "documents")}
    assert set(texts) == set(ids)
    for id_, told in texts.items():
        assert told.uri == documents[id_]["uri"]
        assert told.characters == len(documents[id_]["text"])
        assert documents[id_]["text"].lstrip().startswith(told.text.split("\n")[0][:20].strip())
    assert samples.excerpts((), ids) == {}


def test_excerpts_show_no_personal_data(run: Path) -> None:
    rows = [row for row in _rows(run, "02-measure", "documents") if "rushing@nightmare.com" in row["text"][:200]]
    if not rows:
        pytest.skip("this Python's library has no asyncore, whose first lines hold an address")
    document = rows[0]
    files = RunFolder.open(run).documents_until("measure")
    plain = samples.excerpts(files, [document["id"]])[document["id"]]
    redacted = samples.excerpts(files, [document["id"]], redact=True)[document["id"]]
    assert "rushing@nightmare.com" in plain.text
    assert "rushing@nightmare.com" not in redacted.text + redacted.head


def test_a_copy_is_told_by_its_different_lines(run: Path) -> None:
    rows = {row["uri"]: row["id"] for row in _rows(run, "02-measure", "documents")}
    stayed, copy = (rows[f"http://127.0.0.1:7464/{name}"] for name in ("keyword?key=if", "topic?key=if"))
    texts = samples.excerpts(RunFolder.open(run).documents_until("measure"), (stayed, copy))
    changed = samples.difference(texts[stayed], texts[copy])
    assert ("-", "Related help topics: TRUTHVALUE") in changed
    assert samples.difference(texts[stayed], texts[stayed]) == []


values = st.lists(st.floats(-1e9, 1e9, allow_subnormal=False), max_size=40)
bounds = st.lists(st.floats(-1e9, 1e9, allow_subnormal=False), max_size=3)


@settings(max_examples=120, deadline=None)
@given(values, bounds)
def test_every_value_has_a_place_on_the_axis(numbers: list[float], limits: list[float]) -> None:
    sample = np.array(numbers, np.float64)
    axis = scale.choose(sample, limits)
    assert axis.low < axis.high
    asked = np.array([*numbers, *limits, -1e12, 1e12])
    asked = asked[asked > -1] if axis.logarithmic else asked
    assert ((axis.position(asked) >= 0) & (axis.position(asked) <= 1)).all()
    assert ((axis.bins(asked) >= 0) & (axis.bins(asked) < scale.BINS)).all()
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks())
    assert len(axis.ticks()) <= 7


def test_no_values_still_have_an_axis() -> None:
    assert scale.choose(np.array([]), [0.5]) == scale.Scale(0.0, 1.0, False)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(1, 20))
def test_nearest_do_not_depend_on_batches(numbers: list[int], size: int) -> None:
    ids = pa.array([f"{at:032x}" for at in range(len(numbers))])
    column = np.array(numbers, np.float64)
    whole, pieces = samples.Side(), samples.Side()
    whole.offer(-1.0, column, ids)
    for at in range(0, len(numbers), size):
        pieces.offer(-1.0, column[at : at + size], ids[at : at + size])
    expected = [(float(value), f"{numbers.index(value):032x}") for value in sorted(set(numbers))[: samples.SAMPLES]]
    assert whole.found() == pieces.found() == expected
