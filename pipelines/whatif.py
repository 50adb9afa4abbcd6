"""What other rules would do to a finished run: decisions again from the stored signals, nothing measured, nothing run.

Only the rules' decision is taken again. What follows (duplicates, benchmark text, the mixture's budget) is not: a
document gained may turn out a copy, and where a document lost had copies, one of them may take its place. Documents of
which blanking leaves no sentence are dropped, as in a build: where the ledger does not say which, they are cut again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

import filters
from filters.expression import SECOND_LANGUAGE, asked_columns
from pipelines.document import DOCUMENT_SCHEMA
from pipelines.recipe import Consent
from pipelines.recipe_errors import RecipeError
from pipelines.report.folder import RunFolder, RunFolderError
from pipelines.report.samples import excerpts
from pipelines.rules import NO_TEXT, of_documents, of_lines
from pipelines.steps.decide import Decide
from pipelines.storage import read_schema, read_table, rows_where
from pipelines.tally import Moves
from pipelines.whatif_changes import Change, changed

SAMPLES = 3
"""Samples of each rule and direction, unless asked for more."""
RATE_DOCUMENTS = 2000
"""Documents from which a source's tokens a byte are taken; ids are hashes, so that a partition is a fair sample."""


@dataclass
class Tally(Moves):
    """Documents and tokens of one source, or moved by one rule.

    `before` and `after` count documents that the rules keep. Tokens of what is lost are counted, where a document had
    come as far as the tokenizer (`lost_reached` of the `lost`); those of what is gained are estimated from its bytes.
    """

    lost_reached: int = 0


@dataclass(frozen=True)
class Sample:
    """A document that the change moves: `direction` is "gained" or "lost", `rule` dropped it before, or would now."""

    direction: str
    rule: str
    id: str
    uri: str
    source: str
    value: float | None
    threshold: float | None
    text: str


