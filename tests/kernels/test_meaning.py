"""Texts that differ in meaning by a mark, a vowel sign or an operator stay apart wherever texts are compared."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest

from dedup.exact import content_hash
from dedup.minhash import MinHashConfig, signatures
from dedup.shingles import shingle_sets
from kernels.strings import text_batch
from kernels.words import PUNCTUATION, spelled_words

# (language, one text, another, what they mean)
PAIRS = [
    ("Thai", "ดี", "ดู", "good, look"),
    ("Thai", "ใกล้", "ไกล", "near, far"),
    ("Thai", "ขาว", "ข้าว", "white, rice"),
    ("Lao", "ເຂົາ", "ເຂົ້າ", "they, rice"),
    ("Khmer", "ទឹក", "ទុក", "water, keep"),
    ("Burmese", "ကာ", "ကား", "shield, car"),
    ("Japanese", "か", "が", "two particles"),
    ("Japanese", "かき", "かぎ", "persimmon, key"),
    ("Japanese", "ビル", "ビール", "building, beer"),
    ("Japanese", "びょういん", "びよういん", "hospital, hairdresser"),
    ("Japanese", "ハハ", "パパ", "mother, papa"),
    ("Chinese", "买", "卖", "buy, sell"),
    ("Chinese", "未来", "末来", "future, no word"),
    ("Korean", "달", "딸", "moon, daughter"),
    ("Arabic", "عَلَم", "عِلْم", "flag, knowledge"),
    ("Arabic", "سأل", "سال", "asked, flowed"),
    ("Persian", "گِل", "گُل", "mud, flower"),
    ("Urdu", "کَل", "کُل", "tomorrow, whole"),
    ("Hebrew", "סֵפֶר", "סַפָּר", "book, barber"),
    ("Hebrew", "שׂר", "שׁר", "minister, sings"),
    ("Hindi", "दिन", "दीन", "day, poor"),
    ("Hindi", "राज", "राज़", "rule, secret"),
    ("Bengali", "দিন", "দীন", "day, poor"),
    ("Gujarati", "દિન", "દીન", "day, poor"),
    ("Punjabi", "ਦਿਨ", "ਦੀਨ", "day, faith"),
    ("Tamil", "கல்", "கால்", "stone, leg"),
    ("Telugu", "పలు", "పాలు", "many, milk"),
    ("Kannada", "ಹಲ್ಲು", "ಹುಲ್ಲು", "tooth, grass"),
    ("Malayalam", "പല", "പാല", "many, a tree"),
    ("Sinhala", "කල", "කාල", "time, quarter"),
    ("Tibetan", "ས", "སོ", "earth, tooth"),
    ("Amharic", "በላ", "ብላ", "he ate, eat!"),
    ("Vietnamese", "ma", "má", "ghost, mother"),
    ("Vietnamese", "bạn", "bán", "friend, sell"),
    ("Yoruba", "ọkọ", "ọkọ́", "husband, hoe"),
    ("Spanish", "año", "ano", "year, anus"),
    ("Portuguese", "avó", "avô", "grandmother, grandfather"),
    ("French", "pécher", "pêcher", "sin, fish"),
    ("Italian", "e", "è", "and, is"),
    ("Catalan", "mes", "més", "month, more"),
    ("Romanian", "fata", "fată", "the girl, girl"),
    ("German", "Maße", "Masse", "measures, mass"),
    ("German", "schon", "schön", "already, beautiful"),
    ("Swedish", "har", "här", "has, here"),
    ("Danish", "far", "får", "father, sheep"),
    ("Finnish", "nain", "näin", "I marry, thus"),
    ("Hungarian", "kor", "kör", "age, circle"),
    ("Polish", "kat", "kąt", "executioner, angle"),
    ("Czech", "byt", "být", "flat, be"),
    ("Croatian", "kuca", "kuća", "knocks, house"),
    ("Lithuanian", "karstas", "karštas", "coffin, hot"),
    ("Latvian", "kazas", "kāzas", "goats, wedding"),
    ("Turkish", "sinir", "sınır", "nerve, border"),
    ("Russian", "все", "всё", "all, everything"),
    ("Ukrainian", "грати", "ґрати", "play, bars"),
    ("Bulgarian", "и", "ѝ", "and, her"),
    ("Greek", "νόμος", "νομός", "law, prefecture"),
    ("Hawaiian", "pau", "paʻu", "finished, soot"),
    ("Dutch", "een", "één", "a, one"),
    ("Norwegian", "for", "fôr", "for, fodder"),
    ("Icelandic", "vin", "vín", "friend, wine"),
    ("Slovak", "rad", "rád", "row, glad"),
    ("Slovenian", "kos", "koš", "piece, basket"),
    ("Estonian", "tuli", "tüli", "fire, quarrel"),
    ("Albanian", "me", "më", "with, more"),
    ("Galician", "oso", "óso", "bear, bone"),
    ("Welsh", "mor", "môr", "so, sea"),
    ("Irish", "fear", "féar", "man, grass"),
    ("Scottish Gaelic", "bata", "bàta", "stick, boat"),
    ("Esperanto", "sarko", "ŝarko", "flesh, shark"),
    ("Azerbaijani", "an", "ən", "moment, most"),
    ("Kurdish", "sal", "şal", "year, shawl"),
    ("Hausa", "kasa", "ƙasa", "fail, earth"),
    ("Igbo", "ákwá", "àkwà", "crying, bed"),
    ("Māori", "keke", "kēkē", "cake, armpit"),
    ("Navajo", "azeeʼ", "azééʼ", "medicine, mouth"),
    ("Macedonian", "не", "нѐ", "not, us"),
    ("Russian", "мой", "мои", "my, my (many)"),
    ("Kazakh", "тұр", "түр", "stand, kind"),
    ("Armenian", "տար", "տառ", "carry, letter"),
    ("Georgian", "ქარი", "კარი", "wind, door"),
    ("Marathi", "सुत", "सूत", "son, thread"),
    ("Odia", "ଦିନ", "ଦୀନ", "day, poor"),
    ("mathematics", "x ∈ ℝ", "x ∈ R", ""),
    ("mathematics", "a ≤ b", "a ≥ b", ""),
    ("mathematics", "−5 °C", "5 °C", ""),
    ("mathematics", "10⁻³", "10-3", ""),
    ("mathematics", "2½", "21/2", ""),
    ("mathematics", "∑ x", "∏ x", ""),
    ("mathematics", "x^2+1", "x-2=1", ""),
    ("mathematics", "a<b", "a>b", ""),
    ("mathematics", "x ∈ A", "x ∉ A", ""),
    ("mathematics", "3.14", "314", ""),
    ("mathematics", "1,5", "15", ""),
    ("mathematics", "x²", "x2", ""),
    ("code", "x = y", "x == y", ""),
    ("code", "a & b", "a | b", ""),
    ("code", "a * b", "a / b", ""),
    ("code", "user_name", "user name", ""),
]

# What the rule for prose leaves out: signs that are punctuation there, and letter case.
FORMAL_PAIRS = [
    ("n! + 1", "n + 1"),
    ("(a + b) * c", "a + (b * c)"),
    ("if (!done) stop", "if (done) stop"),
    ("f: A, B", "f: A; B"),
    ("X + y", "x + y"),
    ("a - b", "a b"),
]

FORMS = ("NFC", "NFD")


def _compared(text: str) -> dict[str, object]:
    """Everything by which a text is compared."""
    column = pa.array([text])
    words, spelling = spelled_words(text_batch(column))
    return {
        "words": words.hashes[words.kinds != PUNCTUATION].tolist(),
        "spelling": spelling.hashes.tolist(),
        "content": content_hash(column)[0].as_py(),
        **{
            f"shingles of {profile}": shingle_sets(column, 5, profile).hashes.tolist()
            for profile in ("auto", "characters", "formal")
        },
        "signature": signatures(column, MinHashConfig()).tolist(),
    }


def test_the_table_is_of_many_languages() -> None:
    assert len({language for language, *_ in PAIRS}) >= 70
    assert all(one != other for _, one, other, _ in PAIRS)


@pytest.mark.parametrize(("language", "one", "other", "meaning"), PAIRS)
def test_what_differs_in_meaning_stays_apart(language: str, one: str, other: str, meaning: str) -> None:
    for form in FORMS:
        left, right = (_compared(unicodedata.normalize(form, text)) for text in (one, other))
        for key, value in left.items():
            assert value, key
            assert value != right[key], (language, form, key, meaning)


@pytest.mark.parametrize(("one", "other"), FORMAL_PAIRS)
def test_the_formal_profile_reads_every_sign_and_case(one: str, other: str) -> None:
    left, right = (_compared(text) for text in (one, other))
    assert left["shingles of formal"] != right["shingles of formal"]


def test_the_sentences_around_them_stay_apart_too() -> None:
    """A document with the one and a document with the other have different sets of shingles, in every language."""
    frame = "one two three four five six {} seven eight nine ten eleven twelve"
    for language, one, other, _ in PAIRS:
        found = [shingle_sets(pa.array([frame.format(text)])).hashes.tolist() for text in (one, other)]
        assert found[0] != found[1], language
