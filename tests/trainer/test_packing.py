"""Packing, phases, exclusions and prefetching: what every sequence is made of, on layouts that hypothesis draws."""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from trainer.data import IGNORE, PADDING, Ahead, Batch, MixtureLoader
from trainer.data.best_fit import best_fit_decreasing
from trainer.errors import CheckpointError, DataError

EOS = 2
PACKINGS = ("concat", "best_fit")
Make = Callable[..., Path]


def write(
    folder: Path, shards: Sequence[Sequence[int]], phases: Sequence[int] = (), excluded: Sequence[int] = ()
) -> Path:
    """A stage of documents of these lengths; token values count up from 3, so that each can be told from the others."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[int, int, int]] = []
    entries: list[dict[str, Any]] = []
    value = 3
    for number, lengths in enumerate(shards):
        tokens: list[int] = []
        for length in lengths:
            rows.append((number, len(tokens), length))
            tokens += [*range(value, value + length - 1), EOS]
            value += length - 1
        content = np.asarray(tokens, "<u4").tobytes()
        (folder / f"part-{number:05d}.bin").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        entries.append({"path": f"part-{number:05d}.bin", "sha256": digest, "tokens": len(tokens)})
    shard, start, length = zip(*rows, strict=True)
    names = [f"d{row}" for row in range(len(rows))]
    columns = [pa.array(shard, pa.int32()), pa.array(start, pa.int64()), pa.array(length, pa.int32())]
    table = pa.table([*columns, pa.array(names), pa.array(["made"] * len(rows))],
                     names=["shard", "start", "length", "id", "source"])  # fmt: skip
    pq.write_table(table, folder / "documents.parquet")
    manifest: dict[str, Any] = {
        "stage": "made", "dtype": "uint32", "vocab_size": value + 1, "eos_id": EOS,
        "tokens": sum(map(sum, shards)), "shards": entries, "tokenizer": {"path": "t.json", "sha256": "0" * 64},
    }  # fmt: skip
    if phases:
        manifest["phases"] = [{"tokens": tokens, "weights": {"made": 1.0}} for tokens in phases]
    if excluded:
        pq.write_table(pa.table({"document": pa.array(excluded, pa.int64())}), folder / "excluded.parquet")
        digest = hashlib.sha256((folder / "excluded.parquet").read_bytes()).hexdigest()
        manifest["excluded"] = {"path": "excluded.parquet", "sha256": digest, "documents": len(excluded)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """Writes a stage into a new folder."""
    count = itertools.count()

    def make(*args: Any, **options: Any) -> Path:
        return write(tmp_path / f"stage-{next(count)}", *args, **options)

    return make


lengths = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=12), min_size=1, max_size=4)
examples = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def stream(folder: Path) -> np.ndarray[Any, np.dtype[np.uint32]]:
    return np.concatenate([np.fromfile(path, "<u4") for path in sorted(folder.glob("part-*.bin"))])


def epoch(loader: MixtureLoader, number: int = 0) -> Batch:
    """All sequences of one epoch in slot order; the loader's batch is 1."""
    some = [loader.batch(step) for step in range(number * loader.windows, (number + 1) * loader.windows)]
    columns = [np.concatenate([getattr(b, name) for b in some]) for name in ("input_ids", "labels", "document_ids")]
    return Batch(0, *columns)


@examples
@given(lengths, st.integers(1, 30), st.integers(0, 2**63), st.integers(0, 3))
def test_best_fit_shows_every_token_once_an_epoch_and_labels_all_but_first_ones(
    made: Make, shards: list[list[int]], length: int, seed: int, number: int
) -> None:
    folder = made(shards)
    batch = epoch(MixtureLoader(folder, sequence_length=length, batch_size=1, seed=seed, packing="best_fit"), number)
    filled = batch.document_ids != PADDING
    shown, whole = batch.input_ids[filled], stream(folder)
    assert sorted(shown.tolist()) == sorted(whole.tolist())
    assert (batch.input_ids[~filled] == EOS).all()
    assert (batch.labels[~filled] == IGNORE).all()
    first = {int(value) for value in np.concatenate([whole[:1], whole[1:][whole[:-1] == EOS]])}
    expected = [int(v) for v in whole if int(v) not in first or v == EOS]
    alone = sum(one == 1 for one in itertools.chain(*shards))  # an end mark alone is its document's first token
    assert sorted(batch.labels[batch.labels != IGNORE].tolist()) == sorted(expected)[alone:]


