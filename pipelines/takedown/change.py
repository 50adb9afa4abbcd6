"""Everything of one take-down, written beside the run: steps, mixtures, tokens, ledger, run.json and the list."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from kernels.distinct import distinct
from pipelines.document import canonical_json
from pipelines.report.folder import RunFolder
from pipelines.runs.folder import RunFolder as Place
from pipelines.runs.folder import finished, opened, step_folders
from pipelines.runs.request import address, users
from pipelines.storage import (
    MANIFEST,
    FileEntry,
    exists,
    read_json,
    read_schema,
    read_table,
    rows_where,
    sha256,
    write_json,
    write_parquet,
)
from pipelines.takedown import archives, guard, journal, recount, told_in_ledger
from pipelines.takedown.archives import Struck
from pipelines.takedown.checkpoints import Exposure
from pipelines.takedown.guard import Entry, Guard, Listing
from pipelines.takedown.rewriting import Gone, blanks, holds, overwrite, rewrite, rows_of
from pipelines.takedown.selection import Copy, Matched, Selected

EXCLUDED = "excluded.parquet"
MIX = re.compile(r"\d\d-mix")


@dataclass
class Stage:
    """What a stage loses: documents, their tokens with repeats, and the shards that are written again."""

    documents: int = 0
    tokens: int = 0
    removed: list[str] = field(default_factory=list[str])
    shards: int = 0


@dataclass
class Takedown:
    """What was done, or with `dry_run` would be. `left` names what still holds text and could not be changed."""

    run: str
    version: int
    reason: str
    dry_run: bool
    with_copies: bool
    records: list[Matched] = field(default_factory=list[Matched])
    copies: list[Copy] = field(default_factory=list[Copy])
    stages: dict[str, Stage] = field(default_factory=dict[str, Stage])
    archives: list[Struck] = field(default_factory=list[Struck])
    """WARC files of the run's own crawls, records of which were struck."""
    files: int = 0
    bytes: int = 0
    exposures: list[Exposure] = field(default_factory=list[Exposure])
    left: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])


def loss(folder: RunFolder, stage: str, gone: Gone) -> Stage:
    """Count what a stage loses."""
    lost = Stage()
    for batch in rows_where(
        list(folder.stage_files(stage)), ds.field("id").isin(gone.column), ["id", "tokens", "weight"]
    ):
        weighed = pc.multiply(batch["tokens"].cast(pa.float64()), batch["weight"])
        lost.documents += batch.num_rows
        lost.tokens += round(pc.sum(weighed).as_py() or 0)
        lost.removed += batch["id"].to_pylist()
    lost.removed.sort()
    return lost


def addresses(selected: Selected, gone: Gone) -> frozenset[str]:
    """Return the addresses of the records that go: a WARC file knows its pages by nothing else."""
    known = {**selected.copies, **selected.records}
    return frozenset(known[id_].uri for id_ in gone.ids if id_ in known)


def crawls_of(place: Place) -> dict[str, Path]:
    """Return where the crawls that a run read are, by source."""
    told: dict[str, str] = (place.facts or {}).get("crawl") or {}
    return {name: place.place(where) for name, where in told.items()}


