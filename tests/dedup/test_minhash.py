from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import MinHashConfig
from dedup.minhash import EMPTY, band_keys, has_shingles, jaccard, signatures
from dedup.shingles import shingle_sets, shingles
from kernels.strings import text_batch
from kernels.words import PUNCTUATION, words

Planted = Callable[[float, int, int, int], list[tuple[str, str]]]
texts = st.lists(st.text(max_size=60), max_size=8)


def exact(left: str, right: str, size: int = 5) -> float:
    sets = shingle_sets(pa.array([left, right]), size)
    a = set(sets.hashes[: sets.offsets[1]].tolist())
    b = set(sets.hashes[sets.offsets[1] :].tolist())
    return len(a & b) / len(a | b) if a | b else 0.0


def plain_shingles(text: str, size: int) -> int:
    """The number of distinct word shingles, counted without the kernels, of a text of plain words."""
    words = text.lower().split()
    return len({tuple(words[i : i + size]) for i in range(max(len(words) - size + 1, 1))}) if words else 0


def test_signatures_have_the_agreed_shape_and_order(pages: list[str]) -> None:
    found = signatures(pa.array(pages))
    assert found.shape == (len(pages), 112)
    assert found.dtype == np.uint32
    backwards = signatures(pa.array(pages[::-1], pa.large_string()), MinHashConfig())
    assert np.array_equal(found, backwards[::-1])


def test_shingles_are_counted_as_words_say(planted: Planted) -> None:
    for left, right in planted(0.5, 200, 5, 1):
        sets = shingle_sets(pa.array([left, right]))
        assert np.diff(sets.offsets).tolist() == [plain_shingles(left, 5), plain_shingles(right, 5)]
        assert exact(left, right) == pytest.approx(0.5, abs=0.01)


@settings(max_examples=30, deadline=None)
@given(st.text("ab,.=+- ", max_size=80), st.integers(1, 12))
def test_shingles_are_runs_of_words_and_symbols(text: str, size: int) -> None:
    batch = text_batch(pa.array([text, "x", text]))
    found = words(batch)
    spelt = [
        bytes(batch.data[a:b]).lower()
        for a, b, kind in zip(found.starts, found.ends, found.kinds, strict=True)
        if kind != PUNCTUATION
    ][found.offsets[2] - int((found.kinds[: found.offsets[2]] == PUNCTUATION).sum()) :]
    runs = [tuple(spelt[k : k + size]) for k in range(max(len(spelt) - size + 1, 1))] if spelt else []
    offsets, hashes = shingles(pa.array([text, "x", text]), size)
    own = hashes[offsets[2] :].tolist()
    assert len(own) == len(runs)
    assert len(set(zip(own, runs, strict=True))) == len(set(own)) == len(set(runs))
    assert own == hashes[: offsets[1]].tolist()


@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.7, 0.8, 0.9])
def test_the_estimate_is_unbiased_and_its_error_is_that_of_theory(planted: Planted, similarity: float) -> None:
    pairs = planted(similarity, 100, 400, int(similarity * 100))
    left = pa.array([a for a, _ in pairs])
    right = pa.array([b for _, b in pairs])
    truth = np.array([exact(a, b) for a, b in pairs])
    assert np.allclose(truth, similarity, atol=0.02)
    errors = []
    for seed in range(6):
        config = MinHashConfig(seed=seed)
        errors.append(jaccard(signatures(left, config), signatures(right, config)) - truth)
    error = np.concatenate(errors)
    theory = np.sqrt(np.mean(truth * (1 - truth)) / 112)
    # Both bounds lie 3.4 standard errors out: 2,400 estimates give the RMSE a standard error of 1/sqrt(4800) = 1.44 %.
    assert abs(error.mean()) < 3.5 * theory / math.sqrt(len(error))
    assert abs(math.sqrt(np.mean(error**2)) / theory - 1) < 0.05


def test_the_estimate_agrees_with_datasketch(planted: Planted) -> None:
    import datasketch

    pairs = planted(0.75, 150, 60, 3)
    ours = jaccard(signatures(pa.array([a for a, _ in pairs])), signatures(pa.array([b for _, b in pairs])))
    theirs = []
    for pair in pairs:
        sketches = []
        for text in pair:
            words = text.split()
            sketch = datasketch.MinHash(num_perm=112, seed=1)
            sketch.update_batch([" ".join(words[i : i + 5]).encode() for i in range(len(words) - 4)])
            sketches.append(sketch)
        theirs.append(sketches[0].jaccard(sketches[1]))
    spread = math.sqrt(0.75 * 0.25 / 112)
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=4 * spread * math.sqrt(2 / len(pairs)))


def test_a_text_shorter_than_a_shingle_has_a_signature() -> None:
    found = signatures(pa.array(["Hello", "hello!", "Hello world", "one two three four", "Goodbye"]))
    assert has_shingles(found).all()
    assert np.array_equal(found[0], found[1])  # letter case and punctuation do not count
    assert len(np.unique(found, axis=0)) == 4