@dataclass
class WhatIf:
    """The answer. `sources` and `total` count documents, `rules` those gained or lost by the rule that dropped them."""

    run: str
    changes: tuple[Change, ...]
    total: Tally = field(default_factory=Tally)
    sources: dict[str, Tally] = field(default_factory=dict[str, Tally])
    rules: dict[str, Tally] = field(default_factory=dict[str, Tally])
    samples: list[Sample] = field(default_factory=list[Sample])
    notes: list[str] = field(default_factory=list[str])

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-able values."""
        return dataclasses.asdict(self)


@dataclass
class _Moved:
    """The few rows of each rule and direction that are shown: those with the smallest ids."""

    most: int
    rows: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict[tuple[str, str], Any])

    def offer(self, direction: str, rows: pa.Table) -> None:
        for rule in pc.unique(rows["reason"]).to_pylist():
            mine = rows.filter(pc.equal(rows["reason"], rule)).sort_by("id").slice(0, self.most).to_pylist()
            held = self.rows.get((direction, rule), []) + mine
            self.rows[(direction, rule)] = sorted(held, key=lambda row: row["id"])[: self.most]


def whatif(run: Path, sets: Sequence[str], samples: int = SAMPLES) -> WhatIf:
    """Decide again with changed rules.

    Args:
        run: a finished run.
        sets: changes, `rule=bound`, `rule.min=…`, `rule=off` and more; see `whatif_changes.changed`.
        samples: documents to show for each rule and direction.

    Raises:
        RunFolderError: no finished run, or its steps are gone.
        RecipeError: a change that cannot be made, or needs measuring.
    """
    folder = RunFolder.open(run)
    parts = list(_parts(folder))
    before = [filters.Rule.model_validate(told) for told in folder.facts["recipe"]["filters"]["rules"]]
    schema = read_schema(parts[0].signals) if parts else pa.schema([])
    numbers = [one.name for one in schema if pa.types.is_floating(one.type) or pa.types.is_integer(one.type)]
    after, changes = changed(before, sets, numbers)
    for rule in after:
        if rule.second_languages and SECOND_LANGUAGE not in schema.names:
            raise RecipeError(
                [
                    f"--set: rule {rule.name!r} goes by the second language, which this run has not measured; add the "
                    "family 'mixed' to filters.families and build again"
                ]
            )
    found = WhatIf(str(run), tuple(changes))
    rates = _rates(folder)
    moved = _Moved(samples)
    deciders = _Sides(_decider(folder, before), _decider(folder, after))
    for part in parts:
        _decide(part, deciders, rates, found, moved)
    found.sources = dict(sorted(found.sources.items()))
    ranked = sorted(found.rules.items(), key=lambda item: (-(item[1].gained + item[1].lost), item[0]))
    found.rules = dict(ranked)
    found.samples = _samples(folder, moved)
    if (folder.facts["recipe"].get("blocks") or ()) and found.total.gained:
        found.notes.append("what is gained has not been through the recipe's blocks")
    return found


@dataclass(frozen=True)
class _Part:
    """The files of one partition."""

    signals: Path
    documents: tuple[Path, ...]
    ledger: Path
    tokens: Path | None


def _parts(folder: RunFolder) -> Iterator[_Part]:
    if len(folder.curations) > 1:
        raise RunFolderError(
            f"{folder.path}: mixed from {' and '.join(folder.mixed_from)}, each judged by its own rules; ask about one"
        )
    measured, decided, tokenized = (folder.step(idea) for idea in ("measure", "decide", "tokenize"))
    if measured is None or decided is None or not measured.outputs or not decided.outputs:
        raise RunFolderError(
            f"{folder.path}: the steps 02-measure and 03-decide are not where run.json says; build the run again"
        )
    documents: dict[str, tuple[Path, ...]] = {}
    for path in folder.documents_until("measure"):
        documents[path.name] = (*documents.get(path.name, ()), path)
    ledgers = {path.name: path for path in decided.outputs["ledger"]}
    tokens = {path.name: path for path in (tokenized.outputs.get("tokens", ()) if tokenized else ())}
    for path in measured.outputs["signals"]:
        yield _Part(path, documents.get(path.name, ()), ledgers[path.name], tokens.get(path.name))


@dataclass(frozen=True)
class _Sides:
    """What decides in the run, and what would."""

    before: Decide
    after: Decide

    @property
    def blank_alike(self) -> bool:
        """Whether both blank the same sentences."""
        return _blanking(self.before) == _blanking(self.after)


def _decider(folder: RunFolder, rules: Sequence[filters.Rule]) -> Decide:
    """The run's step with other rules; what replaces personal data is left out, as no document comes or goes by it."""
    recipe = folder.facts["recipe"]
    told = recipe["filters"]
    model = told.get("language_model")
    return Decide(
        Consent.model_validate(recipe["consent"]),
        tuple(rule for rule in of_documents(rules) if rule.action != "redact"),
        (),
        of_lines(rules),
        None if model is None else Path(model),
        blank_with=told.get("blank_with", ""),
    )


def _blanking(decider: Decide) -> list[filters.Rule]:
    return [rule for rule in decider.rules if rule.action == "blank"]


def _decide(part: _Part, sides: _Sides, rates: Mapping[str, float], found: WhatIf, moved: _Moved) -> None:
    """Decide on the documents of one partition, both ways."""
    before, after = sides.before.rules, sides.after.rules
    table, emptied = _joined(part, [*before, *after])
    old = _without_text(filters.decide(table, before), emptied)
    was = old["keep"].to_numpy()
    new = filters.decide(table, after)
    new = _without_text(new, _emptied(part, table, sides, new, was, emptied))
    now = new["keep"].to_numpy()
    gained, lost = now & ~was, was & ~now
    tokens = _tokens(part, table["id"])
    estimated = np.zeros(len(was))
    if gained.any():
        estimated[gained] = _estimates(part, table.filter(pa.array(gained)), rates)
    sources = table["source"].combine_chunks().dictionary_encode()
    codes = sources.indices.to_numpy(zero_copy_only=False)
    for code, name in enumerate(sources.dictionary.to_pylist()):
        mine = codes == code
        for tally in (found.total, found.sources.setdefault(name, Tally())):
            tally.before += int((mine & was).sum())
            tally.after += int((mine & now).sum())
            tally.tokens_before += int(tokens[mine].sum())
            _move(tally, mine & gained, mine & lost, tokens, estimated)
    for direction, rows, decided in (("gained", gained, old), ("lost", lost, new)):
        reasons = decided["reason"].combine_chunks()
        for rule in pc.unique(reasons.filter(pa.array(rows))).to_pylist():
            mine = rows & pc.equal(reasons, rule).to_numpy(zero_copy_only=False)
            none = np.zeros_like(mine)
            pair = (mine, none) if direction == "gained" else (none, mine)
            _move(found.rules.setdefault(rule, Tally()), *pair, tokens, estimated)
        shown = decided.select(["reason", "value", "threshold"]).append_column("id", table["id"])
        moved.offer(direction, shown.filter(pa.array(rows)))


