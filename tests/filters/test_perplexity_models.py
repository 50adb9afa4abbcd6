"""Perplexity by models as others make them: KenLM's binary forms, and SentencePiece beside an ARPA file.

`models/tiny.*.binary` are the model of `test_perplexity.ARPA`, written by the `build_binary` of KenLM 0.3.0.
"""

from __future__ import annotations

import math
import pydoc_data.topics
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
import sentencepiece

import filters
from filters.perplexity import normalised
from tests.filters.test_perplexity import ARPA

MODELS = Path(__file__).parent / "models"
TEXTS = ["a b", "c a", "z b", "b\n\nA B", "a b c a b z\nb a", "", "\n \n", "Á\x00 b", "\ud7ff b"]


def measured(texts: list[str], model: Path) -> list[tuple[float, float]]:
    found = filters.measure(pa.array(texts), ["perplexity"], {"perplexity": model})
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


@pytest.mark.parametrize("form", ["probing", "trie"])
def test_kenlms_binary_says_what_the_arpa_file_says(tmp_path: Path, form: str) -> None:
    pytest.importorskip("kenlm", reason="the extra perplexity is not installed; it needs a C++ compiler")
    arpa = tmp_path / "tiny.arpa"
    arpa.write_text(ARPA)
    ours, theirs = measured(TEXTS, arpa), measured(TEXTS, MODELS / f"tiny.{form}.binary")
    for (perplexity, unknown), expected in zip(theirs, ours, strict=True):
        assert perplexity == pytest.approx(expected[0], rel=1e-5)
        assert unknown == expected[1]
    assert len({value for value, _ in theirs}) > 5
    broken = tmp_path / "broken.binary"
    broken.write_bytes((MODELS / f"tiny.{form}.binary").read_bytes()[:100])
    with pytest.raises(ValueError, match=r"KenLM cannot read .*broken\.binary"):
        measured(["a"], broken)


def lines_of(count: int) -> list[str]:
    topics = list(pydoc_data.topics.topics.values())[:count]
    return [
        line for line in normalised(pa.array("\n".join(topics).splitlines(), pa.large_string())).to_pylist() if line
    ]


def bigrams(lines: list[list[str]]) -> tuple[str, dict[tuple[str, ...], float]]:
    """A model of order 2 without discounts: its ARPA file, and its log10 scores."""
    words = Counter(word for line in lines for word in [*line, "</s>"])
    pairs = Counter(pair for line in lines for pair in pairwise(["<s>", *line, "</s>"]))
    before = Counter(word for line in lines for word in ["<s>", *line])
    total = sum(words.values())
    scores: dict[tuple[str, ...], float] = {(word,): math.log10(n / total) for word, n in words.items()}
    scores |= {pair: math.log10(n / before[pair[0]]) for pair, n in pairs.items()}
    ones = "\n".join([f"{scores[(word,)]}\t{word}\t0" for word in words] + ["-99\t<s>\t0", "-7\t<unk>"])
    twos = "\n".join(f"{scores[pair]}\t{' '.join(pair)}" for pair in pairs)
    return f"\\data\\\n\n\\1-grams:\n{ones}\n\n\\2-grams:\n{twos}\n\n\\end\\\n", scores


def test_the_pieces_of_sentencepiece_are_what_is_scored(tmp_path: Path) -> None:
    lines = lines_of(25)
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(lines))
    sentencepiece.SentencePieceTrainer.Train(
        input=str(corpus), model_prefix=str(tmp_path / "en.sp"), vocab_size=300, hard_vocab_limit=False, minloglevel=2
    )
    assert (tmp_path / "en.sp.model").is_file()
    processor = sentencepiece.SentencePieceProcessor(str(tmp_path / "en.sp.model"))
    told, scores = bigrams([processor.EncodeAsPieces(line) for line in lines])
    arpa = tmp_path / "en.arpa"
    arpa.write_text(told)
    texts = ["\n".join(lines[:9]), lines[20], "The import statement\n\nbinds a NAME.", "€uro 漢字", ""]
    for text, (perplexity, unknown) in zip(texts, measured(texts, arpa), strict=True):
        log10, tokens, strange = 0.0, 0, 0
        plain = normalised(pa.array(text.split("\n"), pa.large_string())).to_pylist()
        for line in filter(None, plain):
            pieces = processor.EncodeAsPieces(line)
            tokens += len(pieces) + 1
            strange += sum((piece,) not in scores for piece in pieces)
            known = [piece if (piece,) in scores else "<unk>" for piece in pieces]
            for pair in pairwise(["<s>", *known, "</s>"]):
                log10 += scores.get(pair, scores.get(pair[1:], -7.0))
        assert perplexity == (pytest.approx(10 ** (-log10 / tokens), rel=1e-5) if tokens else 0), text
        assert unknown == (strange / (tokens - len([line for line in plain if line])) if tokens else 0), text
    # Words are pieces of several letters, so the model without its tokeniser knows next to nothing.
    (tmp_path / "en.sp.model").rename(tmp_path / "other.sp.model")
    assert measured(texts[:1], arpa)[0][1] > 0.8


def test_compressed_models_find_their_tokeniser(tmp_path: Path) -> None:
    """CCNet's names: en.arpa.bin and en.sp.model."""
    pytest.importorskip("kenlm", reason="the extra perplexity is not installed; it needs a C++ compiler")
    (tmp_path / "en.arpa.bin").write_bytes((MODELS / "tiny.probing.binary").read_bytes())
    plain = measured(["abab b"], tmp_path / "en.arpa.bin")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("a b\nb a\nab ba\n" * 20)
    sentencepiece.SentencePieceTrainer.Train(
        input=str(corpus), model_prefix=str(tmp_path / "en.sp"), model_type="char", vocab_size=6, minloglevel=2
    )
    beside = measured(["abab b"], tmp_path / "en.arpa.bin")
    assert plain[0][1] == 0.5  # of the two words b is known
    assert beside[0][1] == pytest.approx(2 / 7)  # the two marks of a beginning word are not