@examples
@given(lengths, st.integers(1, 30), st.integers(0, 2**63))
def test_concat_shows_every_token_once_an_epoch_but_a_tail(
    made: Make, shards: list[list[int]], length: int, seed: int
) -> None:
    folder = made(shards)
    whole = stream(folder)
    if len(whole) <= length:
        with pytest.raises(DataError, match="do not fill one window"):
            MixtureLoader(folder, sequence_length=length, batch_size=1)
        return
    batch = epoch(MixtureLoader(folder, sequence_length=length, batch_size=1, seed=seed))
    used = (len(whole) - 1) // length * length
    assert sorted(batch.input_ids.ravel().tolist()) == sorted(whole[:used].tolist())
    assert (batch.document_ids != PADDING).all()


@examples
@given(lengths, st.integers(1, 30), st.integers(0, 99), st.sampled_from(PACKINGS), st.integers(0, 20))
def test_every_token_is_where_the_provenance_says(
    made: Make, shards: list[list[int]], length: int, seed: int, packing: Any, step: int
) -> None:
    folder = made(shards)
    if packing == "concat" and sum(map(sum, shards)) <= length:
        return
    loader = MixtureLoader(folder, sequence_length=length, batch_size=4, seed=seed, packing=packing, rank=1, world=2)
    batch, slots = loader.batch(step), loader.slots(step).tolist()
    rebuilt = np.full(batch.input_ids.shape, EOS)
    documents = np.full(batch.input_ids.shape, PADDING)
    table = pq.read_table(folder / "documents.parquet").to_pylist()
    for row in loader.provenance(step).to_pylist():
        shard = np.fromfile(folder / f"part-{row['shard']:05d}.bin", "<u4")
        place = slots.index(row["slot"]), slice(row["position"], row["position"] + row["tokens"])
        rebuilt[place] = shard[row["offset"] : row["offset"] + row["tokens"]]
        documents[place] = row["document"]
        assert row["offset"] == table[row["document"]]["start"] + row["document_offset"]
        assert (row["id"], row["shard"]) == (table[row["document"]]["id"], table[row["document"]]["shard"])
    np.testing.assert_array_equal(rebuilt, batch.input_ids)
    np.testing.assert_array_equal(documents, batch.document_ids)


def one_by_one(sizes: Sequence[int], capacity: int) -> list[list[int]]:
    """Best-fit decreasing as the paper describes it; of equally full bins the one that has been so for longest."""
    bins: list[list[int]] = []
    for index in sorted(range(len(sizes)), key=lambda one: (-sizes[one], one)):
        room = [capacity - sum(sizes[i] for i in held) for held in bins]
        fitting = [(left, number) for number, left in enumerate(room) if left >= sizes[index]]
        # The bin that changed last stands last.
        bins.append([*bins.pop(min(fitting)[1]), index] if fitting else [index])
    return bins


@given(st.integers(1, 24).flatmap(lambda c: st.tuples(st.just(c), st.lists(st.integers(1, c), max_size=60))))
@settings(deadline=None, max_examples=300)
def test_placing_equal_lengths_together_is_placing_them_one_by_one(drawn: tuple[int, list[int]]) -> None:
    capacity, sizes = drawn
    bins, count = best_fit_decreasing(np.asarray(sizes, np.int64), capacity)
    expected = one_by_one(sizes, capacity)
    filled = [[sizes[i] for i in np.flatnonzero(bins == number)] for number in range(count)]
    assert sorted(map(sorted, filled)) == sorted(sorted(sizes[i] for i in held) for held in expected)
    assert all(sum(held) <= capacity for held in filled)


