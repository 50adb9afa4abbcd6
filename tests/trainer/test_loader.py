from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tests.trainer.conftest import real_texts, train_tokenizer, write_stage
from trainer.data import IGNORE, MixtureLoader, TokenStage
from trainer.data.order import permute
from trainer.errors import CheckpointError, DataError


def all_tokens(folder: Path) -> np.ndarray:
    """Every token of a stage, read without the code under test."""
    manifest = json.loads((folder / "manifest.json").read_text())
    kind = "<u2" if manifest["dtype"] == "uint16" else "<u4"
    return np.concatenate([np.fromfile(folder / s["path"], kind) for s in manifest["shards"]]).astype(np.int64)


@given(size=st.integers(1, 3000), seed=st.integers(0, 2**63), epoch=st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_order_is_a_permutation(size: int, seed: int, epoch: int) -> None:
    places = permute(np.arange(size), size, seed, epoch)
    assert sorted(places.tolist()) == list(range(size))
    middle = size // 2  # any place can be asked for alone
    assert permute(np.array([middle]), size, seed, epoch)[0] == places[middle]


def test_order_depends_on_seed_and_epoch_and_looks_random() -> None:
    size = 20_000
    index = np.arange(size)
    a, b, c = permute(index, size, 0, 0), permute(index, size, 1, 0), permute(index, size, 0, 1)
    for x, y in ((a, b), (a, c), (b, c), (a, index)):
        assert np.mean(x == y) < 0.001
        assert abs(np.corrcoef(x, y)[0, 1]) < 0.03  # 4 standard errors of independent orders
    # Neighbours land as far apart as two random places do: size/3 on average.
    assert np.mean(np.abs(np.diff(a))) == pytest.approx(size / 3, rel=0.03)


def permuted_place(index: int, size: int, seed: int, epoch: int) -> int:
    """The same network in Python's unbounded integers."""
    m64 = 2**64 - 1

    def mix(x: int) -> int:
        x = (x + 0x9E3779B97F4A7C15) & m64
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & m64
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & m64
        return x ^ (x >> 31)

    half = max(1, ((size - 1).bit_length() + 1) // 2)
    base = mix(mix(seed) ^ epoch)
    while True:
        left, right = index >> half, index & (2**half - 1)
        for key in range(8):
            left, right = right, left ^ (mix(right ^ mix((base + key) & m64)) & (2**half - 1))
        index = (left << half) | right
        if index < size:
            return index


def test_order_never_changes_between_versions() -> None:
    """A checkpoint's data order must mean the same next year."""
    assert permute(np.arange(10), 10, 7, 3).tolist() == [7, 2, 5, 9, 1, 3, 4, 0, 6, 8]
    for size, seed, epoch in ((10, 7, 3), (1, 0, 0), (97, 2**63 + 5, 12), (1000, 0, 1)):
        expected = [permuted_place(i, size, seed, epoch) for i in range(size)]
        assert permute(np.arange(size), size, seed, epoch).tolist() == expected


def test_order_refuses_places_outside() -> None:
    with pytest.raises(ValueError, match=r"0\.\.4"):
        permute(np.array([5]), 5, 0, 0)


@pytest.mark.parametrize("length", [16, 33, 1000])
def test_an_epoch_holds_every_window_once(token_run: Path, length: int) -> None:
    folder = token_run / "tokens" / "core"
    loader = MixtureLoader(folder, sequence_length=length, batch_size=1, seed=3)
    stream = all_tokens(folder)
    expected = {tuple(stream[w * length : w * length + length]) for w in range(loader.windows)}
    found = [loader.batch(step) for step in range(loader.windows)]
    assert len({tuple(batch.input_ids[0]) for batch in found}) == len(expected)
    assert {tuple(batch.input_ids[0]) for batch in found} == expected
    assert loader.windows == (len(stream) - 1) // length


def test_labels_are_the_next_token_inside_a_document(token_run: Path) -> None:
    folder = token_run / "tokens" / "core"
    stream = all_tokens(folder)
    eos = json.loads((folder / "manifest.json").read_text())["eos_id"]
    loader = MixtureLoader(folder, sequence_length=64, batch_size=loader_batch(folder, 64), shuffle=False)
    batch = loader.batch(0)
    n = batch.input_ids.size
    ids, labels, documents = batch.input_ids.ravel(), batch.labels.ravel(), batch.document_ids.ravel()
    np.testing.assert_array_equal(ids, stream[:n])
    ends = stream[:n] == eos  # the text holds no end-of-text token, so these are the document ends
    np.testing.assert_array_equal(labels, np.where(ends, IGNORE, stream[1 : n + 1]))
    np.testing.assert_array_equal(documents, np.concatenate(([0], np.cumsum(ends)[:-1])))
    assert batch.valid_tokens == n - int(ends.sum())


def loader_batch(folder: Path, length: int) -> int:
    """All windows of a stage as one batch."""
    return MixtureLoader(folder, sequence_length=length, batch_size=1).windows


@pytest.mark.parametrize("world", [2, 4])
def test_world_size_does_not_change_the_global_batch(token_run: Path, world: int) -> None:
    folder = token_run / "tokens" / "core"
    alone = MixtureLoader(folder, sequence_length=48, batch_size=8, seed=11)
    ranks = [
        MixtureLoader(folder, sequence_length=48, batch_size=8, seed=11, rank=r, world=world) for r in range(world)
    ]
    per_epoch = alone.windows // 8
    for step in (0, 1, per_epoch, per_epoch + 1, 3 * per_epoch + 2):  # epoch borders fall inside steps
        whole, parts = alone.batch(step), [loader.batch(step) for loader in ranks]
        np.testing.assert_array_equal(whole.input_ids, np.concatenate([part.input_ids for part in parts]))
        np.testing.assert_array_equal(whole.labels, np.concatenate([part.labels for part in parts]))
        np.testing.assert_array_equal(whole.document_ids, np.concatenate([part.document_ids for part in parts]))


def test_any_step_is_the_same_alone_and_in_sequence(token_run: Path) -> None:
    folder = token_run / "tokens" / "continued"
    one = MixtureLoader(folder, sequence_length=40, batch_size=6, seed=2)
    in_sequence = [next(one).input_ids for _ in range(30)]
    for step in (29, 3, 17, 0):
        fresh = MixtureLoader(folder, sequence_length=40, batch_size=6, seed=2)
        np.testing.assert_array_equal(fresh.batch(step).input_ids, in_sequence[step])


def test_epochs_are_reshuffled_and_complete(token_run: Path) -> None:
    loader = MixtureLoader(token_run / "tokens" / "core", sequence_length=64, batch_size=1, seed=4)
    n = loader.windows
    orders = [loader.sequences(np.arange(e * n, (e + 1) * n)) for e in range(3)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(n))
    assert np.mean(orders[0] == orders[1]) < 0.1
    assert np.mean(orders[1] == orders[2]) < 0.1
    stored = MixtureLoader(token_run / "tokens" / "core", sequence_length=64, batch_size=1, shuffle=False)
    np.testing.assert_array_equal(stored.sequences(np.arange(n, 2 * n)), np.arange(n))


def test_provenance_names_the_document_of_every_token(token_run: Path) -> None:
    folder = token_run / "tokens" / "core"
    tokenizer = Tokenizer.from_file(str(token_run / "tokenizer" / "tokenizer.json"))
    texts = dict(real_texts())
    loader = MixtureLoader(folder, sequence_length=400, batch_size=4, seed=9, rank=1, world=2)
    seen_shards: set[int] = set()
    for step in range(12):
        batch, table = loader.batch(step), loader.provenance(step)
        slots = loader.slots(step).tolist()
        covered = 0
        for row in table.to_pylist():
            ids = batch.input_ids[slots.index(row["slot"]), row["position"] : row["position"] + row["tokens"]]
            document = [
                *tokenizer.encode(texts[row["id"]], add_special_tokens=False).ids,
                tokenizer.token_to_id("<eos>"),
            ]
            begin = row["document_offset"]
            assert ids.tolist() == document[begin : begin + row["tokens"]]
            shard = np.fromfile(folder / f"part-{row['shard']:05d}.bin", "<u2")
            assert ids.tolist() == shard[row["offset"] : row["offset"] + row["tokens"]].tolist()
            assert row["source"] == "topics"
            covered += row["tokens"]
            seen_shards.add(row["shard"])
        assert covered == batch.input_ids.size
    assert len(seen_shards) > 1


def test_resume_continues_at_the_same_place_with_another_world_size(token_run: Path) -> None:
    folder = token_run / "tokens" / "core"
    one = MixtureLoader(folder, sequence_length=32, batch_size=4, seed=1)
    for _ in range(7):
        next(one)
    state = json.loads(json.dumps(one.state_dict()))
    expected = next(one).input_ids
    two = [MixtureLoader(folder, sequence_length=32, batch_size=4, seed=1, rank=r, world=2) for r in range(2)]
    for loader in two:
        loader.load_state_dict(state)
    np.testing.assert_array_equal(np.concatenate([next(loader).input_ids for loader in two]), expected)


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"seed": 2}, "seed"), ({"batch_size": 8}, "batch_size"), ({"sequence_length": 16}, "sequence_length"),
     ({"shuffle": False}, "shuffle")],
)  # fmt: skip
def test_resume_with_another_order_is_refused(token_run: Path, changes: dict[str, int], field: str) -> None:
    folder = token_run / "tokens" / "core"
    base = {"sequence_length": 32, "batch_size": 4, "seed": 1}
    state = MixtureLoader(folder, **base).state_dict()
    with pytest.raises(CheckpointError, match=f"{field} was .* when saved"):
        MixtureLoader(folder, **{**base, **changes}).load_state_dict(state)