def test_a_text_without_words_has_none() -> None:
    found = signatures(pa.array(["", None, "... !? ...", " \n\t", "word"]))
    assert (found[:4] == EMPTY).all()
    assert has_shingles(found).tolist() == [False, False, False, False, True]
    assert jaccard(found[:1], found[1:2]).tolist() == [0.0]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("ภาพยนตร์เรื่องนี้ดีมากจริงๆ", "ภาพยนตร์เรื่องนี้ดูมากจริงๆ"),  # Thai: ดี good, ดู look
        ("か", "が"),
        ("か", "\u304b\u3099"),  # the same, decomposed
        ("ガス管", "カス管"),
        ("x^2+1", "x-2=1"),
        ("x^2 + 1 = 0", "x^2 - 1 = 0"),
    ],
)
def test_marks_and_operators_tell_texts_apart(left: str, right: str) -> None:
    assert exact(left, right) < 1.0
    found = signatures(pa.array([left, right]))
    assert jaccard(found[:1], found[1:])[0] < 1.0


def test_line_breaks_case_and_punctuation_do_not_count(pages: list[str]) -> None:
    page = pages[len(pages) // 2]
    rewrapped = "\n".join(page.upper().split())
    found = signatures(pa.array([page, rewrapped]))
    assert jaccard(found[:1], found[1:])[0] == 1.0


@settings(max_examples=30, deadline=None)
@given(texts, st.integers(0, 8))
def test_batch_borders_change_nothing(batch: list[str], border: int) -> None:
    config = MinHashConfig(permutations=16)
    whole = signatures(pa.array(batch, pa.string()), config)
    parts = [signatures(pa.array(part, pa.string()), config) for part in (batch[:border], batch[border:])]
    assert np.array_equal(whole, np.concatenate(parts))
    sliced = pa.array([*batch, "tail"], pa.large_string()).slice(0, len(batch))
    assert np.array_equal(whole, signatures(sliced, config))


def test_large_batches_are_cut_without_a_trace(pages: list[str]) -> None:
    many = pages * 4
    assert sum(map(len, many)) > 1 << 20
    whole = signatures(pa.array(many))
    assert np.array_equal(whole[: len(pages)], signatures(pa.array(pages)))
    assert np.array_equal(whole[: len(pages)], whole[-len(pages) :])


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=200), st.integers(1, 30))
def test_character_shingles_are_those_of_a_plain_count(text: str, size: int) -> None:
    # White space here is what ends a word in ASCII; other spaces are characters like any other.
    units = "".join(" " if ord(c) <= 32 else c for c in text)
    while "  " in units:
        units = units.replace("  ", " ")
    units = units.strip(" ")
    expected = {units[i : i + size] for i in range(max(len(units) - size + 1, 1))} if units else set()
    found = shingle_sets(pa.array([text]), size, "characters")
    assert len(found.hashes) == len(expected)


def test_the_first_permutations_do_not_depend_on_their_number(pages: list[str]) -> None:
    few = signatures(pa.array(pages[:5]), MinHashConfig(permutations=16))
    many = signatures(pa.array(pages[:5]), MinHashConfig(permutations=128))
    assert np.array_equal(few, many[:, :16])
    assert not np.array_equal(few, signatures(pa.array(pages[:5]), MinHashConfig(permutations=16, seed=1)))


def test_band_keys_tell_bands_apart() -> None:
    same = np.full((2, 8), 7, np.uint32)
    keys = band_keys(same, 4, 2)
    assert keys.shape == (2, 4)
    assert np.array_equal(keys[0], keys[1])
    assert len(np.unique(keys[0])) == 4  # equal values in another band are another key
    with pytest.raises(ValueError, match=r"\(2, 8\).*expected \(documents, 9\)"):
        band_keys(same, 3, 3)


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="permutations"):
        MinHashConfig(permutations=0)
    with pytest.raises(ValueError, match="size: found 0"):
        shingles(pa.array(["a"]), 0)
    with pytest.raises(ValueError, match='profile: found "bytes"'):
        shingles(pa.array(["a"]), 5, "bytes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shapes"):
        jaccard(np.zeros((1, 2), np.uint32), np.zeros((2, 2), np.uint32))


@pytest.mark.slow
def test_signatures_are_the_same_in_every_process(pages: list[str]) -> None:
    code = (
        "import pyarrow as pa, hashlib\nfrom pydoc_data.topics import topics\nfrom dedup.minhash import signatures\n"
        "print(hashlib.sha256(signatures(pa.array([topics['assert'], 'ดี か x^2'])).tobytes()).hexdigest())"
    )
    root = Path(__file__).parents[2]
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root), "PATH": ""},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
