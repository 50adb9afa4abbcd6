"""Why a record is, or is not, in the mixture: everything the run knows about one id or one URL."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from filters.expression import SECOND_LANGUAGE
from pipelines.lookup import UnknownRecord as UnknownRecord
from pipelines.lookup import find, rows_where
from pipelines.report.folder import Rule, RunFolder, parse_evidence, read_batches

if TYPE_CHECKING:
    from rich.console import Console

COPIES = 10
"""Copies of a kept record that are named; all are counted."""


@dataclass(frozen=True)
class Verdict:
    """One step's verdict on the record: a row of the ledger, its evidence parsed."""

    step: str
    verdict: str
    reason: str
    signal: str | None
    value: float | None
    threshold: float | None
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """One rule on the record.

    `asked` tells whether the rule is for its kind, source and language; `passed` is None where it is not. A value that
    was not measured (None) does not pass. Of a rule on lines `value` is the number of lines that fail it.
    """

    rule: str
    signal: str
    value: float | None
    min: float | None
    max: float | None
    action: str
    asked: bool
    passed: bool | None


@dataclass(frozen=True)
class Duplicate:
    """The record that stayed in this one's place."""

    parent: str
    parent_uri: str
    cluster: str
    similarity: float | None
    method: str


@dataclass(frozen=True)
class Span:
    """A benchmark's text found in the record; `start` and `end` count code points.

    `item_text` is the item's own, `aligned` the item as the record has it, in the manner of wdiff.
    """

    benchmark: str
    item: str
    start: int | None
    end: int | None
    score: float | None
    text: str
    item_text: str = ""
    aligned: str = ""


@dataclass(frozen=True)
class Placement:
    """The record in a stage: `weight` is how often the stage takes it, `tokens` its length with the end mark."""

    stage: str
    tokens: int
    weight: float


@dataclass(frozen=True)
class RecordStory:
    """Everything known of one record. `outcome` is "kept", "dropped" or "failed"; `told` says it in a sentence."""

    id: str
    uri: str
    source: str
    outcome: str
    told: str
    kind: str | None
    language: str | None
    license: str | None
    fetched_at: str | None
    rights: Mapping[str, str]
    metadata: Mapping[str, Any]
    characters: int | None
    verdicts: tuple[Verdict, ...]
    checks: tuple[Check, ...]
    signals: Mapping[str, float | str | None]
    duplicate: Duplicate | None
    copies: int
    copy_uris: tuple[str, ...]
    spans: tuple[Span, ...]
    placements: tuple[Placement, ...]


