from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.characters import Counted, count_characters
from kernels.spaced import medians, spaced_tokens, spelling_hash
from kernels.strings import text_batch


def counts(text: str) -> dict[Counted, int]:
    batch = text_batch(pa.array([text]))
    row = count_characters(batch, batch.offsets[:-1], batch.offsets[1:])[0].tolist()
    return {column: row[column] for column in Counted}


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("👍🏽", Counted.EMOJI, 1),
        ("👨‍👩‍👧‍👦!", Counted.EMOJI, 1),
        ("🇩🇪🇫🇷", Counted.EMOJI, 2),
        ("❤️ 1️⃣", Counted.EMOJI, 2),
        ("❤‍🔥", Counted.EMOJI, 1),
        ("© ™ → 1 #", Counted.EMOJI, 0),
        ("😀a😀 😀", Counted.EMOJI, 3),
        ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", Counted.EMOJI, 1),
        ("a\x00\x1b\x7f\x85\t\n\r\f", Counted.CONTROLS, 4),
        ("! ！ ‼ ❗ ¡", Counted.EXCLAMATIONS, 5),
        ("\ufffd?", Counted.REPLACEMENTS, 1),
        ("\ue000\U000f0000\ufdd0\U0010fffd", Counted.PRIVATE, 4),
        ("\u200f\u202e\u00ad\u200b\ufeff", Counted.INVISIBLE, 5),
        ("می‌خواهم क्‍ष", Counted.INVISIBLE, 0),
        ("x² ∑→𝔸 ± a+b=c", Counted.MATHS, 5),
        ("éÉàñü", Counted.ACCENTED, 4),
        ("²Ⅳ½", Counted.NUMBERS, 3),
    ],
)
def test_by_hand(text: str, column: Counted, expected: int) -> None:
    assert counts(text)[column] == expected


@pytest.mark.parametrize("text", ["café…” É” voilà »", "CAFÉ\u00a0!", "NÃO", "Â", "Ünïcödé", "Привет", "naïve", "â"])
def test_right_text_has_no_mojibake(text: str) -> None:
    assert counts(text)[Counted.MOJIBAKE] == 0


@pytest.mark.parametrize("text", ["café", "“it’s”", "Привет, мир", "你好世界", "สวัสดี", "naïve – 5 °C"])
@pytest.mark.parametrize("encoding", ["latin-1", "windows-1252"])
def test_wrongly_decoded_text_has(text: str, encoding: str) -> None:
    # Windows-1252 leaves five bytes undefined, which browsers read as control characters.
    wrong = "".join(bytes([byte]).decode(encoding, "ignore") or chr(byte) for byte in text.encode())
    assert counts(wrong)[Counted.MOJIBAKE] == sum(
        len(character.encode()) for character in text if not character.isascii()
    )


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_as_python_counts(text: str) -> None:
    found = counts(text)
    assert found[Counted.LETTERS] == sum(map(str.isalpha, text))
    assert found[Counted.UPPER] == sum(map(str.isupper, text))
    assert found[Counted.SPACES] == sum(map(str.isspace, text))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet=st.sampled_from("aB é\u3000\n\x1f\xa0ß漢😀.")), min_size=1, max_size=4))
def test_words_are_those_of_split(texts: list[str]) -> None:
    found = spaced_tokens(text_batch(pa.array(texts)))
    middle = medians(found.offsets, found.chars).tolist()
    for number, text in enumerate(texts):
        words = text.split()
        span = slice(int(found.offsets[number]), int(found.offsets[number + 1]))
        assert found.hashes[span].tolist() == [spelling_hash(word) for word in words]
        assert found.chars[span].tolist() == [len(word) for word in words]
        assert found.alphabetic[span].tolist() == [any(map(str.isalpha, word)) for word in words]
        lengths = sorted(len(word) for word in words)
        half = len(lengths) // 2
        assert middle[number] == (
            sum(lengths[half - (1 - len(lengths) % 2) : half + 1]) / (2 - len(lengths) % 2) if lengths else 0
        )


def test_the_median_of_long_words() -> None:
    found = spaced_tokens(text_batch(pa.array(["a " + "b" * 100 + " " + "c" * 200, "d" * 70 + " " + "e" * 71])))
    assert medians(found.offsets, found.chars).tolist() == [100, 70.5]


@pytest.mark.data
def test_mojibake_of_204_languages(pomona_data: Path) -> None:
    """Three of FLORES's sentences are faulty ("BarÃ§a", "7â€“2"); read as Windows-1252, nearly all show it."""
    with gzip.open(pomona_data / "langid" / "flores200_dev_first300.jsonl.gz", "rt", encoding="utf-8") as file:
        languages = [json.loads(line) for line in file]
    texts = ["\n".join(language["sentences"][:40]) for language in languages]
    batch = text_batch(pa.array(texts))
    right = count_characters(batch, batch.offsets[:-1], batch.offsets[1:])
    assert {languages[i]["lang"]: int(right[i, Counted.MOJIBAKE]) for i in right[:, Counted.MOJIBAKE].nonzero()[0]} == {
        "ind_Latn": 5,
        "tgl_Latn": 2,
    }
    wrong = ["".join(bytes([b]).decode("windows-1252", "ignore") or chr(b) for b in text.encode()) for text in texts]
    batch = text_batch(pa.array(wrong))
    found = count_characters(batch, batch.offsets[:-1], batch.offsets[1:])[:, Counted.MOJIBAKE]
    bytes_beyond_ascii = [sum(byte >= 0x80 for byte in text.encode()) for text in texts]
    assert sum(found.tolist()) / sum(bytes_beyond_ascii) > 0.95
