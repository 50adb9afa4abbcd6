"""Why two systems decide otherwise on a page: each reason is the one that a test of it bears out."""

from __future__ import annotations

import pytest

from benchmarks.fineweb import agreement
from benchmarks.fineweb.decisions import C4, DUPLICATE, FINEWEB, GOPHER, KEPT, STAGES, Decision, Run

PROSE = "\n".join(f"This is sentence number {number}, and it ends as sentences do." for number in range(20))
LISTED = "\n".join(f"item {number}" for number in range(30))


def reasons(
    mine: dict[str, Decision],
    theirs: dict[str, Decision],
    clusters: dict[str, str] | None = None,
    same_words: dict[str, bool] | None = None,
    agreed: dict[str, bool] | None = None,
) -> dict[str, int]:
    found = agreement.compare(Run(mine, clusters or {}), theirs, same_words or {}, agreed)
    assert sum(map(sum, found["table"])) == found["pages"] == len({*mine, *theirs})
    return found["reasons"]


def test_pages_that_agree_need_no_reason() -> None:
    same = {"a": Decision(KEPT, "", PROSE), "b": Decision(GOPHER, "few-words", "x")}
    found = agreement.compare(Run(same, {}), same, {})
    assert found["kept_or_dropped_alike"] == found["same_stage"] == 1.0
    assert found["reasons"] == {}
    assert found["table"][STAGES.index(KEPT)][STAGES.index(KEPT)] == 1


def test_a_page_missing_there_gave_no_text() -> None:
    assert reasons({"a": Decision(KEPT, "", PROSE)}, {}) == {agreement.ONLY_HERE: 1}


@pytest.mark.parametrize(("kept", "reason"), [(False, agreement.WORDS), (True, agreement.GOPHER_OTHER)])
def test_words_are_tested(kept: bool, reason: str) -> None:
    mine, theirs = {"a": Decision(GOPHER, "", PROSE)}, {"a": Decision(KEPT, "", PROSE)}
    assert agreement.disputed(Run(mine, {}), theirs) == {"a": PROSE}
    assert reasons(mine, theirs, same_words={"a": kept}) == {reason: 1}


@pytest.mark.parametrize(("left", "reason"), [(LISTED, agreement.C4_LINES), (PROSE, agreement.FINEWEB_OTHER)])
def test_what_c4_left_is_tested(left: str, reason: str) -> None:
    assert reasons({"a": Decision(KEPT, "", PROSE)}, {"a": Decision(FINEWEB, "", left)}) == {reason: 1}


def test_on_equal_texts_alike_means_the_extraction_differs() -> None:
    mine, theirs = {"a": Decision(C4, "", PROSE)}, {"a": Decision(KEPT, "", PROSE)}
    assert reasons(mine, theirs, agreed={"a": True}) == {agreement.EXTRACTION: 1}
    assert reasons(mine, theirs, agreed={"a": False}) == {agreement.SENTENCES: 1}


def test_the_other_copy_of_a_cluster_is_kept() -> None:
    mine = {"a": Decision(DUPLICATE), "b": Decision(KEPT)}
    theirs = {"a": Decision(KEPT), "b": Decision(DUPLICATE)}
    assert reasons(mine, theirs, {"a": "b", "b": "b"}) == {agreement.OTHER_COPY: 2}


def test_duplicates_on_one_side_only() -> None:
    mine = {"a": Decision(DUPLICATE), "b": Decision(KEPT)}
    both = {"a": Decision(KEPT), "b": Decision(KEPT)}
    assert reasons(mine, both, {"a": "b", "b": "b"}) == {agreement.MISSED: 1}
    gone = {"a": Decision(KEPT), "b": Decision(GOPHER)}
    assert agreement.ORIGINAL_GONE in reasons(mine, gone, {"a": "b", "b": "b"}, {"b": True})
    assert reasons({"a": Decision(KEPT)}, {"a": Decision(DUPLICATE)}) == {agreement.UNVERIFIED: 1}