@dataclass(frozen=True)
class Story:
    """The answer to one key: how it was matched ("id", "id prefix", "URL", "URL variant") and every record found."""

    run: str
    key: str
    matched: str
    records: tuple[RecordStory, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the story as JSON-able values."""
        return dataclasses.asdict(self)


def why(run: Path, key: str) -> Story:
    """Tell the story of the records with this id (or a prefix of 8 or more hex digits) or URL.

    A URL is first taken as it stands, then without its fragment, with and without a final slash, host in small letters
    and default port left out; http and https are tried for each other last. Several records of one URL are all told.
    Raises UnknownRecord with the nearest URIs, and `RunFolderError` when the folder is not a finished run.
    """
    folder = RunFolder.open(run)
    matched, records = find(folder, key)
    ids = sorted({rows[-1]["id"] for rows in records})
    documents, signals, placements = _documents(folder, ids), _signals(folder, ids), _placements(folder, ids)
    copies = _copies(folder, ids)
    stories: list[RecordStory] = []
    for rows in records:
        id_ = rows[-1]["id"]
        held = (documents.get(id_, {}), signals.get(id_, {}), placements.get(id_, ()), copies.get(id_, ()))
        stories.append(_story(folder, rows, *held))
    stories.sort(key=lambda story: (("kept", "dropped", "failed").index(story.outcome), story.uri, story.id))
    return Story(str(run), key, matched, tuple(stories))


def _documents(folder: RunFolder, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read the records' documents, those of the latest step that has them last, so that they win."""
    found: dict[str, dict[str, Any]] = {}
    for files in dict.fromkeys((folder.documents_until("measure"), folder.documents_until())):
        for row in rows_where(files, ds.field("id").isin(ids)):
            known = {name: value for name, value in row.items() if value is not None}
            found[row["id"]] = {**found.get(row["id"], {}), **known}
    return found


def _signals(folder: RunFolder, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    rows = rows_where(folder.signals, ds.field("id").isin(ids))
    return {
        row["id"]: {
            name: _number(value) if isinstance(value, float) else value for name, value in row.items() if "." in name
        }
        for row in rows
    }


def _placements(folder: RunFolder, ids: Sequence[str]) -> dict[str, tuple[Placement, ...]]:
    found: dict[str, tuple[Placement, ...]] = {}
    for stage in folder.stages:
        for row in rows_where(folder.stage_files(stage), ds.field("id").isin(ids), ("id", "tokens", "weight")):
            placed = Placement(stage, int(row["tokens"]), float(row["weight"]))
            found[row["id"]] = (*found.get(row["id"], ()), placed)
    return found


def _copies(folder: RunFolder, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Find the records that were dropped as copies of these."""
    found: dict[str, tuple[str, ...]] = {}
    wanted = "|".join(ids)
    for path in folder.ledger:
        for batch in read_batches(path, ("uri", "verdict", "evidence")):
            dropped = batch.filter(pc.equal(batch["verdict"], pa.scalar("dropped")))
            for row in dropped.filter(
                pc.match_substring_regex(dropped["evidence"], f'"parent":"({wanted})"')
            ).to_pylist():
                parent = str(parse_evidence(row["evidence"]).get("parent"))
                found[parent] = (*found.get(parent, ()), row["uri"])
    return {parent: tuple(sorted(uris)) for parent, uris in found.items()}


def _story(
    folder: RunFolder,
    rows: Sequence[Mapping[str, Any]],
    document: Mapping[str, Any],
    signals: Mapping[str, float | str | None],
    placements: tuple[Placement, ...],
    copies: tuple[str, ...],
) -> RecordStory:
    verdicts = tuple(
        Verdict(
            row["step"],
            row["verdict"],
            row["reason"],
            row["signal"],
            _number(row["value"]),
            _number(row["threshold"]),
            parse_evidence(row["evidence"]),
        )
        for row in rows
    )
    last = rows[-1]
    measured = signals.get("language.language")
    language = document.get("language") or (measured if isinstance(measured, str) else None)
    kind = document.get("kind")
    checks = tuple(_check(rule, signals, kind, last["source"], language) for rule in folder.rules) if signals else ()
    duplicate = next((_duplicate(one.evidence) for one in verdicts if one.evidence.get("parent")), None)
    spans = tuple(_span(span) for one in verdicts for span in one.evidence.get("spans") or ())
    end = _end(verdicts)
    outcome = end.verdict
    fetched = document.get("fetched_at")
    return RecordStory(
        id=last["id"],
        uri=last["uri"],
        source=last["source"],
        outcome=outcome,
        told=_told(end, checks, duplicate, spans, placements),
        kind=kind,
        language=language,
        license=document.get("license"),
        fetched_at=fetched.isoformat() if fetched is not None else None,
        rights={name: value for name, value in (document.get("rights") or {}).items() if value is not None},
        metadata=parse_evidence(document.get("metadata")),
        characters=len(document["text"]) if "text" in document else None,
        verdicts=verdicts,
        checks=checks,
        signals=signals,
        duplicate=duplicate,
        copies=len(copies),
        copy_uris=copies[:COPIES],
        spans=spans,
        placements=placements,
    )


def _number(value: float | None) -> float | None:
    """JSON has no NaN: what could not be measured is null."""
    return None if value is None or value != value else value


def _check(
    rule: Rule, signals: Mapping[str, float | str | None], kind: str | None, source: str, language: str | None
) -> Check:
    of_lines = rule.action == "drop_line"
    found = signals.get(f"lines.{rule.name}" if of_lines else rule.signal)
    value = float(found) if isinstance(found, int | float) else None
    # A line rule goes by the language of the text as it came; a text that it was not asked of has no line that fails.
    before = signals.get("lines.language")
    second = signals.get(SECOND_LANGUAGE)
    asked = rule.covers(
        kind,
        source,
        before if of_lines and isinstance(before, str) else language,
        second if isinstance(second, str) else None,
    )
    passed = value == 0 if of_lines else rule.holds(value)
    return Check(rule.name, rule.signal, value, rule.min, rule.max, rule.action, asked, passed if asked else None)


def _duplicate(evidence: Mapping[str, Any]) -> Duplicate:
    similarity = evidence.get("similarity")
    return Duplicate(
        str(evidence["parent"]),
        str(evidence.get("parent_uri") or ""),
        str(evidence.get("cluster") or evidence["parent"]),
        None if similarity is None else float(similarity),
        str(evidence.get("method") or ""),
    )


def _span(span: Mapping[str, Any]) -> Span:
    told = (str(span.get("benchmark") or ""), str(span.get("item") or ""))
    texts = (str(span.get(name) or "") for name in ("text", "item_text", "aligned"))
    return Span(*told, span.get("start"), span.get("end"), span.get("score"), *texts)


def _end(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict that counts: of the last step's, "kept" if there is one (one read twice is dropped once)."""
    last = [one for one in verdicts if one.step == verdicts[-1].step]
    return next((one for one in last if one.verdict == "kept"), last[-1])


def _told(
    out: Verdict,
    checks: Sequence[Check],
    duplicate: Duplicate | None,
    spans: Sequence[Span],
    placements: Sequence[Placement],
) -> str:
    """Say in a sentence what became of the record."""
    if out.verdict == "kept":
        cut = [one for one in spans if one.benchmark]
        if cut and placements:
            names = ", ".join(f"{span.benchmark} {span.item}" for span in cut[:3])
            return f"Kept without passages that hold text of {names}: {placements[0].tokens} tokens."
        if not placements:
            return f"Kept by {out.step}; no stage takes it."
        taken = ", ".join(f"{one.stage} ×{one.weight:g}" for one in placements)
        return f"Kept to the end: {placements[0].tokens} tokens, in {taken}."
    if out.reason == "taken-down":
        by, version, told = (out.evidence.get(name) for name in ("by", "version", "why"))
        since = f"; mixtures from version {version} on are without it" if version else ""
        return f"Taken down{f' ({by})' if by else ''}{f': {told}' if told else ''}{since}."
    if out.verdict == "failed":
        return f"Failed in {out.step}: {out.reason}."
    if duplicate is not None:
        alike = "" if duplicate.similarity is None else f", similarity {duplicate.similarity:.4g}"
        return f"Dropped in {out.step}: {out.reason} of {duplicate.parent_uri or duplicate.parent}{alike}."
    if spans:
        names = ", ".join(f"{span.benchmark} {span.item}" for span in spans[:3])
        return f"Dropped in {out.step}: {out.reason}, it holds text of {names}."
    if out.evidence.get("rule"):
        return f"Dropped in {out.step}: {out.reason}, by the rule {str(out.evidence['rule'])!r}."
    if out.signal is not None and out.value is not None and out.threshold is not None:
        side = "below" if out.value < out.threshold else "above"
        others = sum(check.passed is False and check.action == "drop" for check in checks) - 1
        more = f"; {others} more rule{'s' if others > 1 else ''} would have dropped it" if others > 0 else ""
        return f"Dropped in {out.step}: {out.reason}, {out.signal} is {out.value:.6g}, {side} {out.threshold:g}{more}."
    if out.signal is not None and out.value is None and not out.evidence.get("parent"):
        return f"Dropped in {out.step}: {out.reason}, {out.signal} could not be measured."
    return f"Dropped in {out.step}: {out.reason}."


def render(story: Story, console: Console) -> None:
    """Print a story for a reader; see `pipelines.why_text`."""
    from pipelines.why_text import render as render_text

    render_text(story, console)