class Change:
    """Writes everything of one take-down beside the run."""

    def __init__(
        self, run: Path, folder: RunFolder, selected: Selected, gone: Gone, found: Takedown, listing: Listing
    ) -> None:
        self.run, self.folder, self.selected, self.gone, self.found = run, folder, selected, gone, found
        self.place = opened(run)
        self.staging = journal.Staging(run)
        self.at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.entry = Entry(
            version=found.version,
            at=self.at,
            reason=found.reason,
            urls=selected.guard.urls,
            domains=selected.guard.domains,
            licences=selected.guard.licences,
            ids=gone.ids,
        )
        self.listing = Listing(takedowns=(*listing.takedowns, self.entry))
        self.uris = addresses(selected, gone)
        self.written: dict[str, tuple[Path, FileEntry]] = {}
        """SHA-256 of a mixture's or token shard before -> what was written in its place."""

    def staged(self) -> journal.Staging:
        """Write it all; nothing of the run has changed when this returns."""
        for step in _own_steps(self.place, self.found.left):
            self._step(step)
        for stage in self.folder.stages:
            self._stage(stage)
        for place in archives.own(self.run, crawls_of(self.place)).values():
            by = {one.by for one in self.selected.records.values()}
            said = archives.evidence_of(self.found.version, by)
            self.found.archives += archives.strike(place, self.uris, self.found.version, said, self.staging)
        ledger = told_in_ledger.write(self.run, self.folder, self.listing, self._told(), self.gone, self.staging)
        for path in ledger.dropped:
            if path.is_relative_to(self.run):
                self.staging.drop_folder(path)
        facts = {**self.folder.facts, **ledger.facts, "mixture_version": self.found.version}
        write_json(self.staging.place(self.run / "run.json"), facts)
        write_json(self.staging.place(self.run / guard.LIST), self.listing.model_dump(mode="json"))
        return self.staging

    def _told(self) -> list[dict[str, Any]]:
        """Rows of the ledger for the records, and for copies that go with them."""
        rows = [(one.id, one.uri, one.source, one.by) for one in self.selected.records.values()]
        if self.found.with_copies:
            rows += [(one.id, one.uri, one.source, f"copy of {one.cluster}") for one in self.selected.copies.values()]
        about = {"version": self.found.version, "at": self.at, "why": self.found.reason}
        return [
            {"id": id_, "uri": uri, "source": source, "evidence": canonical_json({**about, "by": by})}
            for id_, uri, source, by in rows
        ]

    def _wrote(self, entry: FileEntry) -> FileEntry:
        self.found.files += 1
        self.found.bytes += entry.bytes
        return entry

    def _step(self, step: Path) -> None:
        """Write the files of one step again that hold a record, and its manifest."""
        manifest = read_json(step / MANIFEST)
        mixes = MIX.match(manifest["step"]) is not None
        changed = False
        for name, entries in manifest["outputs"].items():
            stretches = self._stretches(step, entries) if name.startswith("tokens-") else None
            for number, told in enumerate(entries):
                entry = FileEntry.model_validate(told)
                path = step / entry.path
                if stretches is not None:
                    if path.suffix != ".bin" or number not in stretches:
                        continue
                    target = path.with_name(self._new_name(path.name))
                    facts, blank = manifest["facts"], stretches[number]
                    made = overwrite(
                        path, self.staging.place(target), blank, facts["dtype"], facts["eos_id"], entry.rows
                    )
                else:
                    if path.suffix != ".parquet" or "id" not in read_schema(path).names or not holds(path, self.gone):
                        continue
                    published = mixes and name != "ledger"
                    target = path.with_name(self._new_name(path.name)) if published else path
                    made = rewrite(path, self.staging.place(target), self.gone)
                if target != path:
                    self.staging.drop(path)
                self.written[entry.sha256] = (self.staging.last, made)
                entries[number] = {**told, **made.model_dump(), "path": f"{Path(entry.path).parent}/{target.name}"}
                self._wrote(made)
                changed = True
        if changed:
            manifest["takedowns"] = [*manifest.get("takedowns", []), self.found.version]
            if manifest["step"].partition("-")[2].startswith("extract"):
                facts = dict(manifest["facts"])
                facts["refuses"] = sorted({*facts.get("refuses", []), *Guard.of([self.entry]).said})
                manifest["facts"] = facts
            write_json(self.staging.place(step / MANIFEST), manifest)

    def _stretches(self, step: Path, entries: Sequence[dict[str, Any]]) -> dict[int, Any]:
        listing = next(step / one["path"] for one in entries if one["path"].endswith("documents.parquet"))
        return blanks(listing, rows_of(listing, self.gone))

    def _new_name(self, name: str) -> str:
        stem, _, suffix = name.rpartition(".")
        return f"{re.sub(r'-v[0-9]+$', '', stem)}-v{self.found.version}.{suffix}"

    def _stage(self, stage: str) -> None:
        """Write a stage's mixture and tokens again, each with a manifest of the new version."""
        lost = self.found.stages[stage] = loss(self.folder, stage, self.gone)
        carried = recount.lost(self.folder, stage, self.gone)
        if not lost.documents and not carried.supply:
            return
        mixture, tokens = self.run / "mixture" / stage, self.run / "tokens" / stage
        path = mixture / "manifest.json"
        manifest = read_json(path)
        for number, told in enumerate(manifest["shards"]):
            shard = mixture / told["path"]
            if (
                new := self._shard(shard, told["sha256"], lambda place, old=shard: rewrite(old, place, self.gone))
            ) is None:
                continue
            target, made = new
            weighed = read_table(self.staging.last, ["tokens", "weight"])
            entry = {"path": target.name, "sha256": made.sha256, "rows": made.rows, "bytes": made.bytes}
            manifest["shards"][number] = {**told, **entry, "tokens": _taken(weighed)}
            lost.shards += 1
        history = {
            "version": self.found.version,
            "at": self.at,
            "reason": self.found.reason,
            "previous": sha256(path),
            "removed": lost.removed,
        }
        manifest["takedowns"] = [*manifest.get("takedowns", []), history]
        slots = manifest.get("slots", manifest["total_tokens"])
        manifest |= {"version": self.found.version, **recount.mixture_fields(manifest, carried, slots)}
        if carried.supply is None:
            self.found.notes.append(
                f"stage {stage}: no step has token counts any more, so its epochs are told as before"
            )
        if lost.documents and exists(tokens / "manifest.json"):
            self._tokens(tokens, carried)
        write_json(self.staging.place(path), manifest)

    def _shard(self, shard: Path, digest: str, make: Any) -> tuple[Path, FileEntry] | None:
        """Give a published shard its new content: the step's, where it was the step's, else written here."""
        target = shard.with_name(self._new_name(shard.name))
        if digest in self.written:
            staged, made = self.written[digest]
            self.staging.same(staged, target)
        elif shard.suffix == ".parquet" and not holds(shard, self.gone):
            return None
        else:
            made = self._wrote(make(self.staging.place(target)))
        self.staging.drop(shard)
        return target, made

    def _tokens(self, folder: Path, carried: recount.Carried) -> None:
        path = folder / "manifest.json"
        manifest = read_json(path)
        listing = folder / "documents.parquet"
        rows = rows_of(listing, self.gone)
        dtype, eos = manifest["dtype"], manifest["eos_id"]
        for number, blank in blanks(listing, rows).items():
            told = manifest["shards"][number]
            shard = folder / told["path"]
            made = self._shard(
                shard,
                told["sha256"],
                lambda place, old=shard, cut=blank, count=told["tokens"]: overwrite(old, place, cut, dtype, eos, count),
            )
            assert made is not None  # a token shard is always written
            manifest["shards"][number] = {**told, "path": made[0].name, "sha256": made[1].sha256}
        before = manifest.get("excluded")
        if before is not None:
            held = read_table(folder / before["path"])["document"].to_numpy()
            rows = distinct(np.concatenate([rows, held]))
            self.staging.drop(folder / before["path"])
        name = EXCLUDED if before is None else f"excluded-v{self.found.version}.parquet"
        table = pa.table({"document": pa.array(rows, pa.int64())})
        made = write_parquet(self.staging.place(folder / name), table)
        history = {"version": self.found.version, "at": self.at, "previous": sha256(path)}
        manifest |= {"version": self.found.version, **recount.token_fields(manifest, carried)}
        manifest["excluded"] = {"path": name, "sha256": made.sha256, "documents": len(rows)}
        manifest["takedowns"] = [*manifest.get("takedowns", []), history]
        write_json(self.staging.place(path), manifest)


def _own_steps(place: Place, left: list[str]) -> list[Path]:
    """Return the finished steps that the run may change; name what it may not."""
    root = place.root
    if place.store is not None:
        others = [user.run for user in users(place.store).values() if user.run != address(place.path)]
        if others:
            left.append(
                f"{place.store}: steps that other runs use too ({', '.join(sorted(others))}) were not changed; take it "
                "down there as well, then `pomona runs clean --store`"
            )
            return []
    steps = step_folders(root)
    left += [f"{one}: unfinished, not changed; `pomona runs clean` removes it" for one in steps if not finished(one)]
    # The ledger and earlier take-downs are written anew as a whole.
    return [one for one in steps if finished(one) and not re.match(r"09-ledger|10-takedown", one.name)]


def _taken(rows: pa.Table) -> int:
    """Return what a stage takes of rows of its mixture: `tokens` and `weight`."""
    each = pc.round(pc.multiply(rows["tokens"].cast(pa.float64()), rows["weight"]))
    return int(pc.sum(each).as_py() or 0)
