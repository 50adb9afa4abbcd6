"""Scores against gold, and labels by alignment with it."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.extract.learn.dataset import Example, examples, folds
from pipelines.extract.learn.gold import GoldPage, f1, shingles

PARAGRAPH = "The river rises in the hills above the town and runs for sixty miles to a wide grey sea."
SECOND = "Its upper valley was settled early, and every mill that stood on it is still to be seen today."


def gold(html: str, text: str | None, present: tuple[str, ...] = (), absent: tuple[str, ...] = ()) -> GoldPage:
    return GoldPage("a set", "1", None, "host", "", html.encode(), text, present, absent)


def example(html: str, text: str | None, **snippets: tuple[str, ...]) -> Example:
    (one,) = examples([gold(html, text, **snippets)])
    return one


def test_f1() -> None:
    page = gold("", PARAGRAPH)
    assert f1(page, PARAGRAPH) == 1
    assert f1(page, PARAGRAPH.upper().replace(" ", "\n")) == 1
    assert f1(page, "") == 0
    assert f1(page, f"{PARAGRAPH} {SECOND}") == pytest.approx(
        2 * shingles(PARAGRAPH).total() / (shingles(PARAGRAPH).total() + shingles(f"{PARAGRAPH} {SECOND}").total())
    )
    assert f1(gold("", "山川 異域"), "山川異域") == 1, "a Han character is a word"
    assert f1(gold("", None, ("one two", "three"), ("four",)), "one  two four") == pytest.approx(2 / (2 + 1 + 1))


def test_letters_that_look_the_same_are_the_same() -> None:
    """Bengali's letter with a dot has one code point or two; normal form C, which gold texts are in, has two."""
    one, two = "\u09a6\u09cc\u09b2\u09a4\u09aa\u09c1\u09df", "\u09a6\u09cc\u09b2\u09a4\u09aa\u09c1\u09af\u09bc"
    assert one != two
    assert f1(gold("", None, (two,)), f"{one} {one}") == f1(gold("", f"{two} a b c"), f"{one} a b c") == 1
    assert example(f"<p>{one}<p>Share", None, present=(two,), absent=("Share",)).share.tolist() == [1, 0]


def test_blocks_of_the_gold_text_are_main_text() -> None:
    html = f"<nav><a>Home<li>The Wye</nav><h1>The Wye</h1><p>{PARAGRAPH}<p>{SECOND}<aside>Home again</aside><p>The Wye"
    one = example(html, f"The Wye\n{PARAGRAPH}\n{SECOND}")
    texts = [one.text(np.arange(len(one.share)) == b) for b in range(len(one.share))]
    labelled = dict(zip(texts, one.share.tolist(), strict=True))
    assert labelled[PARAGRAPH] == labelled[SECOND] == 1
    assert labelled["Home"] == labelled["Home again"] == 0
    headings = [share for text, share in zip(texts, one.share, strict=True) if text == "The Wye"]
    assert sum(headings) == 1, "the gold has it once"


def test_a_repeated_text_is_main_text_as_often_as_the_gold_has_it() -> None:
    one = example(f"<p>{PARAGRAPH}</p><p>{SECOND}</p><p>{PARAGRAPH}</p>", f"{PARAGRAPH}\n{SECOND}")
    assert one.share.tolist() == [1, 1, 0]


def test_snippets_label_what_they_stand_in() -> None:
    one = example(
        f"<p>{PARAGRAPH}</p><p>{SECOND}</p><p>Share this page</p>",
        None,
        present=("above the town",),
        absent=("Share this page",),
    )
    assert one.share.tolist() == [1, -1, 0]


def test_hosts_are_never_parted() -> None:
    some = [
        GoldPage("a set", str(k), None, f"host{k % 7}", "", f"<p>{PARAGRAPH}".encode(), PARAGRAPH, (), ())
        for k in range(40)
    ]
    found = examples(some)
    fold = folds(found, 3, 0)
    by_host = {one.gold.host: set() for one in found}
    for one, of in zip(found, fold, strict=True):
        by_host[one.gold.host].add(of)
    assert all(len(of) == 1 for of in by_host.values())
    assert set(fold) == {0, 1, 2}
