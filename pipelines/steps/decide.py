"""Documents + signals → documents: rules decide; what they keep goes on without dropped lines and sentences, redacted.

Nothing is measured here: the signals say which texts lose lines, and these alone are cut again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filters import Rule
from filters.line_decision import dropped_by
from pipelines import rules
from pipelines.document import DOCUMENT_SCHEMA
from pipelines.engines.plan import Output, Plan, PlanError, Shard, Tables
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, json_string, verdicts
from pipelines.recipe import Consent, Recipe
from pipelines.steps.measure import struck
from pipelines.steps.step import LEDGER_OUTPUT, Body, Finished, StepErrors, Steps, partition_shards
from pipelines.storage import at, read_batches, read_table
from pipelines.training_consent import expand

STEP = "03-decide"


def evidence(signals: pa.Table, rules: Sequence[Rule], failed: pa.Array) -> pa.Array:
    """Return, for each row with failed rules, JSON with every one of them: value and bounds; null for the others."""
    count = signals.num_rows
    if not count or not rules:
        return pa.nulls(count, pa.string())
    names = pc.list_flatten(failed)
    parents = pc.list_parent_indices(failed).to_numpy()
    pieces: list[pa.Array] = []
    rows: list[NDArray[np.int64]] = []
    for rule in rules:
        hit = parents[pc.equal(names, rule.name).to_numpy(zero_copy_only=False)]
        if not len(hit):
            continue
        bounds = "".join(
            f',"{name}":{getattr(rule, name)!r}' for name in ("min", "max") if getattr(rule, name) is not None
        )
        # A value that was not measured is null: JSON has no NaN.
        column = pc.cast(signals[rule.signal].take(pa.array(hit)).combine_chunks(), pa.float64())
        value = pc.if_else(pc.is_finite(column), pc.cast(column, pa.string()), "null")
        head = f'{{"rule":"{rule.name}","signal":"{rule.signal}"{bounds},"value":'
        pieces.append(pc.binary_join_element_wise(head, value, "}", ""))
        rows.append(hit)
    if not rows:
        return pa.nulls(count, pa.string())
    row = np.concatenate(rows)
    by_row = pa.concat_arrays(pieces).take(pa.array(np.argsort(row, kind="stable")))  # the rules of a row in order
    ends = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=count))]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(ends), by_row)
    whole = pc.binary_join_element_wise('{"failed":[', pc.binary_join(lists, ","), "]}", "")
    return pc.if_else(pa.array(ends[1:] > ends[:-1]), whole, pa.scalar(None, pa.string()))


def lines_told(signals: pa.Table, lines: Sequence[Rule]) -> pa.Array:
    """Return, for each row that lost lines, JSON with how many of how many, and how many fail each rule."""
    nothing = pa.nulls(signals.num_rows, pa.string())
    if not lines:
        return nothing
    lost = pc.greater(signals["lines.dropped"].combine_chunks(), 0)
    rows = signals.filter(lost)  # of these each has a rule that some line fails: a row of nulls cannot be joined
    if not rows.num_rows:
        return nothing

    def number(name: str) -> pa.Array:
        return pc.cast(pc.cast(rows[name].combine_chunks(), pa.int64()), pa.string())

    failing = [
        pc.if_else(
            pc.greater(rows[dropped_by(rule)].combine_chunks(), 0),
            pc.binary_join_element_wise(f"{json.dumps(rule.name)}:", number(dropped_by(rule)), ""),
            pa.scalar(None, pa.string()),
        )
        for rule in lines
    ]
    joined = pc.binary_join_element_wise(*failing, ",", null_handling="skip")
    counts = ('"lines":{"count":', number("lines.count"), ',"dropped":', number("lines.dropped"))
    return pc.replace_with_mask(nothing, lost, pc.binary_join_element_wise(*counts, ',"rules":{', joined, "}}", ""))


def joined_evidence(failed: pa.Array, lines: pa.Array) -> pa.Array:
    """Put what is told of rules and of lines into one JSON object; null where there is neither."""
    alone = pc.binary_join_element_wise("{", lines, "}", "")
    both = pc.binary_join_element_wise(pc.utf8_slice_codeunits(failed, 0, -1), ",", lines, "}", "")
    return pc.coalesce(both, failed, alone)


def refused(rights: pa.ChunkedArray, consent: Consent) -> pa.ChunkedArray:
    """Return what a publisher's refusal says, null where there is none.

    That is the header, meta tag or reservation itself, or the tokens for training that robots.txt refuses.
    """
    stated = [pc.struct_field(rights, name) for name in ("x_robots_tag", "meta_robots")]
    tokens = rf"(?i)(^|[\s,:;])({'|'.join(consent.refuse)})($|[\s,;])"
    found = (
        [pc.if_else(pc.match_substring_regex(text, tokens), text, None) for text in stated] if consent.refuse else []
    )
    if consent.reservations:
        text = pc.struct_field(rights, "reservation")
        found.append(pc.if_else(pc.match_substring_regex(text, r"(?i)tdm-reservation\s*[:=]\s*1"), text, None))
    if consent.training:
        tokens = "|".join(re.escape(token) for token in expand(consent.training))
        text = pc.struct_field(rights, "training")
        found.append(
            pc.if_else(
                pc.match_substring_regex(text, rf"(^|, )({tokens})($|, )"),
                pc.binary_join_element_wise("robots.txt refuses", text, " "),
                None,
            )
        )
    nothing = pa.scalar(None, pa.string())
    return pc.coalesce(*found, nothing) if found else pa.chunked_array([pa.nulls(len(rights), pa.string())])


@dataclass(frozen=True)
class Decide:
    """Obeys refusals, applies rules to a table of documents joined with their signals, and cuts what stays.

    `rules` decide on documents, `lines` have dropped lines before measuring; `redact` names the personal data that is
    replaced in every text, beside what rules with the action `redact` ask for, by `placeholders`, `numbered` or not.
    `language_model` is the one that the languages of line rules were told by.
    `blank_with` stands where a rule with the action `blank` took out sentences.
    """

    consent: Consent
    rules: tuple[Rule, ...]
    redact: tuple[str, ...]
    lines: tuple[Rule, ...] = ()
    language_model: Path | None = None
    placeholders: Mapping[str, str] = field(default_factory=dict[str, str])
    numbered: bool = False
    blank_with: str = ""

    def __call__(self, table: pa.Table) -> Tables:
        """Return the kept documents and the ledger."""
        import filters

        table = table.set_column(
            table.schema.get_field_index("language"), "language", table["language.language"].cast(pa.string())
        )
        decisions = filters.decide(table, self.rules)
        refusal = refused(table["rights"], self.consent)
        consented = pc.is_null(refusal)
        keep = pc.and_(decisions["keep"], consented)
        signal_of = {rule.name: rule.signal for rule in self.rules}
        names, signals = pa.array(list(signal_of), pa.string()), pa.array(list(signal_of.values()), pa.string())
        failed = decisions["failed"].combine_chunks()
        text, blanked = self._cut(table.filter(keep), failed.filter(keep.combine_chunks()))
        told = joined_evidence(evidence(table, self.rules, failed), lines_told(table, self.lines))
        told = joined_evidence(told, _of_kept(keep, blanked))
        left = pc.or_(pc.is_null(blanked), pc.match_substring_regex(text.view(pa.large_binary()), r"\S"))
        emptied = pc.fill_null(_of_kept(keep, pc.invert(left)), False)
        stays = pc.and_not(keep, emptied)
        said = pc.binary_join_element_wise('{"stated":', json_string(refusal), "}", "")
        ledger = verdicts(
            table,
            STEP,
            verdict=pc.if_else(stays, KEPT, DROPPED),
            reason=pc.if_else(emptied, rules.NO_TEXT, pc.if_else(consented, decisions["reason"], "consent-refused")),
            signal=pc.if_else(
                consented, signals.take(pc.index_in(decisions["reason"].combine_chunks(), value_set=names)), None
            ),
            value=pc.if_else(consented, decisions["value"], None),
            threshold=pc.if_else(consented, decisions["threshold"], None),
            evidence=pc.if_else(consented, told, said),
        )
        kept = table.filter(stays).select(DOCUMENT_SCHEMA.names)
        kept = kept.set_column(kept.schema.get_field_index("text"), "text", text.filter(left))
        return {"documents": kept.cast(DOCUMENT_SCHEMA), "ledger": ledger.cast(LEDGER_SCHEMA)}

    def _cut(self, kept: pa.Table, failed: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Return the texts of kept documents without what rules cut, personal data replaced, and what was blanked."""
        from filters import pii

        redact = partial(pii.redact, placeholders=self.placeholders, numbered=self.numbered)
        text = kept["text"].combine_chunks()
        if self.lines:
            shorter = pc.greater(kept["lines.dropped"], 0).combine_chunks()
            cut = struck(kept.filter(shorter), self.lines, self.language_model)
            if not cut["lines.dropped"].equals(kept["lines.dropped"].filter(shorter)):
                raise PlanError(f"{STEP}: rules on lines drop others than when the text was measured; please report it")
            text = _replaced(text, shorter, cut["text"].combine_chunks())
        text, blanked = self._blanked(text, failed)
        if self.redact:
            text = redact(text, self.redact)
        names, parents = pc.list_flatten(failed), pc.list_parent_indices(failed)
        for rule in self.rules:
            kind = rule.signal.partition(".")[2]
            if rule.action == "redact" and kind not in self.redact:
                rows = np.zeros(len(text), np.bool_)
                rows[parents.filter(pc.equal(names, rule.name)).to_numpy()] = True
                text = _replaced(text, pa.array(rows), redact(text.filter(pa.array(rows)), (kind,)))
        return text, blanked

    def _blanked(self, text: pa.Array, failed: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Take out the sentences that rules blank; tell of each text which, where they stood, and by which rules."""
        told = pa.nulls(len(text), pa.string())
        asked = {rule.name: rule for rule in self.rules if rule.action == "blank"}
        if not asked or not len(text):
            return text, told
        from filters import safety_sentences

        chosen = pc.is_in(pc.list_flatten(failed), value_set=pa.array(list(asked), pa.string()))
        names = pc.list_flatten(failed).filter(chosen).to_pylist()
        rules_of: dict[int, list[Rule]] = {}
        for row, name in zip(pc.list_parent_indices(failed).filter(chosen).to_pylist(), names, strict=True):
            rules_of.setdefault(row, []).append(asked[name])
        if not rules_of:
            return text, told
        rows = np.zeros(len(text), np.bool_)
        rows[list(rules_of)] = True
        limits: list[dict[str, float]] = []
        for _, failing in sorted(rules_of.items()):
            limit: dict[str, float] = {}
            for rule in failing:
                category, most = rule.signal.partition(".")[2], rule.max
                assert most is not None  # the rule's own check
                limit[category] = min(limit.get(category, most), most)
            limits.append(limit)
        mask = pa.array(rows)
        done = safety_sentences.blank(text.filter(mask).cast(pa.large_string()), limits, self.blank_with)
        evidence_of = [
            json.dumps({"blanked": {"rules": [rule.name for rule in failing], "spans": spans}}, separators=(",", ":"))
            for (_, failing), spans in zip(sorted(rules_of.items()), done.spans, strict=True)
        ]
        told = pc.replace_with_mask(told, mask, pa.array([one[1:-1] for one in evidence_of], pa.string()))
        return _replaced(text, mask, done.text.cast(text.type)), told


def _of_kept(keep: pa.ChunkedArray, told: pa.Array) -> pa.Array:
    """Put what is said of the kept rows among all rows; null for the others."""
    nothing = pa.nulls(len(keep), told.type)
    return pc.replace_with_mask(nothing, keep.combine_chunks(), told) if len(keep) else nothing


def _replaced(text: pa.Array, rows: pa.Array, new: pa.Array) -> pa.Array:
    """Replace the texts of some rows, through bytes: they need not be UTF-8."""
    if not len(new):
        return text
    return pc.replace_with_mask(text.view(pa.large_binary()), rows, new.view(pa.large_binary())).view(text.type)


def read(shard: Shard) -> Iterator[pa.Table]:
    """Join the documents of one part of every source with their signals."""
    *documents, measured = shard.payload
    signals = read_table(at(measured))
    for path in documents:
        # One lookup for the whole part: a lookup a batch would hash the ids of all signals again for each.
        rows = pc.index_in(read_table(at(path), ["id"])["id"], value_set=signals["id"]).combine_chunks()
        start = 0
        for table in read_batches(at(path), 4096):
            found = rows.slice(start, table.num_rows)
            start += table.num_rows
            if found.null_count:  # its measuring failed, and the ledger of that step says why
                table, found = table.filter(pc.is_valid(found)), found.drop_null()
            measures = signals.take(found)
            for name in measures.column_names[1:]:
                table = table.append_column(measures.schema.field(name), measures[name])
            yield table


def run(
    steps: Steps, recipe: Recipe, applied: Sequence[Rule], extracted: list[Finished], measured: Finished
) -> Finished:
    """Run the step with the rules that the recipe resolves to."""
    filters = recipe.filters

    def body(folder: Path, _: str) -> Body:
        plan = Plan(
            name=STEP,
            shards=partition_shards([*(done.parts("documents") for done in extracted), measured.parts("signals")]),
            read=read,
            emit=Decide(
                recipe.consent,
                rules.of_documents(applied),
                filters.redact,
                rules.of_lines(applied),
                filters.language_model,
                {**filters.placeholders},
                filters.numbered,
                filters.blank_with,
            ),
            outputs={"documents": Output(DOCUMENT_SCHEMA), "ledger": LEDGER_OUTPUT},
            emit_fault=StepErrors(STEP),
            conserve=("ledger",),
        )
        return steps.run_plan(plan, folder)

    parameters: dict[str, Any] = {
        "rules": [rule.model_dump(mode="json") for rule in applied],
        "redact": [list(filters.redact), dict(filters.placeholders), filters.numbered],
        "blank_with": filters.blank_with,
        "consent": recipe.consent.model_dump(mode="json"),
    }
    blanks = ("filters.safety", "filters.safety_sentences", "kernels")
    return steps.perform(
        STEP,
        code=(
            *(blanks if any(rule.action == "blank" for rule in applied) else ()),
            "filters.decision",
            "filters.expression",
            "filters.line_decision",
            "filters.rule",
            "filters.pii",
            "kernels.candidate_forms",
            "kernels.candidates",
            "kernels.keccak",
            "kernels.line_removal",
            "pipelines.training_consent",
            "pipelines.steps.decide",
        ),
        parameters=parameters,
        inputs=[measured.digest, *(done.digest for done in extracted)],
        body=body,
    )
