"""How far two systems decide alike, and why where they do not.

A reason is tested, not guessed, where it can be: the language model is asked about the whole text, FineWeb's filter
about the text as datatrove's C4 filter left it, a cluster about its other members.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from benchmarks.fineweb.decisions import (
    C4,
    CONSENT,
    DUPLICATE,
    FINEWEB,
    GOPHER,
    KEPT,
    LANGUAGE,
    NO_TEXT,
    STAGES,
    Decision,
    Run,
)

EXTRACTION = "the text was extracted with other settings (decisions agree on equal texts)"
ONLY_HERE = "one of the two found no main text, or gave up after its time limit"
REFUSED = "consent: the page itself says that it may not be trained on; the example there does not ask"
WINDOW = "language: from the first 1,000 characters here, from the whole text there (tested)"
LANGUAGE_OTHER = "language: another cause"
WORDS = "gopher: words are split by other rules; given our words, datatrove decides as we do (tested)"
GOPHER_OTHER = "gopher: another cause; given our words, datatrove still decides otherwise"
SENTENCES = "c4: sentences are split by other rules (spaCy's there)"
C4_LINES = "fineweb: datatrove's C4 filter has taken lines out of the text before (tested)"
FINEWEB_OTHER = "fineweb: lines or words are split by other rules"
OTHER_COPY = "duplicate: another copy of the same cluster is kept (tested)"
ORIGINAL_GONE = "duplicate: what it is a copy of was dropped before by a filter that differs (tested)"
CUT_TEXT = "duplicate: compared without verification there, and on texts with lines taken out"
UNVERIFIED = "duplicate: in no cluster here; bands that meet there are not verified"
MISSED = "duplicate: bands met here and not there (other words, other hash functions)"


def compare(
    ours: Run,
    theirs: Mapping[str, Decision],
    same_words: Mapping[str, bool],
    agreed_on_equal_texts: Mapping[str, bool] | None = None,
) -> dict[str, Any]:
    """Counts of pages by both stages, shares that agree, and the reasons for those that do not.

    Args:
        ours: Pomona's run.
        theirs: datatrove's decisions; a page that is not in them gave no text.
        same_words: whether datatrove's Gopher filters keep a page of `disputed` when they are given our words.
        agreed_on_equal_texts: for a run with extraction, whether a page was kept or dropped alike on equal texts.
    """
    table: Counter[tuple[str, str]] = Counter()
    reasons: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for uri in sorted({*ours.decisions, *theirs}):
        mine, other = (found.get(uri, Decision(NO_TEXT)) for found in (ours.decisions, theirs))
        table[mine.stage, other.stage] += 1
        if (mine.stage == KEPT) != (other.stage == KEPT):
            reason = _reason(uri, mine, other, ours, theirs, same_words, agreed_on_equal_texts)
            reasons[reason] += 1
            examples.setdefault(reason, uri)
    pages = table.total()
    alike = sum(count for (mine, other), count in table.items() if (mine == KEPT) == (other == KEPT))
    same = sum(count for (mine, other), count in table.items() if mine == other)
    return {
        "pages": pages,
        "kept_or_dropped_alike": alike / pages if pages else 1.0,
        "same_stage": same / pages if pages else 1.0,
        "table": [[table[mine, other] for other in STAGES] for mine in STAGES],
        "reasons": dict(reasons.most_common()),
        "examples": examples,
    }


def disputed(ours: Run, theirs: Mapping[str, Decision]) -> dict[str, str]:
    """Texts, by address, that one of the two drops by Gopher's rules and the other keeps."""
    return {
        uri: mine.text
        for uri, mine in ours.decisions.items()
        for other in [theirs.get(uri, Decision(NO_TEXT))]
        if (mine.stage == KEPT) != (other.stage == KEPT) and _first(mine, other) == GOPHER
    }


def _first(mine: Decision, other: Decision) -> str:
    """The first stage at which one of them stopped: the one that they differ in."""
    return min((mine.stage, other.stage), key=STAGES.index)


def alike(ours: Run, theirs: Mapping[str, Decision]) -> dict[str, bool]:
    """Whether each page is kept or dropped by both."""
    nothing = Decision(NO_TEXT)
    return {
        uri: (ours.decisions.get(uri, nothing).stage == KEPT) == (theirs.get(uri, nothing).stage == KEPT)
        for uri in {*ours.decisions, *theirs}
    }


def _reason(
    uri: str,
    mine: Decision,
    other: Decision,
    ours: Run,
    theirs: Mapping[str, Decision],
    same_words: Mapping[str, bool],
    agreed: Mapping[str, bool] | None,
) -> str:
    if NO_TEXT in (mine.stage, other.stage):
        return ONLY_HERE
    if mine.stage == CONSENT:
        return REFUSED
    if agreed is not None and agreed.get(uri):
        return EXTRACTION
    stage = _first(mine, other)
    if stage == LANGUAGE:
        return WINDOW if _whole_language(mine.text) == (other.stage != LANGUAGE) else LANGUAGE_OTHER
    if stage == GOPHER:
        return WORDS if same_words[uri] == (mine.stage != GOPHER) else GOPHER_OTHER
    if stage == C4:
        return SENTENCES
    if stage == FINEWEB:
        return C4_LINES if _fineweb(other.text) == (other.stage != FINEWEB) else FINEWEB_OTHER
    return _duplicate(uri, mine, ours, theirs)


def _duplicate(uri: str, mine: Decision, ours: Run, theirs: Mapping[str, Decision]) -> str:
    cluster = ours.clusters.get(uri)
    members = [one for one, its in ours.clusters.items() if its == cluster and one != uri] if cluster else []
    nothing = Decision(NO_TEXT)
    if mine.stage == DUPLICATE:
        ends = {theirs.get(one, nothing).stage for one in members}
        if DUPLICATE in ends:
            return OTHER_COPY
        return MISSED if KEPT in ends else ORIGINAL_GONE
    if any(theirs.get(one, nothing).stage == KEPT for one in members):
        return OTHER_COPY
    return CUT_TEXT if members else UNVERIFIED


def _whole_language(text: str) -> bool:
    """Whether the language model is sure enough of the whole text."""
    import fasttext

    from filters.language import model_path

    if not _MODEL:
        _MODEL.append(fasttext.load_model(str(model_path())))
    _, scores = _MODEL[0].predict([text.replace("\n", " ")], k=1)
    return float(scores[0][0]) > 0.65


_MODEL: list[Any] = []


def _fineweb(text: str) -> bool:
    """Whether FineWeb's own filter keeps a text."""
    import filters

    signals = filters.measure(pa.array([text], pa.large_string()), ["fineweb"])
    return bool(filters.decide(signals, filters.rules("fineweb"))["keep"][0].as_py())
