from __future__ import annotations

import itertools
import random
import sys
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.strings import text_batch
from kernels.tokens import tokens as tokens_of
from kernels.unicode import CLASS_MASK, SPACE, TokenClass, unicode_tables
from kernels.words import PUNCTUATION, SYMBOL, WORD, folded_spelling, spelled_words, token_hashes, token_spelling, words


def tokens(text: str | bytes) -> list[tuple[str, int]]:
    column = pa.array([text])
    batch = text_batch(column)
    found = words(batch)
    data = bytes(batch.data)
    return [
        (data[a:b].decode("utf-8", "replace"), int(kind))
        for a, b, kind in zip(found.starts, found.ends, found.kinds, strict=True)
    ]


def spelt(text: str, kind: int = WORD) -> list[str]:
    return [token for token, its in tokens(text) if its == kind]


def hashes(text: str, *, symbols: bool = True) -> list[int]:
    found = words(text_batch(pa.array([text])))
    return found.hashes[(found.kinds == WORD) | (symbols & (found.kinds == SYMBOL))].tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The quick, brown fox.", ["The", "quick", "brown", "fox"]),
        ("don't l’eau col·lecció rock 'n' roll'", ["don't", "l’eau", "col·lecció", "rock", "n", "roll"]),
        ("3.14 1,000,000 v2.x e.g. U.S. example.com", ["3.14", "1,000,000", "v2", "x", "e.g", "U.S", "example.com"]),
        ("the end.Next one np.array Next.js", ["the", "end", "Next", "one", "np.array", "Next.js"]),
        ("x2 2nd H₂O x² ⅣB", ["x2", "2nd", "H₂O", "x²", "ⅣB"]),
        ("ภาษาไทย ดี", ["ภ", "า", "ษ", "า", "ไ", "ท", "ย", "ดี"]),
        ("日本語のカタカナー", ["日", "本", "語", "の", "カ", "タ", "カ", "ナー"]),
        ("你好2024年abc", ["你", "好", "2024", "年", "abc"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("हिन्दी كِتَاب", ["हिन्दी", "كِتَاب"]),
        ("soft\u00adhyphen a\u200bb می\u200cخواهم", ["soft\u00adhyphen", "a", "b", "می\u200cخواهم"]),
        ("", []),
        ("\x00\n\t \u2028\u200f", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert spelt(text) == expected


def test_punctuation_and_symbols() -> None:
    assert tokens("a -- b... 1-2 €5 #x (y) a=b !!") == [
        *(("a", WORD), ("--", PUNCTUATION), ("b", WORD), ("...", PUNCTUATION), ("1", WORD), ("-", SYMBOL), ("2", WORD)),
        *(("€", SYMBOL), ("5", WORD), ("#", SYMBOL), ("x", WORD), ("(", PUNCTUATION), ("y", WORD), (")", PUNCTUATION)),
        *(("a", WORD), ("=", SYMBOL), ("b", WORD), ("!!", PUNCTUATION)),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ดี", "ดู"),
        ("か", "が"),
        (unicodedata.normalize("NFD", "か"), unicodedata.normalize("NFD", "が")),
        ("x^2+1", "x-2=1"),
        ("a*b", "a/b"),
        ("a=b", "a≠b"),
        ("resume", "résumé"),
        ("ก่า", "ก้า"),
        ("कल", "काल"),
        ("한", "항"),
    ],
)
def test_what_differs_in_meaning_differs_in_hash(one: str, other: str) -> None:
    assert hashes(one) != hashes(other)


def test_hash_folds_case_and_ignores_the_invisible() -> None:
    assert hashes("STRASSE Éa ΑΣ") == hashes("strasse éa ας".replace("ς", "σ"))
    assert hashes("hyphen") == hashes("hy\u00adphen")
    assert hashes("می\u200cخواهم") != hashes("میخواهم")


def test_hashes_are_spread() -> None:
    """No two of 300,000 short words share a hash, nor the low 32 bits of one more often than chance."""
    random.seed(0)
    names = list({"".join(random.choices("abcdefgh", k=random.randint(1, 12))) for _ in range(300_000)})
    found = words(text_batch(pa.array(names)))
    assert len(np.unique(found.hashes)) == len(names)
    low = len(names) - len(np.unique(found.hashes & np.uint64(0xFFFFFFFF)))
    assert low < 3 * len(names) ** 2 / 2**33 + 10


def test_hash_is_fixed() -> None:
    """Indexes of hashes outlive a version: a change here makes every one of them useless, and must be meant."""
    assert hashes("Word ดี =") == [2272345751945211382, 6178286718688696447, 4034626116861342593]


def test_bytes_that_are_no_text() -> None:
    assert [kind for _, kind in tokens(b"ab\xff\xfecd\xe2\x82")] == [WORD, SYMBOL, WORD, SYMBOL]
    assert [kind for _, kind in tokens(b"\xed\xa0\x80\xc0\xaf\xf4\x90\x80\x80")] == [SYMBOL]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
        max_size=6,
    )
)
def test_a_text_never_depends_on_its_neighbours(contents: list[bytes]) -> None:
    together, spelling = spelled_words(text_batch(pa.array(contents, pa.large_binary())))
    assert together.offsets[-1] == len(together.hashes) == len(spelling.hashes)
    for i, content in enumerate(contents):
        alone, alone_spelling = spelled_words(text_batch(pa.array([content], pa.binary())))
        here = slice(together.offsets[i], together.offsets[i + 1])
        assert together.hashes[here].tolist() == alone.hashes.tolist()
        assert together.kinds[here].tolist() == alone.kinds.tolist()
        assert spelling.hashes[here].tolist() == alone_spelling.hashes.tolist()
        lengths = together.ends[here] - together.starts[here]
        assert lengths.tolist() == (alone.ends - alone.starts).tolist()
        assert (lengths > 0).all()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_every_letter_and_sign_is_in_one_token(text: str) -> None:
    batch = text_batch(pa.array([text]))
    found, spelling = spelled_words(batch)
    assert (found.starts[1:] >= found.ends[:-1]).all()
    inside = np.zeros(len(batch.data), np.bool_)
    for start, end in zip(found.starts, found.ends, strict=True):
        inside[start:end] = True
    at = 0
    for character in text:
        size = len(character.encode())
        covered = unicodedata.category(character)[0] in "LNPSM" or unicodedata.category(character) == "Co"
        if covered:
            assert inside[at : at + size].all(), (character, text)
        at += size
    shown = [bytes(batch.data[a:b]).decode() for a, b in zip(found.starts, found.ends, strict=True)]
    assert spelling.chars.tolist() == [len(token) for token in shown]
    assert spelling.alphabetic.tolist() == [any(map(str.isalpha, token)) for token in shown]
    assert spelling.hashes.tolist() == token_hashes(shown).tolist()


