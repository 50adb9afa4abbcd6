"""datatrove's blocks in a recipe: what they decide alone is what they decide here, whatever came before."""

from __future__ import annotations

import json
import pydoc_data.topics
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.language import model_path
from pipelines import datatrove_blocks, recipe
from pipelines.datatrove_blocks import BlockError, name_of, sort_of
from pipelines.document import document_id, documents
from pipelines.engines.local import LocalEngine
from pipelines.recipe import BlockUse
from pipelines.recipe_errors import RecipeError
from pipelines.steps.blocks import RunBlocks
from pipelines.why import why
from tests.pipelines.runs import tiny

MAIL = "\nWrite to jane.doe@gmail.com, joe@gmail.com or max@gmail.com from 8.8.8.8 or 8.8.4.4."
TOPICS = list(pydoc_data.topics.topics.items())[:24]
MADE = [
    ("short", "Two words."),
    ("lorem", "Lorem ipsum dolor sit amet. " * 20),
    ("german", "Der schnelle braune Fuchs springt über den faulen Hund und die Katze. " * 12),
    ("again", "The same line again and again.\n" * 40),
]
QUALITY = {"min_doc_words": 40, "max_non_alpha_words_ratio": 0.5}  # Python's reference is full of signs
USES = (
    BlockUse(block="LanguageFilter", model=model_path(), options={"languages": "en", "language_threshold": 0.4}),
    BlockUse(block="GopherRepetitionFilter"),
    BlockUse(block="datatrove.pipeline.filters.GopherQualityFilter", options=QUALITY),
    BlockUse(block="C4QualityFilter", name="c4", options={"filter_no_terminal_punct": False}),
    BlockUse(
        block="FineWebQualityFilter", options={"line_punct_thr": 0.05, "short_line_thr": 0.9, "new_line_ratio": 0.9}
    ),
    BlockUse(block="PIIFormatter", name="pii"),
)


def table() -> pa.Table:
    texts = [(name, text + MAIL) for name, text in TOPICS] + MADE
    return documents(
        [
            {
                "id": document_id("s", name, text.encode()),
                "uri": f"http://a.test/{name}",
                "source": "s",
                "kind": "web",
                "text": text,
                "language": "en",
                "metadata": '{"title":"t"}',
            }
            for name, text in texts
        ]
    )


def alone(use: BlockUse, text: str, id_: str) -> tuple[bool, str | None, str]:
    """What datatrove itself makes of one document with a new block: kept, reason, text."""
    from datatrove.data import Document
    from datatrove.pipeline.filters.base_filter import BaseFilter, get_filter_result

    made = datatrove_blocks._loaded(use)
    document = Document(text=text, id=id_)
    if isinstance(made, BaseFilter):
        kept, reason = get_filter_result(made.filter(document))
        return bool(kept), reason, document.text
    return True, None, next(iter(made.run([document]))).text


@pytest.mark.slow
def test_each_block_decides_as_it_does_alone_and_every_document_is_accounted_for() -> None:
    rows = table()
    seen: set[str] = set()
    for use in USES:
        out = RunBlocks((use,))(rows)
        assert out["ledger"].num_rows == rows.num_rows
        texts = {row["id"]: row["text"] for row in out["documents"].to_pylist()}
        for row, said in zip(rows.to_pylist(), out["ledger"].to_pylist(), strict=True):
            kept, reason, text = alone(use, row["text"], row["id"])
            assert (said["verdict"] == "kept") == kept == (row["id"] in texts)
            if kept:
                assert texts[row["id"]] == text
                continue
            seen.add(name_of(use))
            evidence = json.loads(said["evidence"])
            assert evidence == {"block": name_of(use), "said": reason or ""}
            assert said["reason"] == (f"{name_of(use)}-{reason.replace('_', '-')}" if reason else name_of(use))
    assert seen >= {"language-filter", "gopher-repetition-filter", "gopher-quality-filter", "c4"}


@pytest.mark.slow
def test_neither_order_nor_batches_show() -> None:
    rows = table()
    lenient = (use for use in USES if use.block != "GopherRepetitionFilter")
    uses = (*lenient, BlockUse(block="SamplerFilter", options={"rate": 0.6, "seed": 3}))
    whole = {name: made.sort_by("id") for name, made in RunBlocks(uses)(rows).items()}
    reversed_ = rows.take(pa.array(range(rows.num_rows - 1, -1, -1)))
    pieces = [RunBlocks(uses)(reversed_.slice(start, 5)) for start in range(0, rows.num_rows, 5)]
    for name, table_ in whole.items():
        assert pa.concat_tables([piece[name] for piece in pieces]).sort_by("id").equals(table_)
    reasons = set(whole["ledger"]["reason"].to_pylist())
    assert {"sampler-filter", ""} <= reasons
    for row in whole["documents"].to_pylist():  # the circle of replacements begins anew with each text
        assert "email@example.com" in row["text"]
        assert "22.214.171.124" in row["text"]
        assert json.loads(row["metadata"])["title"] == "t"
        assert json.loads(row["metadata"])["language_score"] > 0.4
    changed = [
        json.loads(one)["changed"] for one in whole["ledger"]["evidence"].to_pylist() if one and "changed" in one
    ]
    assert any(one["block"] == "pii" and one["then"] != one["characters"] for many in changed for one in many)