def _move(
    tally: Tally,
    gained: NDArray[np.bool_],
    lost: NDArray[np.bool_],
    tokens: NDArray[np.int64],
    estimated: NDArray[np.float64],
) -> None:
    tally.gained += int(gained.sum())
    tally.lost += int(lost.sum())
    tally.lost_reached += int((tokens[lost] > 0).sum())
    tally.tokens_gained += round(float(estimated[gained].sum()))
    tally.tokens_lost += int(tokens[lost].sum())


def _without_text(decided: pa.Table, emptied: NDArray[np.bool_]) -> pa.Table:
    """What was decided, where documents are dropped of which blanking leaves nothing; they have no value."""
    mask = pa.array(emptied & decided["keep"].to_numpy())
    reason: Any = pc.if_else(mask, NO_TEXT, decided["reason"])
    keep: Any = pc.and_not(decided["keep"], mask)
    for name, column in (("keep", keep), ("reason", reason)):
        decided = decided.set_column(decided.schema.get_field_index(name), name, column)
    return decided


def _emptied(
    part: _Part,
    table: pa.Table,
    sides: _Sides,
    new: pa.Table,
    was: NDArray[np.bool_],
    emptied: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Of which documents blanking would leave nothing: as the ledger says where the same is blanked, else as cut now.

    Only texts that have a sentence to lose, and of which the ledger cannot tell, are read and cut.
    """
    blanking = {rule.name for rule in _blanking(sides.after)}
    names: Any = new["failed"].combine_chunks()
    hit = pc.is_in(pc.list_flatten(names), value_set=pa.array(sorted(blanking), pa.string()))
    losing = np.zeros(len(was), np.bool_)
    losing[pc.list_parent_indices(names).filter(hit).to_numpy()] = True
    losing &= new["keep"].to_numpy()
    found = losing & emptied if sides.blank_alike else np.zeros(len(was), np.bool_)
    asked = losing & ~(was | emptied) if sides.blank_alike else losing
    if not asked.any():
        return found
    signals = table.filter(pa.array(asked))
    wanted = ds.field("id").isin(signals["id"].combine_chunks())
    texts = pa.Table.from_batches(rows_where(list(part.documents), wanted, DOCUMENT_SCHEMA.names, 4096))
    signals = signals.take(pc.index_in(texts["id"], value_set=signals["id"].combine_chunks()))
    for name in signals.column_names:
        if name not in DOCUMENT_SCHEMA.names:
            texts = texts.append_column(name, signals[name])
    ledger = sides.after(texts)["ledger"]
    gone = ledger["id"].filter(pc.equal(ledger["reason"], NO_TEXT)).combine_chunks()
    return found | pc.is_in(table["id"], value_set=gone.cast(table["id"].type)).to_numpy()


def _joined(part: _Part, rules: Sequence[filters.Rule]) -> tuple[pa.Table, NDArray[np.bool_]]:
    """Read the signals that the rules need, with source, kind and language; those no rule may bring back are left out.

    A publisher's refusal stands above all rules, and a record whose decision failed has none. Beside them: of which
    documents that the rules kept blanking left nothing.
    """
    needed = {rule.signal for rule in rules}
    schema = read_schema(part.signals)
    needed |= {"lines.dropped_word_ratio", "lines.dropped"} | {name for rule in rules for name in asked_columns(rule)}
    columns = [name for name in schema.names if name in needed]
    signals = read_table(part.signals, ["id", "language.language", *columns])
    known = pa.concat_tables(read_table(path, ["id", "source", "kind"]) for path in part.documents)
    ledger = read_table(part.ledger, ["id", "verdict", "reason", "signal"])
    settled = pc.or_(pc.equal(ledger["verdict"], "failed"), pc.equal(ledger["reason"], "consent-refused"))
    out = pc.is_in(signals["id"], value_set=ledger["id"].filter(settled).combine_chunks())
    signals = signals.filter(pc.invert(out))
    at = pc.index_in(signals["id"], value_set=known["id"].combine_chunks())
    signals = signals.append_column("source", known["source"].take(at)).append_column("kind", known["kind"].take(at))
    empty = ledger["id"].filter(pc.and_(pc.equal(ledger["reason"], NO_TEXT), pc.is_null(ledger["signal"])))
    emptied = pc.is_in(signals["id"], value_set=empty.combine_chunks()).to_numpy()
    return signals.append_column("language", signals["language.language"].cast(pa.string())), emptied


def _tokens(part: _Part, ids: pa.ChunkedArray) -> NDArray[np.int64]:
    """Tokens of each document, 0 where it did not come as far as the tokenizer."""
    if part.tokens is None:
        return np.zeros(len(ids), np.int64)
    counts = read_table(part.tokens, ["id", "count"])
    at = pc.index_in(ids, value_set=counts["id"].combine_chunks())
    return pc.fill_null(counts["count"].take(at), 0).cast(pa.int64()).to_numpy()


def _rates(folder: RunFolder) -> dict[str, float]:
    """Tokens a byte of each source's texts, "" for all together."""
    tokenized = folder.step("tokenize")
    documents = {path.name: path for path in folder.documents_until()}
    sums: dict[str, list[int]] = {}
    rows = 0
    for path in tokenized.outputs.get("tokens", ()) if tokenized else ():
        if path.name not in documents or rows >= RATE_DOCUMENTS:
            break
        counts = read_table(path, ["id", "count"])
        texts = read_table(documents[path.name], ["id", "source", "text"])
        at = pc.index_in(texts["id"], value_set=counts["id"].combine_chunks())
        table = pa.table(
            {
                "source": texts["source"],
                "bytes": pc.binary_length(texts["text"]),
                "tokens": counts["count"].take(at).cast(pa.int64()),
            }
        )
        rows += table.num_rows
        summed = table.group_by("source").aggregate([("bytes", "sum"), ("tokens", "sum")])
        for row in summed.to_pylist():
            for name in (row["source"], ""):
                held = sums.setdefault(name, [0, 0])
                held[0] += row["bytes_sum"] or 0
                held[1] += row["tokens_sum"] or 0
    return {name: tokens / size for name, (size, tokens) in sums.items() if size}


def _estimates(part: _Part, gained: pa.Table, rates: Mapping[str, float]) -> NDArray[np.float64]:
    """Estimate the tokens of documents from the bytes that the line rules leave of them."""
    wanted = ds.field("id").isin(gained["id"].combine_chunks())
    found = [
        pa.table({"id": batch["id"], "bytes": pc.binary_length(batch["text"])})
        for batch in rows_where(list(part.documents), wanted, ["id", "text"], 4096)
    ]
    lengths = pa.concat_tables(found)
    at = pc.index_in(gained["id"], value_set=lengths["id"].combine_chunks())
    size = lengths["bytes"].take(at).cast(pa.float64()).to_numpy()
    if "lines.dropped_word_ratio" in gained.column_names:
        size = size * (1 - gained["lines.dropped_word_ratio"].to_numpy())
    rate = np.array([rates.get(name, rates.get("", 0.0)) for name in gained["source"].to_pylist()])
    return size * rate


def _samples(folder: RunFolder, moved: _Moved) -> list[Sample]:
    ids = [row["id"] for rows in moved.rows.values() for row in rows]
    texts = excerpts(folder.documents_until("measure"), ids, redact=bool(folder.redacted))
    found: list[Sample] = []
    for (direction, rule), rows in sorted(moved.rows.items()):
        for row in rows:
            text = texts[row["id"]]
            value = None if row["value"] is None or row["value"] != row["value"] else row["value"]
            found.append(Sample(direction, rule, row["id"], text.uri, text.source, value, row["threshold"], text.text))
    return found