def test_tables_agree_with_this_python() -> None:
    """On every character that both know: the committed tables may be of another version of Unicode."""
    tables = unicode_tables()
    codes = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
    array = np.array(codes)
    index = tables.property_index[array >> 7].astype(np.int64)
    found = tables.properties[(index << 7) | (array & 127)]
    spaces = np.array([chr(code).isspace() for code in codes])
    assert ((found & SPACE != 0) == spaces).all()
    letters = np.array([unicodedata.category(chr(code)) in ("Ll", "Lu", "Lt") for code in codes])
    assert (found[letters] & CLASS_MASK == TokenClass.LETTER).mean() > 0.99


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.text("aAzZ@[`{kKſ\u212aßẞéÉ\u00ad\u200b\u0301дД中ดี😀.", max_size=20)
        | st.sampled_from(["co\u00adop", "Coop", "Straße" * 12, "É" * 70, "é" * 70, "Abcdefgh", "ABCDEFGHI"]),
        min_size=1,
        max_size=8,
    )
)
def test_folded_spelling_tells_the_same_words_apart(texts: list[str]) -> None:
    batch = text_batch(pa.array(texts))
    found = tokens_of(batch)
    known = words(batch).hashes.tolist()
    folded = folded_spelling(batch, found, token_spelling(batch, found)).tolist()
    for one, other in itertools.combinations(range(len(known)), 2):
        assert (known[one] == known[other]) == (folded[one] == folded[other])


def test_folded_spelling_of_bytes_that_are_no_text() -> None:
    batch = text_batch(pa.array([b"\xff\xfe \xfe\xfe \xef\xbf\xbd a\xff A\xfe"]))
    found = tokens_of(batch)
    known = words(batch).hashes.tolist()
    folded = folded_spelling(batch, found, token_spelling(batch, found)).tolist()
    for one, other in itertools.combinations(range(len(known)), 2):
        assert (known[one] == known[other]) == (folded[one] == folded[other])