def test_best_fit_cuts_fewer_documents_and_pads_little(token_run: Path) -> None:
    folder = token_run / "tokens" / "core"
    loader = MixtureLoader(folder, sequence_length=2048, batch_size=1, packing="best_fit")
    batch = epoch(loader)
    assert np.mean(batch.document_ids == PADDING) < 0.03
    listing = pq.read_table(folder / "documents.parquet")["length"].to_numpy()
    placed: dict[int, set[int]] = {}
    for step in range(loader.windows):
        for row in loader.provenance(step).to_pylist():
            placed.setdefault(row["document"], set()).add(row["slot"])
    assert all(len(placed[row]) == -(-int(tokens) // 2048) for row, tokens in enumerate(listing))


def test_a_kept_packing_is_the_same_and_is_used(token_run: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"sequence_length": 300, "batch_size": 4, "seed": 5, "packing": "best_fit"}
    folder = token_run / "tokens" / "core"
    fresh = MixtureLoader(folder, **options)
    for _ in range(2):
        kept = MixtureLoader(folder, **options, index=tmp_path / "packing")
        for step in range(5):
            np.testing.assert_array_equal(kept.batch(step).input_ids, fresh.batch(step).input_ids)
    (place,) = (tmp_path / "packing").iterdir()
    MixtureLoader(folder, **{**options, "sequence_length": 301}, index=tmp_path / "packing")
    assert len(list((tmp_path / "packing").iterdir())) == 2
    (place / "length.npy").write_bytes(b"not numbers")
    with pytest.raises(DataError, match=r"length\.npy: not a packing .* delete .* made again"):
        MixtureLoader(folder, **options, index=tmp_path / "packing")


@pytest.mark.slow
@examples
@given(lengths, st.integers(1, 9), st.integers(0, 99), st.sampled_from(PACKINGS), st.data())
def test_phases_follow_each_other_and_are_shuffled_in_themselves(
    made: Make, shards: list[list[int]], length: int, seed: int, packing: Any, data: st.DataObject
) -> None:
    total = sum(map(sum, shards))
    if total <= length:
        return
    cuts = data.draw(st.sets(st.integers(1, total - 1), max_size=3)) if total > 1 else set()
    borders = [0, *sorted(cuts), total]
    folder = made(shards, phases=[b - a for a, b in itertools.pairwise(borders)])
    loader = MixtureLoader(folder, sequence_length=length, batch_size=1, seed=seed, packing=packing)
    ends = np.cumsum(list(itertools.chain(*shards)))
    for number in range(2):
        slots = np.arange(number * loader.windows, (number + 1) * loader.windows)
        assert sorted(loader.sequences(slots).tolist()) == list(range(loader.windows))
        phases: list[int] = []
        for slot in slots.tolist():
            (first, *_) = loader.provenance(slot).to_pylist()
            document = first["document"]
            start = int(ends[document - 1]) if document else 0
            # A sequence is of the phase in which it starts (concat), or in which its documents do (best-fit).
            position = start + (first["document_offset"] if packing == "concat" else 0)
            phases.append(int(np.searchsorted(borders, position, side="right")) - 1)
        assert phases == sorted(phases)


def test_phases_that_do_not_sum_are_refused(made: Make) -> None:
    with pytest.raises(DataError, match="tokens is 60, but the phases sum to 59"):
        MixtureLoader(made([[20, 40]], phases=[20, 39]), sequence_length=4, batch_size=1)


def test_one_phase_is_the_order_without_phases(made: Make) -> None:
    plain, phased = made([[20, 40, 33]]), made([[20, 40, 33]], phases=[93])
    slots = np.arange(40)
    one, two = (MixtureLoader(folder, sequence_length=4, batch_size=1, seed=3) for folder in (plain, phased))
    np.testing.assert_array_equal(one.sequences(slots), two.sequences(slots))


@pytest.mark.slow
@examples
@given(lengths, st.integers(1, 30), st.sampled_from(PACKINGS), st.data())
def test_excluded_documents_are_masked_and_nothing_else_moves(
    made: Make, shards: list[list[int]], length: int, packing: Any, data: st.DataObject
) -> None:
    if sum(map(sum, shards)) <= length:
        return
    count = len(list(itertools.chain(*shards)))
    listed = data.draw(st.sets(st.integers(0, count - 1)))
    named = data.draw(st.sets(st.integers(0, count - 1)))
    options: dict[str, Any] = {"sequence_length": length, "batch_size": 1, "seed": 8, "packing": packing}
    before = MixtureLoader(made(shards), **options)
    after = MixtureLoader(made(shards, excluded=sorted(listed)), **options, excluded=named)
    for step in range(2 * before.windows):
        old, new = before.batch(step), after.batch(step)
        masked = np.isin(old.document_ids, sorted(listed | named))
        np.testing.assert_array_equal(new.document_ids, old.document_ids)
        np.testing.assert_array_equal(new.input_ids, np.where(masked, EOS, old.input_ids))
        np.testing.assert_array_equal(new.labels, np.where(masked, IGNORE, old.labels))
    after.load_state_dict({**before.state_dict(), "step": 3})
    assert after.step == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "0" * 64}, r"excluded\.parquet: the table of excluded documents has changed"),
        ({"documents": 7}, r"excluded\.parquet: 1 documents, the manifest expects 7"),
        ({"path": "no.parquet"}, r"no\.parquet: not found; the manifest names it"),
    ],
)
def test_a_changed_table_of_excluded_documents_is_refused(made: Make, change: dict[str, Any], message: str) -> None:
    folder = made([[20, 40]], excluded=[1])
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["excluded"] |= change
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=message):
        MixtureLoader(folder, sequence_length=4, batch_size=1)