def test_a_block_sees_what_it_is_restricted_to() -> None:
    rows = table()
    out = RunBlocks((BlockUse(block="RegexFilter", options={"regex_exp": "."}, kinds=("book",)),))(rows)
    assert out["documents"].equals(rows)
    out = RunBlocks((BlockUse(block="RegexFilter", options={"regex_exp": "Two words"}, sources=("s",)),))(rows)
    assert out["ledger"]["reason"].to_pylist().count("regex-filter") == 1
    assert out["documents"].num_rows == rows.num_rows - 1


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"block": "GopherQualityFiltr"}, "did you mean 'GopherQualityFilter'"),
        ({"block": "GopherQualityFilter", "options": {"min_words": 3}}, "it takes min_doc_words"),
        ({"block": "datatrove.pipeline.readers.JsonlReader"}, "no filter, formatter or extractor"),
        ({"block": "nowhere.Filter"}, "no module 'nowhere'"),
        ({"block": "ReadabilityInscriptis"}, "inscriptis"),
        ({"block": "C4QualityFilter", "model": "x.bin"}, "no fastText model of its own"),
        ({"block": "LanguageFilter", "model": "x.bin"}, "no such file"),
        ({"block": "C4QualityFilter", "options": {"exclusion_writer": 1}}, "what a block drops is in the ledger"),
        ({"block": "LambdaFilter"}, "filter_function"),
    ],
)
def test_mistakes_are_told_before_anything_runs(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(BlockError, match=told.replace("(", r"\(")):
        datatrove_blocks.check(BlockUse.model_validate(fields))


def test_names_and_sorts() -> None:
    assert [name_of(BlockUse(block=name)) for name in ("PIIFormatter", "C4QualityFilter", "a.b.FTFYFormatter")] == [
        "pii-formatter", "c4-quality-filter", "ftfy-formatter"
    ]  # fmt: skip
    assert [sort_of(BlockUse(block=name)) for name in ("PIIFormatter", "C4QualityFilter", "Trafilatura")] == [
        "formatter", "filter", "extractor"
    ]  # fmt: skip


def blocks() -> list[dict[str, Any]]:
    return [
        {"block": "Trafilatura", "options": {"favour_precision": True}},
        {"block": "GopherQualityFilter", "options": {**QUALITY, "min_doc_words": 120}, "sources": ["web"]},
        {"block": "PIIFormatter"},
    ]


def test_a_recipe_with_a_wrong_block_is_refused_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.lay_out(tmp_path)
    with pytest.raises(RecipeError) as error:
        recipe.load(
            Path("tiny.yaml"), ["blocks=[{block: C4QualityFiltre}, {block: PIIFormatter}, {block: PIIFormatter}]"]
        )
    first, second = error.value.problems
    assert "blocks.0: no block 'C4QualityFiltre'; did you mean 'C4QualityFilter'?" in first
    assert "blocks.2.name: 'pii-formatter' is the name of a block before it" in second


@pytest.mark.slow
def test_a_build_with_blocks_accounts_for_them_and_workers_do_not_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.lay_out(tmp_path)
    run = tmp_path / tiny.build("run", blocks=blocks())
    tiny.build("two", engine=LocalEngine(2), blocks=blocks())

    def bytes_of(out: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((tmp_path / out / "ledger").glob("*.parquet"))} | {
            path.name: path.read_bytes() for path in sorted((tmp_path / out / "mixture" / "core").glob("*.parquet"))
        }

    assert bytes_of("run") == bytes_of("two")
    steps = {step["name"]: step for step in json.loads((run / "run.json").read_bytes())["steps"]}
    assert steps["03-blocks"]["in"] == steps["03-decide"]["kept"]
    assert steps["04-dedup"]["in"] == steps["03-blocks"]["kept"]
    dropped = steps["03-blocks"]["dropped"]
    assert list(dropped) == ["gopher-quality-filter-gopher-short-doc"]
    pages = pa.concat_tables(pq.read_table(path) for path in run.glob("steps/01-extract-*/documents/*.parquet"))
    assert {json.loads(one)["extractor"] for one in pages["metadata"].to_pylist()} == {"trafilatura"}
    ledger = pa.concat_tables(pq.read_table(path) for path in run.glob("ledger/*.parquet"))
    gone = next(row for row in ledger.to_pylist() if row["reason"] in dropped)
    (story,) = why(run, gone["id"]).records
    assert story.outcome == "dropped"
    assert story.told == "Dropped in 03-blocks: gopher-quality-filter-gopher-short-doc."
