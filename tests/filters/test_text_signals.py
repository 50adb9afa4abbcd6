"""The families encoding, dialogue, openwebmath, llama3 and dclm, by hand and against plain Python."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import filters
from filters.gopher import STOP_WORDS
from filters.reference import build_reference, load_reference, save_reference


def one(text: str | bytes, family: str) -> dict[str, float]:
    column = pa.array([text], pa.binary()).view(pa.string()) if isinstance(text, bytes) else pa.array([text])
    row = filters.measure(column, [family]).to_pylist()[0]
    return {name.partition(".")[2]: value for name, value in row.items()}


def test_encoding() -> None:
    found = one("cafÃ© \ufffd\x00\u200f\ue000", "encoding")
    assert found["mojibake_ratio"] == 2 / 10
    for name in ("replacement", "control", "invisible", "private"):
        assert found[f"{name}_ratio"] == 1 / 10
    assert one(b"ab\xff\xfe", "encoding")["invalid_ratio"] > 0
    clean = one("Plain text, naïve café, 😀 — “quoted”.\n\tTabs too.\r\n", "encoding")
    assert set(clean.values()) == {0.0}


def test_encoding_rules_name_what_is_wrong() -> None:
    right = "“It’s a naïve café,” she said – and “so it is,” said he. " * 20
    wrong = right.encode().decode("windows-1252", "replace")
    latin = right.encode("windows-1252").decode("utf-8", "replace")
    signals = filters.measure(pa.array([right, wrong, latin]), ["encoding"])
    decided = filters.decide(signals, filters.rules("encoding"))
    assert decided["failed"].to_pylist()[0] == []
    assert "encoding-mojibake" in decided["failed"].to_pylist()[1]
    assert decided["reason"].to_pylist()[2] == "encoding-replacements"


def test_dialogue() -> None:
    found = one("I’m sorry!! I apologize for the confusion 😀👍🏽", "dialogue")
    assert found["emoji"] == 2
    assert (
        found["emoji_ratio"] == 2 / 11
    )  # I’m sorry !! I apologize for the confusion, and two emoji, one of two tokens
    assert found["exclamation_ratio"] == 2 / 11
    assert found["apologies"] == 2
    assert one("I'M SORRY", "dialogue")["apologies"] == 1
    assert one("A sorry sight!", "dialogue")["apologies"] == 0


def test_openwebmath() -> None:
    found = one(r"Let $x^2 \in A$ and $$\frac{a}{b}$$, so $\PageIndex{1.2}$ ∑ é", "openwebmath")
    assert found["formulas"] == 2
    assert found["latex_commands"] == 2
    assert found["prefilter"] == 1
    assert found["symbol_ratio"] == found["accented_ratio"] == 1 / found["chars"]
    assert one("class='tex'", "openwebmath")["math_marks"] == 1
    assert one("costs $5 only", "openwebmath")["formulas"] == 0


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("$$$x\\é\n{}")))
def test_formulas_as_the_pattern_finds_them(text: str) -> None:
    matches = re.findall(r"\$\$[^\$]*\$\$|\$[^\$]*\$", text)
    found = one(text, "openwebmath")
    assert found["formulas"] == len(matches)
    assert found["formula_char_ratio"] == (sum(map(len, matches)) / len(text) if text else 0)


@pytest.mark.data
def test_mathematics_is_told_from_prose(pomona_data: Path) -> None:
    texts: dict[str, list[str]] = {}
    for name in ("math/hott_book_tex", "text/nltk_state_union"):
        with gzip.open(pomona_data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            texts[name] = [json.loads(line)["text"] for line in file]
    for name, passes in (("math/hott_book_tex", True), ("text/nltk_state_union", False)):
        found = filters.measure(pa.array(texts[name]), ["openwebmath"])
        share = np.mean(found["openwebmath.prefilter"].to_numpy())
        assert share > 0.9 if passes else share == 0


def test_llama3_coverage() -> None:
    text = "a b c d e f\nx y\na b c d e f"
    found = one(text, "llama3")
    assert found["covered_5_gram_ratio"] == 12 / 14
    assert found["covered_10_gram_ratio"] == 0


def test_llama3_divergence(tmp_path: Path) -> None:
    corpus = pa.array(["a a a b", "c"])
    path = tmp_path / "reference.npz"
    save_reference(path, build_reference([corpus]))
    bits = load_reference(path)
    whole = 5 + len(bits)
    row = filters.measure(pa.array(["A b z", ""]), ["llama3"], {"llama3": path}).to_pylist()
    expected = np.mean([-math.log2((count + 1) / whole) for count in (3, 1, 0)])
    assert row[0]["llama3.token_cross_entropy"] == pytest.approx(expected)
    assert row[0]["llama3.token_divergence"] == pytest.approx(expected - math.log2(3))
    assert row[1]["llama3.token_divergence"] == row[1]["llama3.token_cross_entropy"] == 0
    assert sum(2.0**-bits) == pytest.approx(1)


def test_the_own_reference_knows_english_from_noise() -> None:
    prose = "The people of the States have the right to know what the government does with the money that it takes."
    noise = "9f3a c01d eeb2 77aa 01fe zxqv wrtp lkjh mnbv qpow 8d7c 5e4f asdf hjkl vbnm tyui rewq plok ijuh ygtf"
    found = filters.measure(pa.array([prose, noise]), ["llama3"])
    near, far = found["llama3.token_cross_entropy"].to_pylist()
    assert near < 10 < 13 < far


def test_a_wrong_reference_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file .*python -m filters.reference"):
        filters.measure(pa.array(["a"]), ["llama3"], {"llama3": tmp_path / "none.npz"})
    path = tmp_path / "wrong.npz"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="found no counts of tokens"):
        filters.measure(pa.array(["a"]), ["llama3"], {"llama3": path})
    np.savez(path, counts=np.zeros(3))
    with pytest.raises(ValueError, match=r"found \(3,\), expected \(32768,\)"):
        filters.measure(pa.array(["a"]), ["llama3"], {"llama3": path})


def dclm(text: str, words: list[str]) -> dict[str, float]:
    """DCLM's content filters (mlfoundations/dclm, content_filters.py), given the same words for runs."""
    spaced = text.split()
    lines = [line for part in text.split("\n") if (line := part.strip())]
    paragraphs = [part.strip() for part in re.split(r"\n{2,}", text) if part.strip()]
    count, chars = len(spaced) or 1, sum(map(len, words)) or 1
    found: dict[str, float] = {
        "words": len(words),
        "mean_word_length": sum(map(len, spaced)) / count,
        "symbol_ratio": sum(text.count(sign) for sign in ("#", "...", ". . .", "…")) / count,
        "bullet_line_ratio": sum(line.startswith(("●", "•", "*", "-")) for line in lines) / (len(lines) or 1),
        "ellipsis_line_ratio": sum(line.endswith(("...", ". . .", "…")) for line in lines) / (len(lines) or 1),
        "alphabetic_word_ratio": sum(any(map(str.isalpha, word)) for word in spaced) / count,
        "stop_words": sum(word.lower() in STOP_WORDS for word in spaced),
    }
    for name, parts in (("line", lines), ("paragraph", paragraphs)):
        several = {part: times for part, times in Counter(parts).items() if times > 1}
        found[f"duplicate_{name}_ratio"] = sum(several.values()) / (len(parts) or 1)
        repeated = sum(len(part) * times for part, times in several.items())
        found[f"duplicate_{name}_char_ratio"] = repeated / (sum(map(len, parts)) or 1)
    for n in range(2, 11):
        grams = [tuple(words[k : k + n]) for k in range(len(words) - n + 1)]
        times = Counter(grams)
        most = max(times.values(), default=0)
        if n < 5:
            longest = max((sum(map(len, gram)) for gram in times if times[gram] == most > 1), default=0)
            found[f"top_{n}_gram_char_ratio"] = most * longest / chars
        else:
            inside = {k + d for k, gram in enumerate(grams) if times[gram] > 1 for d in range(n)}
            found[f"duplicate_{n}_gram_char_ratio"] = sum(len(words[k]) for k in inside) / chars
    return found


@pytest.mark.data
def test_dclm_on_real_pages(pomona_data: Path) -> None:
    from kernels.strings import text_batch
    from kernels.words import WORD, words

    with gzip.open(pomona_data / "html_gold" / "wcxb_dev" / "index.jsonl.gz", "rt", encoding="utf-8") as file:
        pages = [text for line in file if (text := json.loads(line).get("gold_text"))][:300]
    pages += ["", "\n", "...\n...\n\n...", "a b\n\na b"]
    batch = text_batch(pa.array(pages))
    found = words(batch)
    data = bytes(batch.data)
    for number, row in enumerate(filters.measure(pa.array(pages), ["dclm"]).to_pylist()):
        tokens = range(int(found.offsets[number]), int(found.offsets[number + 1]))
        spelled = [data[found.starts[k] : found.ends[k]].decode() for k in tokens if found.kinds[k] == WORD]
        for name, value in dclm(pages[number], spelled).items():
            if name == "symbol_ratio":  # occurrences that lap over, as in "....", count here
                assert row[f"dclm.{name}"] >= value
            else:
                assert row[f"dclm.{name}"] == value, (name, pages[number][:100])