def test_excluding_what_is_not_there_is_refused(made: Make) -> None:
    with pytest.raises(DataError, match=r"no document 2; documents\.parquet has rows 0\.\.1"):
        MixtureLoader(made([[20, 40]]), sequence_length=4, batch_size=1, excluded=[2])
    with pytest.raises(DataError, match="no document -1"):
        MixtureLoader(made([[20, 40]], excluded=[-1]), sequence_length=4, batch_size=1)


def test_the_same_documents_in_another_order_are_another_order(made: Make) -> None:
    state = MixtureLoader(made([[20, 40], [7, 33]]), sequence_length=4, batch_size=2).state_dict()
    for other in (made([[40, 20], [7, 33]]), made([[20, 40], [7, 33]], phases=[60, 40]), made([[20, 40, 7, 33]])):
        with pytest.raises(CheckpointError, match="order_sha256 was"):
            MixtureLoader(other, sequence_length=4, batch_size=2).load_state_dict(state)
    with pytest.raises(CheckpointError, match="packing was 'concat' when saved and is 'best_fit' now"):
        MixtureLoader(made([[20, 40], [7, 33]]), sequence_length=4, batch_size=2, packing="best_fit").load_state_dict(
            state
        )


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("world", [2, 3, 6])
def test_any_world_size_gives_the_same_global_batch(token_run: Path, packing: Any, world: int) -> None:
    options: dict[str, Any] = {"sequence_length": 50, "batch_size": 6, "seed": 7, "packing": packing}
    folder = token_run / "tokens" / "core"
    alone = MixtureLoader(folder, **options)
    ranks = [MixtureLoader(folder, **options, rank=rank, world=world) for rank in range(world)]
    for step in (0, 5, alone.windows // 6, 10**9):  # a step a thousand years on costs what the first one does
        whole, parts = alone.batch(step), [rank.batch(step) for rank in ranks]
        for name in ("input_ids", "labels", "document_ids"):
            np.testing.assert_array_equal(getattr(whole, name), np.concatenate([getattr(p, name) for p in parts]))


@pytest.mark.parametrize(("depth", "threads"), [(0, 1), (1, 1), (3, 2), (8, 4)])
def test_batches_made_ahead_are_the_loader_s(token_run: Path, depth: int, threads: int) -> None:
    loader = MixtureLoader(token_run / "tokens" / "core", sequence_length=64, batch_size=8, seed=3, packing="best_fit")
    ahead = Ahead(loader.batch, steps=20, depth=depth, threads=threads)
    for step in (0, 1, 2, 3, 9, 10, 4, 19, 25):  # in order, ahead, back, and past the last step
        batch, waited = ahead.take(step)
        np.testing.assert_array_equal(batch.input_ids, loader.batch(step).input_ids)
        assert waited >= 0
    ahead.close()
    np.testing.assert_array_equal(ahead.take(7)[0].labels, loader.batch(7).labels)
    ahead.close()


def test_an_error_in_a_thread_comes_at_its_step() -> None:
    def batch(step: int) -> Batch:
        if step == 2:
            raise DataError("part-00007.bin: the shard has changed")
        return Batch(step, *(np.zeros((1, 1), np.int64) for _ in range(3)))

    ahead = Ahead(batch, steps=9, depth=3)
    assert [ahead.take(step)[0].step for step in range(2)] == [0, 1]
    with pytest.raises(DataError, match=r"part-00007\.bin"):
        ahead.take(2)
    assert ahead.take(3)[0].step == 3
    ahead.close()


@pytest.mark.slow
def test_worker_processes_give_the_same_batches(token_run: Path) -> None:
    loader = MixtureLoader(token_run / "tokens" / "core", sequence_length=64, batch_size=4, seed=3, excluded=[1, 2])
    # It goes to another process as a path, not as a copy of the tokens.
    assert len(pickle.dumps(loader)) < 100_000
    expected = [loader.batch(step).labels for step in range(6)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for one, other in zip(expected, pool.map(loader.batch, range(6)), strict=True):
            np.testing.assert_array_equal(one, other.labels)
    workers: Any = DataLoader(loader, batch_size=None, sampler=range(6), num_workers=2, collate_fn=lambda one: one)
    for step, batch in enumerate(workers):
        assert batch.step == step
        np.testing.assert_array_equal(batch.labels, expected[step])
