"""Families that go by a model's file: perplexity (ARPA, KenLM, SentencePiece) and MathScore (fastText)."""

from __future__ import annotations

import gzip
import math
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import filters
from filters import perplexity
from filters.perplexity import normalised

# A model by hand: log10 probability, run, log10 backoff.
ARPA = """
\\data\\
ngram 1=6
ngram 2=4
ngram 3=1

\\1-grams:
-2.0\t<unk>
-99\t<s>\t-0.5
-1.0\t</s>
-0.9\ta\t-0.25
-0.8\tb\t-0.125
-1.5\tc

\\2-grams:
-0.3\t<s> a\t-0.0625
-0.2\ta b\t-0.03125
-0.6\tb </s>
-0.7\tb a

\\3-grams:
-0.1\t<s> a b

\\end\\
"""


def scores(tmp_path: Path, texts: list[str | None], arpa: str = ARPA) -> list[tuple[float, float]]:
    path = tmp_path / "tiny.arpa"
    path.write_text(arpa, encoding="utf-8")
    found = filters.measure(pa.array(texts, pa.string()), ["perplexity"], {"perplexity": path})
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


def test_backoff_by_hand(tmp_path: Path) -> None:
    found = scores(tmp_path, ["a b", "c a", "z b", "b\n\nA B", "", None, "\n \n"])
    # <s> a, <s> a b, b </s> (behind the backoff of "a b")
    assert found[0] == (pytest.approx(10 ** ((0.3 + 0.1 + 0.03125 + 0.6) / 3)), 0)
    # c behind <s>'s backoff, a (c has none), </s> behind a's
    assert found[1] == (pytest.approx(10 ** ((0.5 + 1.5 + 0.9 + 0.25 + 1.0) / 3)), 0)
    # <unk> behind <s>'s backoff; nothing is known of what follows it
    assert found[2] == (pytest.approx(10 ** ((0.5 + 2.0 + 0.8 + 0.6) / 3)), 0.5)
    # two lines: b, b </s>; and the first text in upper case, which is folded
    assert found[3] == (pytest.approx(10 ** ((0.5 + 0.8 + 0.6 + 0.3 + 0.1 + 0.03125 + 0.6) / 5)), 0)
    assert found[4:] == [(0, 0)] * 3


def test_a_model_without_unknown_words(tmp_path: Path) -> None:
    arpa = ARPA.replace("-2.0\t<unk>\n", "").replace("1=6", "1=5")
    assert scores(tmp_path, ["z"], arpa)[0] == (pytest.approx(10 ** ((0.5 + 100 + 1.0) / 2)), 1)


def test_compressed_and_in_any_company(tmp_path: Path) -> None:
    texts = ["a b", "", "c a\nb", "\ud7ff\x00 b", "a b"]
    alone = [scores(tmp_path, [text])[0] for text in texts]
    assert scores(tmp_path, list(texts)) == alone
    path = tmp_path / "tiny.arpa.gz"
    path.write_bytes(gzip.compress(ARPA.encode()))
    found = filters.measure(pa.array(texts), ["perplexity"], {"perplexity": path})
    assert found["perplexity.perplexity"].to_pylist() == [value for value, _ in alone]
    broken = pa.array([b"a b", b"a \xff\n\xed\xa0\x80"], pa.binary()).view(pa.string())
    values = filters.measure(broken, ["perplexity"], {"perplexity": path})["perplexity.perplexity"].to_pylist()
    assert values[0] == alone[0][0]
    assert math.isfinite(values[1])


def test_normalised_as_in_cc_net() -> None:
    lines = ["  Crème Brûlée – “12” €…  ", "Ⅳ ٣４\tx\x07", "《漢》１", ""]
    assert normalised(pa.array(lines, pa.large_string())).to_pylist() == [
        'creme brulee - "00" €...',
        "ⅳ 00x",
        '"漢"0',
        "",
    ]


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pa.array(["a"])
    with pytest.raises(ValueError, match="perplexity: found no language model, expected one as the reference"):
        filters.measure(texts, ["perplexity"])
    with pytest.raises(FileNotFoundError, match=r"there is no language model .*en.arpa"):
        filters.measure(texts, ["perplexity"], {"perplexity": tmp_path / "en.arpa"})
    binary = tmp_path / "en.arpa.bin"
    binary.write_bytes(b"mmap")
    monkeypatch.setattr(perplexity, "find_spec", lambda name: None)
    with pytest.raises(
        ModuleNotFoundError, match=r"en.arpa.bin needs the package kenlm; pip install 'pomona\[perplexity\]'"
    ):
        filters.measure(texts, ["perplexity"], {"perplexity": binary})
    (tmp_path / "tiny.sp.model").write_bytes(b"")
    with pytest.raises(ModuleNotFoundError, match=r"tiny\.sp\.model needs the package sentencepiece"):
        scores(tmp_path, ["a"])
    ran = "import sys, filters.perplexity; assert not {'kenlm', 'sentencepiece'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", ran], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize(
    ("arpa", "message"),
    [
        ("", "holds no n-grams"),
        ("\\1-grams:\n-1 a b c d\n", r"line 2: found 5 fields, expected 2 or 3"),
        ("\\1-grams:\nx a\n", "line 2: could not convert"),
    ],
)
def test_a_file_that_is_no_model(tmp_path: Path, arpa: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scores(tmp_path, ["a"], arpa)


class Model:
    """Says how much of a line is x, as fastText's model says it."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def get_labels(self) -> list[str]:
        return ["__label__negative", "__label__positive"]

    def predict(self, text: str, k: int) -> tuple[tuple[str, ...], list[float]]:
        assert k == 2
        assert "\n" not in text  # fastText refuses it
        self.read.append(text)
        share = text.count("x") / len(text)
        pairs = sorted([(share, "__label__positive"), (1 - share, "__label__negative")], reverse=True)
        return tuple(label for _, label in pairs), [value for value, _ in pairs]


def test_mathscore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fasttext

    path = tmp_path / "math_score.bin"
    path.write_bytes(b"a model")
    model = Model()
    monkeypatch.setattr(fasttext, "load_model", lambda name: model)
    texts = pa.array(["Xx\nXÉ", "", None, "a $x^2$ x `xx`", "xxxx"])
    found = filters.measure(texts, ["mathscore"], {"mathscore": path})["mathscore.score"].to_pylist()
    # OpenWebMath's normaliser: lower case, no accents, newlines and formulas left out, code a mark.
    assert model.read == ["xxxe", "a  x [CODE]", "xxxx"]
    assert found == [3 / 4, 0, 0, 1 / 11, 1]


def test_mathscore_without_its_model(tmp_path: Path) -> None:
    from filters.language import model_path

    texts = pa.array(["a"])
    with pytest.raises(ValueError, match="mathscore: found no model"):
        filters.measure(texts, ["mathscore"])
    with pytest.raises(FileNotFoundError, match="mathscore: there is no file"):
        filters.measure(texts, ["mathscore"], {"mathscore": tmp_path / "none.bin"})
    (tmp_path / "wrong.bin").write_bytes(b"no model")
    with pytest.raises(ValueError, match="is no fastText model"):
        filters.measure(texts, ["mathscore"], {"mathscore": tmp_path / "wrong.bin"})
    with pytest.raises(ValueError, match="expected __label__positive among them"):
        filters.measure(texts, ["mathscore"], {"mathscore": model_path()})
