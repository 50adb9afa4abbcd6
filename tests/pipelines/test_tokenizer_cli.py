"""`pomona tokenizer`: fertility by language, and SentencePiece models that give the tokens of SentencePiece."""

from __future__ import annotations

import gzip
import io
import json
import pydoc_data.topics
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import tokenizer
from pipelines.cli import main
from pipelines.fertility import measure
from pipelines.sentencepiece_model import converted
from pipelines.token_encoder import Encoder

TEXTS = [text for _, text in sorted(pydoc_data.topics.topics.items())][:40]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(tokenizer.train(TEXTS, 1000), path)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.argv", ["pomona", "tokenizer", *arguments])
        main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_a_report_sums_up_by_language(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"text": "Two words", "language": "en"},
        {"text": "Drei kleine Wörter", "language": "de"},
        {"text": "one", "language": "en"},
        {"text": "?!", "language": None},
    ]
    parquet, lines = tmp_path / "texts.parquet", tmp_path / "texts.jsonl.gz"
    pq.write_table(pa.Table.from_pylist(rows), parquet)
    lines.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    for file in (parquet, lines):
        code, out, _ = run(capsys, "report", str(trained), "--texts", str(file), "--json")
        assert code == 0
        found = {row["language"]: row for row in json.loads(out)}
        assert {name: (row["documents"], row["words"]) for name, row in found.items()} == {
            "all": (4, 6), "en": (2, 3), "de": (1, 3), "und": (1, 0),
        }  # fmt: skip
        library = tokenizer.load(trained)
        assert found["de"]["tokens"] == len(library.encode(rows[1]["text"]).ids)
        assert found["de"]["bytes"] == len(rows[1]["text"].encode())
        assert found["de"]["tokens_per_word"] == pytest.approx(found["de"]["tokens"] / 3, abs=1e-4)
        assert found["all"]["tokens"] == sum(found[name]["tokens"] for name in ("en", "de", "und"))
        assert found["all"]["lossy"] == 0
    code, out, _ = run(capsys, "report", str(trained), "--texts", str(parquet))
    assert code == 0
    assert out.splitlines()[0].split() == ["language", "documents", "tokens", "tokens/word", "bytes/token", "lossy"]


def test_batches_do_not_show_in_a_report(trained: Path) -> None:
    table = pa.table({"text": pa.array(TEXTS, pa.large_string()), "language": ["en", "de"] * 20})
    encoder = Encoder.open(trained)
    assert measure(encoder, [table]) == measure(encoder, [table.slice(0, 7), table.slice(7)])


def test_what_is_wrong_is_told(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"body": "x"}\n')
    for arguments, message in (
        (["report", str(trained)], "give --texts FILE with it"),
        (["report", str(trained), "--texts", str(tmp_path / "no.jsonl")], "no.jsonl: no such file"),
        (["report", str(trained), "--texts", str(wrong)], "no column or field `text`; found body"),
        (["report", str(wrong), "--texts", str(wrong)], "not a tokenizer.json"),
        (["import", str(wrong), "--out", str(tmp_path / "t.json")], "not a SentencePiece model"),
    ):
        code, _, err = run(capsys, *arguments)
        assert code == 2
        assert message in " ".join(err.split())
    code, _, err = run(capsys, "report", str(tmp_path))
    assert code == 1
    assert "no finished run here" in " ".join(err.split())


def spm(**options: Any) -> bytes:
    trainer: Any = pytest.importorskip("sentencepiece").SentencePieceTrainer
    made = io.BytesIO()
    trainer.train(
        sentence_iterator=(line for text in TEXTS for line in text.splitlines() if line),
        model_writer=made, vocab_size=800, model_type="bpe", minloglevel=2, num_threads=1, **options,
    )  # fmt: skip
    return made.getvalue()


AFM_WAY = {
    "byte_fallback": True, "split_digits": True, "normalization_rule_name": "identity", "add_dummy_prefix": False,
    "remove_extra_whitespaces": False, "allow_whitespace_only_pieces": True,
}  # fmt: skip
HARD = ["plain words", "  two  spaces ", "1234 digits", "caf\u00e9 中文 🙂", "\ttab\nnew line\r\n", "ﬁ ①", "", "▁"]


@pytest.mark.parametrize(
    "options",
    [AFM_WAY, {**AFM_WAY, "add_dummy_prefix": True}, {"byte_fallback": True}, {"normalization_rule_name": "nfkc"}],
)
def test_a_sentencepiece_model_gives_its_own_tokens(options: dict[str, Any]) -> None:
    content = spm(**options)
    processor: Any = pytest.importorskip("sentencepiece").SentencePieceProcessor(model_proto=content)
    made = tokenizer.loads(converted(content).to_str())
    assert made.get_vocab_size() == processor.get_piece_size()
    for text in [*TEXTS[:10], *(one for one in HARD if one not in ("", "▁"))]:
        for line in text.splitlines() if options is not AFM_WAY else [text]:
            if line:
                assert made.encode(line, add_special_tokens=False).ids == processor.encode(line), line


def test_what_a_sentencepiece_model_loses_is_told() -> None:
    exact = Encoder(converted(spm(**AFM_WAY)).to_str())
    assert exact.encode(pa.array([*TEXTS[:5], *HARD[:-1]])).lost.tolist() == [-1] * 12
    assert exact.encode(pa.array(["▁"])).lost.tolist() == [0]  # SentencePiece cannot tell it from a space
    lossy = Encoder(converted(spm(byte_fallback=True)).to_str())
    assert lossy.encode(pa.array(["plain words", "two  spaces"])).lost.tolist() == [-1, 4]


def test_a_unigram_model_and_a_torn_one_are_refused() -> None:
    trainer: Any = pytest.importorskip("sentencepiece").SentencePieceTrainer
    made = io.BytesIO()
    lines = (line for text in TEXTS for line in text.splitlines() if line)
    trainer.train(sentence_iterator=lines, model_writer=made, vocab_size=300, model_type="unigram", minloglevel=2)
    with pytest.raises(ValueError, match="of type unigram, expected bpe"):
        converted(made.getvalue())
    with pytest.raises(ValueError, match="not a SentencePiece model"):
        converted(made.getvalue()[:-3])
