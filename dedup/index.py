"""An index of kept documents that lasts across runs: add, replace, query, remove, compact."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from dedup.config import DedupConfig
from dedup.index_match import REPLACED_SCHEMA, matched
from dedup.index_rows import Rows
from dedup.index_run_files import covered
from dedup.minhash import signatures
from dedup.segments import (
    MANIFEST,
    Addition,
    IndexRefusedError,
    Manifest,
    Part,
    State,
    clear_orphans,
    locked,
    next_name,
    read_manifest,
    segment_schema,
    write_manifest,
    write_part,
)

__all__ = ["REPLACED_SCHEMA", "Index", "Replacement"]

# Its signatures tell whether this code splits and hashes words as the code that made an index did.
_PROBE_TEXT = "An index 42 don't x^2+1 >= 0 \u00e9 e\u0301 \u0e14\u0e35 \u0e14\u0e39 \u304b \u304c \u4e2d\u6587 #tag"


class Replacement(NamedTuple):
    """What ``Index.replace`` did."""

    table: pa.Table  # as ``Index.add``
    replaced: pa.Table  # REPLACED_SCHEMA: a row for each indexed document that gave way


class Index:
    """A folder of kept documents, by content, band key and shingle set; the texts themselves are not in it.

    Only documents that are kept enter the index: a duplicate is answered and forgotten, so that a text whose kept copy
    is removed counts as new when it comes again. With ``add`` an indexed document stays whatever comes later; with
    ``replace`` a better copy takes its place.
    """

    def __init__(self, folder: Path, manifest: Manifest, *, fixed: bool = False) -> None:
        """Use ``create`` or ``open``."""
        self._folder = folder
        self._manifest = manifest
        self._fixed = fixed
        self._read = Rows(folder)

    @classmethod
    def create(cls, path: str | Path, config: DedupConfig | None = None) -> Self:
        """Make an empty index in a new or empty folder.

        Raises:
            IndexRefusedError: the folder holds something.
            ValueError: the configuration asks for what an index cannot tell: it stores neither texts nor URLs.
        """
        folder = Path(path)
        config = config or DedupConfig()
        if config.edit_similarity is not None or config.url is not None:
            name = "url" if config.edit_similarity is None else "edit_similarity"
            raise ValueError(f"{name}: an index stores neither texts nor URLs; leave it out (None)")
        if (folder / MANIFEST).exists():
            raise IndexRefusedError(f"{folder}: an index is there already; use Index.open, or remove it first")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise IndexRefusedError(f"{folder}: not an empty folder; choose another or empty it")
        folder.mkdir(parents=True, exist_ok=True)
        manifest = Manifest(config=config, probe=_probe(config))
        write_manifest(folder, manifest)
        return cls(folder, manifest)

    @classmethod
    def open(cls, path: str | Path, config: DedupConfig | None = None, state: State | None = None) -> Self:
        """Open an index; its files are read when it is first asked.

        Args:
            path: its folder.
            config: if given, the configuration that the index must have.
            state: if given, the index as it was in that state (`state_before`), which can only be asked.

        Raises:
            IndexRefusedError: there is no whole index, it has another configuration, other code made its hashes, or it
                was compacted since that state.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        if config is not None and config != manifest.config:
            asked, found = config.model_dump(), manifest.config.model_dump()
            fields = [name for name in asked if asked[name] != found[name]]
            different = ", ".join(f"{name} {found[name]!r}, asked {asked[name]!r}" for name in fields)
            raise IndexRefusedError(
                f"{folder}: made with another configuration ({different}); use its own or rebuild it"
            )
        if manifest.probe != _probe(manifest.config):
            raise IndexRefusedError(
                f"{folder}: made by code that splits or hashes words differently; rebuild the index"
            )
        if state is not None:
            manifest = manifest.as_of(state, folder)
        return cls(folder, manifest, fixed=state is not None)

    @staticmethod
    def state_before(path: str | Path, of: str, config: DedupConfig) -> State:
        """Return the index as it was before an input was added, or as it is; only the manifest is read.

        Args:
            path: its folder; where there is no index, the state is that of an empty one.
            of: digest of the input (`note`).
            config: of the index that will be made where there is none.
        """
        folder = Path(path)
        there = (folder / MANIFEST).exists()
        manifest = read_manifest(folder) if there else Manifest(config=config, probe=_probe(config))
        return manifest.before(of)

    @property
    def config(self) -> DedupConfig:
        """The configuration of the index."""
        return self._manifest.config

    @property
    def digest(self) -> str:
        """A digest of what the index holds: equal for equal manifests."""
        return self._manifest.state.digest

    def __len__(self) -> int:
        """Return the number of documents in the index."""
        return sum(part.rows for part in self._manifest.segments) - sum(part.rows for part in self._manifest.removals)

    @property
    def _rows(self) -> Rows:
        while True:
            try:
                self._read = self._read.follow(self._manifest)
            except FileNotFoundError:
                self._manifest = self._with_present_runs()
            else:
                return self._read

    def query(self, documents: pa.Table) -> pa.Table:
        """Say which documents would be kept if they were added now; the index does not change.

        Args:
            documents: as for ``dedup.deduplicate``.

        Returns:
            The columns of ``dedup.deduplicate``, one row a document in the same order. ``cluster`` and ``parent`` may
            name indexed documents. Duplicates among ``documents`` count too. A document that is in the index already is
            answered with ``keep`` false and its own id as parent.

        Raises:
            ValueError: as ``dedup.deduplicate``.
        """
        return matched(documents, self._rows, self.config, replace=False).table

    def matches(self, documents: pa.Table) -> pa.Table:
        """Return the documents that are like an indexed one; no document counts for another, so batches may be cut.

        Args:
            documents: as for ``query``; one that is in the index under its own id is like no other, and is left out.

        Returns:
            The columns of ``query``, only rows whose match is in the index, in the order of ``documents``.
        """
        rows = self._rows
        found = matched(documents, rows, self.config, replace=False, alone=True).table
        # A parent that is a document of the query itself is no indexed one.
        found = found.filter(pc.is_valid(found["parent"]))
        like = rows.of_ids(found["parent"].combine_chunks()) >= 0
        own = rows.of_ids(found["id"].combine_chunks()) >= 0
        return found.filter(pa.array(like & ~own))

    def add(self, documents: pa.Table) -> pa.Table:
        """Add the documents that are no duplicates; they are on disk when this returns.

        Columns and answer are those of ``query``. Adding the same documents again changes nothing.

        Raises:
            ValueError: as ``query``; or a document that is no duplicate has an id that is in the index for another
                text (remove that id first). Nothing is added then.
        """
        return self._add(documents, replace=False).table

    def replace(self, documents: pa.Table) -> Replacement:
        """Add documents, a better copy taking the place of an indexed one; on disk when this returns.

        Better is what comes first in the stated order (``config.order``): the index holds the quality, length,
        priority and date that each document came with. One manifest names both what came and what went, so that no
        crash leaves both copies, or neither.

        Returns:
            The answer for ``documents``, and a row for each indexed document that gave way.

        Raises:
            ValueError: as ``add``.
        """
        return self._add(documents, replace=True)

    def remove(self, ids: Iterable[str]) -> int:
        """Remove documents by id; the removal is on disk when this returns.

        Returns:
            How many were in the index. Ids that are not there are passed over, so that a removal may be repeated.
        """
        with self._writing():
            asked = pa.array(list(ids), pa.string()).unique()
            present = asked.filter(pa.array(self._rows.of_ids(asked) >= 0))
            if len(present):
                self._publish(self._without(self._manifest, present))
            return len(present)

    def compact(self) -> int:
        """Write what is left into one segment and delete the files of what was removed; returns the bytes set free.

        What the index answers stays the same. The new manifest is durable before any file goes, so that a crash leaves
        one whole index and at worst files that none names, which the next ``compact`` clears. An index that another
        process opened before has to be opened again.
        """
        with self._writing():
            manifest = self._manifest
            if len(manifest.segments) > 1 or manifest.removals:
                segments: tuple[Part, ...] = ()
                if len(self):
                    name = next_name("segment", manifest.segments)
                    schema = segment_schema(self.config.bands)
                    segments = (write_part(self._folder, name, self._rows.whole(), schema=schema),)
                self._publish(manifest.model_copy(update={"segments": segments, "removals": (), "runs": ()}))
            return clear_orphans(self._folder, self._manifest)

    def note(self, of: str, state: State) -> None:
        """Write down that what was kept of an input is being added, and the state in which the index was asked of it.

        So a run of the same input can ask the index as it was then (`state_before`), and keeps what it kept. An input
        that was noted before stays as it was noted.
        """
        with self._writing():
            if all(one.of != of for one in self._manifest.additions):
                additions = (*self._manifest.additions, Addition(of=of, state=state))
                self._publish(self._manifest.model_copy(update={"additions": additions}))

    def _add(self, documents: pa.Table, *, replace: bool) -> Replacement:
        with self._writing():
            match = matched(documents, self._rows, self.config, replace=replace)
            kept = match.kept
            ids = match.ids.take(pa.array(kept))
            gone = match.replaced["id"].combine_chunks()
            taken = ids.filter(pa.array(self._rows.of_ids(ids) >= 0))
            if len(taken) and pc.is_in(taken, value_set=gone).false_count:
                where = f"in the index {self._folder} for another text"
                still = taken.filter(pc.invert(pc.is_in(taken, value_set=gone)))
                raise ValueError(f'documents: id "{still[0].as_py()}" is {where}; remove it first')
            manifest = self._manifest
            if len(gone):
                manifest = self._without(manifest, gone)
            if len(kept):
                name = next_name("segment", self._manifest.segments)
                part = write_part(self._folder, name, [match.segment(kept, self.config)])
                manifest = manifest.model_copy(update={"segments": (*manifest.segments, part)})
            if manifest is not self._manifest:
                self._publish(manifest)
            return Replacement(match.table, match.replaced)

    def _without(self, manifest: Manifest, ids: Any) -> Manifest:
        """Write a removal from the segments there are, and return the manifest that will name it."""
        name = next_name("removal", manifest.removals)
        part = write_part(self._folder, name, [pa.table({"id": ids})], segments=len(manifest.segments))
        return manifest.model_copy(update={"removals": (*manifest.removals, part)})

    def _publish(self, manifest: Manifest) -> None:
        manifest = covered(self._folder, manifest, self._manifest)
        write_manifest(self._folder, manifest)
        for part in self._manifest.runs:
            if part not in manifest.runs:  # merged: who has it open keeps it, who comes reads the new manifest
                (self._folder / part.name).unlink(missing_ok=True)
        self._manifest = manifest

    def _with_present_runs(self) -> Manifest:
        """Return the manifest with the runs of the folder's present one: those it named were merged since."""
        manifest = self._manifest
        present = read_manifest(self._folder)
        if present.segments[: len(manifest.segments)] != manifest.segments:
            raise IndexRefusedError(f"{self._folder}: compacted since it was opened; open it again")
        return manifest.model_copy(update={"runs": present.runs})

    @contextmanager
    def _writing(self) -> Generator[None]:
        """Hold the right to write, and take over what another process has written since."""
        if self._fixed:
            raise IndexRefusedError(f"{self._folder}: opened as it was before; open it without a state to change it")
        with locked(self._folder):
            self._manifest = read_manifest(self._folder)
            yield


def _probe(config: DedupConfig) -> str:
    return xxhash.xxh3_128_hexdigest(signatures(pa.array([_PROBE_TEXT]), config.minhash).tobytes())