def test_resume_with_another_mixture_is_refused(token_run: Path) -> None:
    state = MixtureLoader(token_run / "tokens" / "core", sequence_length=32, batch_size=4).state_dict()
    with pytest.raises(CheckpointError, match="stage was 'core'"):
        MixtureLoader(token_run / "tokens" / "continued", sequence_length=32, batch_size=4).load_state_dict(state)


@pytest.fixture
def copied(token_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(token_run, tmp_path / "run")
    return tmp_path / "run" / "tokens" / "core"


def test_a_changed_shard_stops_with_both_digests(copied: Path) -> None:
    shard = copied / "part-00001.bin"
    expected = json.loads((copied / "manifest.json").read_text())["shards"][1]["sha256"]
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    loader = MixtureLoader(copied, sequence_length=32, batch_size=4, shuffle=False)
    loader.batch(0)  # the first shard is whole
    with pytest.raises(DataError, match=rf"part-00001\.bin.*sha256 is [0-9a-f]{{64}}, the manifest expects {expected}"):
        list(map(loader.batch, range(loader.windows // 4)))


def test_a_missing_shard_stops_with_its_name(copied: Path) -> None:
    (copied / "part-00002.bin").unlink()
    with pytest.raises(
        DataError, match=r"part-00002\.bin: the shard is missing; the manifest expects \d+ tokens, sha256"
    ):
        MixtureLoader(copied, sequence_length=32, batch_size=4)


def test_a_shortened_shard_stops_with_both_sizes(copied: Path) -> None:
    shard = copied / "part-00000.bin"
    shard.write_bytes(shard.read_bytes()[:-2])
    with pytest.raises(
        DataError, match=r"part-00000\.bin: the shard has changed: \d+ bytes, sha256 .* expects \d+ bytes"
    ):
        MixtureLoader(copied, sequence_length=32, batch_size=4)


def test_malformed_manifests_are_refused(copied: Path) -> None:
    path = copied / "manifest.json"
    good = json.loads(path.read_text())
    for change, message in (
        ({"tokens": good["tokens"] + 1}, "the shards sum to"),
        ({"dtype": "int8"}, "dtype"),
        ({"shards": []}, "shards"),
        ({"vocab_size": 5}, "vocab_size is 5"),
    ):
        path.write_text(json.dumps({**good, **change}))
        with pytest.raises(DataError, match=message):
            MixtureLoader(copied, sequence_length=32, batch_size=4).batch(0)
    path.write_text("{")
    with pytest.raises(DataError, match="not a valid token manifest"):
        TokenStage(copied)
    path.unlink()
    with pytest.raises(DataError, match=r"manifest\.json: not found"):
        TokenStage(copied)


def test_a_table_of_documents_with_a_gap_is_refused(copied: Path) -> None:
    table = pq.read_table(copied / "documents.parquet")
    pq.write_table(table.slice(0, 3).combine_chunks(), copied / "documents.parquet")
    with pytest.raises(DataError, match=r"documents\.parquet: row 2 covers .* back to back"):
        TokenStage(copied)
    (copied / "documents.parquet").unlink()
    with pytest.raises(DataError, match=r"documents\.parquet: not found"):
        TokenStage(copied)


def test_too_few_tokens_and_uneven_worlds_are_refused(token_run: Path) -> None:
    folder = token_run / "tokens" / "core"
    with pytest.raises(DataError, match="do not fill one window"):
        MixtureLoader(folder, sequence_length=10**7, batch_size=1)
    with pytest.raises(ValueError, match="multiple of the world size"):
        MixtureLoader(folder, sequence_length=8, batch_size=6, rank=0, world=4)


def test_large_vocabularies_use_uint32(tmp_path: Path) -> None:
    texts = real_texts()[:20]
    tokenizer = train_tokenizer(tmp_path, [text for _, text in texts], 400)
    tokenizer.add_tokens([f"<extra{i}>" for i in range(70_000)])
    tokenizer.save(str(tmp_path / "tokenizer" / "tokenizer.json"))
    marked = [(name, text + "<extra69999>") for name, text in texts]
    folder = write_stage(tmp_path, "core", marked, 2, tokenizer, dtype="uint32")
    loader = MixtureLoader(folder, sequence_length=50, batch_size=2)
    ids = np.concatenate([loader.batch(step).input_ids for step in range(loader.windows // 2)])
    assert int(ids.max()) == tokenizer.token_to_id("<extra69999>") > 65_535
