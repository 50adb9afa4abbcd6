"""Texts that say the same in a run: the best stays, engines do not show, wrong embeddings are told."""

from __future__ import annotations

import json
import pydoc_data.topics
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.document import documents
from pipelines.recipe_parts import (
    SemanticUse,
)
from tests.engines.contract import NAMES, Engines
from tests.steps.parts_runs import bytes_of, ledger, performed, row, texts


def embedded(folder: Path, name: str = "embeddings") -> tuple[pa.Table, Path]:
    """Documents in groups that share a direction, with their embeddings in a file; one has none."""
    topics = sorted(pydoc_data.topics.topics)[:48]
    table = documents(
        [row(name, pydoc_data.topics.topics[name], "wiki" if n % 4 == 0 else "web") for n, name in enumerate(topics)]
    )
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(12, 24)), 4, axis=0) + 0.05 * rng.normal(size=(48, 24))
    file = folder / f"{name}.parquet"
    pq.write_table(
        pa.table({"id": table["id"][:47], "embedding": pa.array(vectors[:47].tolist(), pa.list_(pa.float32()))}), file
    )
    return table, file


def test_of_texts_that_say_the_same_the_preferred_or_best_stays(tmp_path: Path) -> None:
    table, file = embedded(tmp_path)
    use = SemanticUse(embeddings=(file,), quality="made.chars", clusters=5, sample=30, threshold=0.9)
    (done,) = performed(table, [use], tmp_path)
    kept, told = texts(done), ledger(done)
    sizes = dict(zip(table["uri"].to_pylist(), (len(one) for one in table["text"].to_pylist()), strict=True))
    uris = table["uri"].to_pylist()
    assert len(kept) == 13
    assert done.facts["without_embedding"] == 1
    for group in range(12):
        mine = uris[4 * group : 4 * group + 4]
        some = [uri for uri in mine if uri != uris[47]]
        best = max(some, key=lambda uri: sizes[uri])
        assert best in kept
        for uri in set(some) - {best}:
            evidence = json.loads(told[uri]["evidence"])
            assert told[uri]["reason"] == "semantic-duplicate"
            assert evidence["parent_uri"] == best
            assert evidence["similarity"] == told[uri]["value"] >= told[uri]["threshold"] == 0.9
    (done,) = performed(table, [use.model_copy(update={"prefer": ("wiki",)})], tmp_path / "preferred")
    assert set(texts(done)) == {*uris[::4], uris[47]}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_engines_do_not_show_in_what_says_the_same(name: str, tmp_path: Path) -> None:
    table, file = embedded(tmp_path)
    use = SemanticUse(embeddings=(file,), quality="made.chars", clusters=5, sample=30)
    engines = Engines()
    try:
        made = [performed(table, [use], tmp_path / str(n), engines.get(name, n)) for n in (1, 3)]
        assert bytes_of(made[0]) == bytes_of(made[1]) == bytes_of(performed(table, [use], tmp_path / "local"))
    finally:
        engines.close()


def test_embeddings_that_are_wrong_are_told_with_their_file(tmp_path: Path) -> None:
    table, file = embedded(tmp_path)
    broken = pq.read_table(file)
    numbers = broken["embedding"].to_pylist()
    numbers[3][0] = float("nan")
    pq.write_table(broken.set_column(1, "embedding", pa.array(numbers, pa.list_(pa.float32()))), file)
    with pytest.raises(ValueError, match=f"embeddings.parquet: record {table['id'][3]}: vector 3"):
        performed(table, [SemanticUse(embeddings=(file,))], tmp_path)


def test_a_sample_of_one_finds_a_cluster(tmp_path: Path) -> None:
    table, file = embedded(tmp_path)
    for seed in range(8):
        use = SemanticUse(embeddings=(file,), clusters=1, sample=1, threshold=0.9, seed=seed)
        (done,) = performed(table, [use], tmp_path / str(seed))
        assert done.account.kept == 13
        assert (done.facts["clusters"], done.facts["sample"]) == (1, 1)


def test_a_divided_cluster_says_what_was_not_compared(tmp_path: Path) -> None:
    table, file = embedded(tmp_path)
    use = SemanticUse(embeddings=(file,), clusters=1, threshold=0.9, largest=20)
    (done,) = performed(table, [use], tmp_path)
    told = ledger(done)
    evidence = [json.loads(one["evidence"]) for one in told.values() if one["evidence"]]
    assert len(evidence) == 47
    assert min(one["not_compared"] for one in evidence) >= 27
    assert done.facts["in_divided_clusters"] == 47
    assert done.facts["pairs_not_compared"] == sum(one["not_compared"] for one in evidence) // 2
    (whole,) = performed(table, [use.model_copy(update={"largest": 47})], tmp_path / "whole")
    assert (whole.facts["in_divided_clusters"], whole.facts["pairs_not_compared"]) == (0, 0)
    # Groups of four similar ones stay together, so that no duplicate is lost here.
    assert set(texts(whole)) == set(texts(done))


@pytest.mark.parametrize("wrong", ["", "7", "http://web.test/1", "ABCDEFABCDEFABCDEFABCDEFABCDEFAB", None])
def test_ids_that_are_no_documents_are_refused(tmp_path: Path, wrong: str | None) -> None:
    table, file = embedded(tmp_path)
    broken = pq.read_table(file)
    ids = broken["id"].to_pylist()
    ids[5] = wrong
    pq.write_table(broken.set_column(0, "id", pa.array(ids, pa.string())), file)
    with pytest.raises(ValueError, match=r"embeddings.parquet: id .*: expected a document's id, 32 hexadecimal digits"):
        performed(table, [SemanticUse(embeddings=(file,))], tmp_path)


def test_embeddings_of_no_document_are_counted_and_two_of_one_refused(tmp_path: Path) -> None:
    table, file = embedded(tmp_path)
    (done,) = performed(table.slice(0, 40), [SemanticUse(embeddings=(file,))], tmp_path / "fewer")
    assert (done.facts["unused_embeddings"], done.facts["without_embedding"]) == (7, 0)
    given = pq.read_table(file)
    pq.write_table(pa.concat_tables([given, given.slice(0, 3)]), file)  # the same again is no contradiction
    performed(table, [SemanticUse(embeddings=(file,))], tmp_path / "again")
    other = given.slice(0, 1).set_column(1, "embedding", given["embedding"].slice(9, 1))
    pq.write_table(pa.concat_tables([given, other]), file)
    with pytest.raises(ValueError, match=f"record {table['id'][0]} has two different ones"):
        performed(table, [SemanticUse(embeddings=(file,))], tmp_path / "twice")


def test_documents_out_of_scope_lack_no_embedding(tmp_path: Path) -> None:
    table, file = embedded(tmp_path)
    (done,) = performed(table, [SemanticUse(embeddings=(file,), sources=("wiki",))], tmp_path)
    assert (done.facts["documents"], done.facts["without_embedding"]) == (12, 0)
