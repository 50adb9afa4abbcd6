from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import filters
from filters.mixed import mixture

ENGLISH = "The committee met on Tuesday to discuss the new proposal, and the members agreed to meet again next week."
GERMAN = "Der Ausschuss trat am Dienstag zusammen, um über den neuen Vorschlag zu beraten, und vertagte sich danach."
JAPANESE = "委員会は火曜日に開かれ、新しい提案について話し合い、来週もう一度集まることになりました。"
TEXTS = [
    ENGLISH,
    f"{ENGLISH}\n{GERMAN}",
    f"{GERMAN}\n{GERMAN}\n{ENGLISH}",
    f"{JAPANESE}\n{ENGLISH}\n{JAPANESE}",
    "",
    "\n\n",
]


def test_languages_and_their_shares() -> None:
    found = mixture(pa.array([*TEXTS, None])).to_pylist()
    assert [(row["main"], row["second"]) for row in found[:4]] == [
        ("en", "und"),
        ("de", "en") if len(GERMAN) > len(ENGLISH) else ("en", "de"),
        ("de", "en"),
        ("en", "ja"),
    ]
    assert found[0]["main_share"] == 1
    assert found[0]["languages"] == 1
    assert found[2]["second_share"] == pytest.approx(1 / 3, abs=0.03)
    assert found[3]["languages"] == 2
    nothing = {"main": "und", "second": "und", "languages": 0}
    assert all(
        row == row | nothing | dict.fromkeys(("main_share", "second_share", "undetermined_share"), 0)
        for row in found[4:]
    )


def test_the_family_says_the_same() -> None:
    measured = filters.measure(pa.array(TEXTS), ["mixed"])
    found = mixture(pa.array(TEXTS))
    for name in ("main_share", "second_share", "undetermined_share", "languages"):
        assert measured[f"mixed.{name}"].to_pylist() == found[name].to_pylist()


def test_batches_and_order_do_not_matter() -> None:
    column = pa.array(TEXTS * 3, pa.large_string())
    whole = mixture(column).to_pylist()
    assert [row for i in range(len(column)) for row in mixture(column.slice(i, 1)).to_pylist()] == whole
    assert mixture(column.take(pa.array(range(len(column))[::-1]))).to_pylist() == whole[::-1]


def test_short_lines_of_a_text_count_for_its_language() -> None:
    text = f"{ENGLISH}\nA note on sources\n{ENGLISH}\nMore to come, as ever"
    (row,) = mixture(pa.array([text])).to_pylist()
    assert row["main"] == "en"
    assert row["main_share"] == 1


@pytest.mark.data
def test_few_web_pages_are_mixed_and_joined_sentences_are(pomona_data: Path) -> None:
    with gzip.open(pomona_data / "html_gold" / "wcxb_dev" / "index.jsonl.gz", "rt", encoding="utf-8") as file:
        pages = pa.array([json.loads(line)["gold_text"] for line in file][:300])
    second = mixture(pages)["second_share"].to_numpy()
    assert np.mean(second > 0.1) < 0.02
    with gzip.open(pomona_data / "langid" / "flores200_dev_first300.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = {row["lang"]: row["sentences"] for row in map(json.loads, file)}
    kept = ["eng_Latn", "fra_Latn", "rus_Cyrl", "zho_Hans", "arb_Arab", "tur_Latn"]
    joined = [" ".join(rows[a][k : k + 2]) + "\n" + " ".join(rows[b][k : k + 2])
              for a, b in pairwise(kept) for k in range(0, 60, 2)]  # fmt: skip
    found = mixture(pa.array(joined))
    assert np.mean(found["languages"].to_numpy() == 2) > 0.95
