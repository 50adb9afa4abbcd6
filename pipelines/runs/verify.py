"""`pomona runs verify`: every file of a run against the digest that a manifest has of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.crawl.folder import MANIFEST as CRAWL
from pipelines.document import canonical_json
from pipelines.ledger import Account, AccountingError
from pipelines.runs.files import Stored, below, stored
from pipelines.runs.folder import RunFolder
from pipelines.runs.hold import holder
from pipelines.runs.leftover import is_leftover
from pipelines.steps.step import RunFailed
from pipelines.storage import MANIFEST, StorageError, digest_of, read_json, sha256, size
from pipelines.storage.lock import LOCK

MISSING, CHANGED, UNLISTED, UNREADABLE = "missing", "changed", "unlisted", "unreadable"

ASIDE = frozenset({"index"})
"""Folders in a step's that its manifest does not list: made anew by the step, and read by nothing else."""
DESCRIBING = frozenset({"manifest.json", "README.md", "croissant.json"})
"""Files that describe a mixture's, beside them."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file."""

    kind: str
    path: Path
    detail: str = ""

    def text(self) -> str:
        """Say it in a line."""
        return f"{self.kind}: {self.path}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True)
class Listed:
    """A file as a manifest has it."""

    path: Path
    sha256: str
    bytes: int | None
    by: Path


@dataclass
class Verified:
    """What came of it: `files` were compared, `bytes` read for that (of files with two names once), in `seconds`."""

    files: int = 0
    bytes: int = 0
    seconds: float = 0.0
    leftovers: int = 0
    faults: list[Fault] = field(default_factory=list[Fault])


def verify(run: RunFolder, told: Callable[[int, int], None] = lambda done, total: None) -> Verified:
    """Compare every file of a run's steps, mixtures, ledger, tokenizer and crawls; `told` of files done and in all.

    Of a run that is not finished these are its finished steps. Raises RunFailed while a process writes into it.
    """
    if (who := holder(run.path)) is not None:
        raise RunFailed(f"{run.path}: in use by {who}; verify it when that is done")
    started = time.monotonic()
    found = Verified()
    collected = _Collector(found)
    for folder in run.steps():
        collected.step(folder)
    if run.facts is not None:
        _published(run, collected)
        for place in run.facts["crawl"].values():
            collected.crawl(run.place(place))
    _compare(collected.listed, found, told)
    found.seconds = time.monotonic() - started
    found.faults.sort(key=lambda fault: str(fault.path))
    return found


class _Collector:
    """Reads manifests: what should be there, and what is there beside it."""

    def __init__(self, into: Verified) -> None:
        self._into = into
        self.listed: list[Listed] = []

    def manifest(self, path: Path) -> Any:
        """Read a manifest, None where it is missing or damaged, which is noted."""
        if size(path) is None:
            self._into.faults.append(Fault(MISSING, path))
            return None
        try:
            return read_json(path)
        except ValueError as error:
            self._into.faults.append(Fault(CHANGED, path, str(error)))
            return None

    def expect(self, folder: Path, files: Iterable[dict[str, Any]], by: Path) -> None:
        """Note files that a manifest lists."""
        self.listed += [Listed(folder / one["path"], one["sha256"], one.get("bytes"), by) for one in files]

    def nothing_else(self, folder: Path, known: Iterable[Path]) -> None:
        """Note files that no manifest lists."""
        names = set(known)
        for one in below(folder):
            if one.path.name == LOCK:
                continue
            if is_leftover(one.path, folder):
                self._into.leftovers += 1
            elif one.path not in names:
                self._into.faults.append(Fault(UNLISTED, one.path, f"{one.bytes:,} bytes"))

    def step(self, folder: Path) -> None:
        """Read a step's manifest: it must be the one that its folder's name was made from, and its sums must close."""
        path = folder / MANIFEST
        told = self.manifest(path)
        if told is None:
            return
        try:
            identity = {key: told[key] for key in ("step", "code", "libraries", "parameters", "inputs")}
            if folder.name != f"{told['step']}-{digest_of(canonical_json(identity).encode())}":
                self._into.faults.append(Fault(CHANGED, path, "its inputs and parameters give another digest"))
            Account.from_manifest(told).check(f"step {told['step']}")
            files = [one for entries in told["outputs"].values() for one in entries]
            self.expect(folder, files, path)
        except AccountingError as error:
            self._into.faults.append(Fault(CHANGED, path, str(error)))
        except (KeyError, TypeError, AttributeError) as error:
            self._into.faults.append(Fault(CHANGED, path, f"a field is missing or of another type: {error}"))
        else:
            aside = [one.path for one in below(folder) if one.path.relative_to(folder).parts[0] in ASIDE]
            self.nothing_else(folder, [path, *aside, *(folder / one["path"] for one in files)])

    def crawl(self, folder: Path) -> None:
        """Read a crawl's manifest. What an interrupted update left beside it is no fault."""
        path = folder / CRAWL
        told = self.manifest(path)
        if told is not None:
            try:
                self.expect(folder, [*told["files"], told["ledger"]], path)
            except (KeyError, TypeError) as error:
                self._into.faults.append(Fault(CHANGED, path, f"a field is missing or of another type: {error}"))


def _published(run: RunFolder, collected: _Collector) -> None:
    """Collect what the run's own folder shows: mixtures, tokens, tokenizer and ledger."""
    assert run.facts is not None
    mix = next((one for one in run.steps() if one.name.startswith("08-mix-")), None)
    steps_files = _outputs(mix)
    for stage in run.facts["stages"]:
        for kind, files in (
            ("mixture", steps_files.get(stage, [])),
            ("tokens", steps_files.get(f"tokens-{stage}", [])),
        ):
            folder = run.path / kind / stage
            path = folder / "manifest.json"
            told = collected.manifest(path)
            if told is None:
                continue
            named = {one["path"]: one for one in told["shards"]}
            # A listing that the manifest names without a digest is the mix step's file of that name.
            for one in files:
                name = one["path"].rpartition("/")[2]
                if name == told.get("documents"):
                    named.setdefault(name, {**one, "path": name})
            if told.get("excluded"):
                named[told["excluded"]["path"]] = told["excluded"]
            collected.expect(folder, named.values(), path)
            collected.nothing_else(folder, [folder / name for name in (*DESCRIBING, *named)])
            if kind == "mixture":
                tokenizer = {"path": "tokenizer.json", "sha256": told["tokenizer"]["sha256"]}
                collected.expect(run.path / "tokenizer", [tokenizer], path)
    collected.nothing_else(run.path / "tokenizer", [run.path / "tokenizer" / "tokenizer.json"])
    if run.facts.get("ledger"):
        source = run.place(run.facts["ledger"])
        files = _outputs(source).get("ledger", [])
        collected.expect(run.path, files, source / MANIFEST)
        collected.nothing_else(run.path / "ledger", [run.path / one["path"] for one in files])


def _outputs(step: Path | None) -> dict[str, list[dict[str, Any]]]:
    """Return the outputs of a step, none where its manifest cannot be read: that is told of with the step."""
    try:
        return read_json(step / MANIFEST)["outputs"] if step is not None else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _compare(listed: list[Listed], into: Verified, told: Callable[[int, int], None]) -> None:
    """Hash every file once, however many names it has and however many manifests list it."""
    into.files = len({one.path for one in listed})
    by_file: dict[object, list[tuple[Stored, Listed]]] = {}
    for one in {(one.path, one.sha256): one for one in listed}.values():
        there = stored(one.path)
        if there is None:
            into.faults.append(Fault(MISSING, one.path, f"listed by {one.by}"))
        elif one.bytes is not None and there.bytes != one.bytes:
            into.faults.append(Fault(CHANGED, one.path, f"{there.bytes:,} bytes, {one.by} says {one.bytes:,}"))
        else:
            by_file.setdefault(there.inode or one.path, []).append((there, one))
    into.bytes = sum(names[0][0].bytes for names in by_file.values())
    done = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        futures = {threads.submit(sha256, names[0][1].path): names for names in by_file.values()}
        for future in as_completed(futures):
            names = futures[future]
            into.faults += _faults(future.result, [one for _, one in names])
            done += len(names)
            told(done, into.files)


def _faults(digest: Callable[[], str], names: list[Listed]) -> Iterator[Fault]:
    try:
        found = digest()
    except (OSError, StorageError) as error:
        yield from (Fault(UNREADABLE, one.path, str(error)) for one in names)
        return
    for one in names:
        if one.sha256 != found:
            yield Fault(CHANGED, one.path, f"SHA-256 is {found[:12]}…, {one.by} says {one.sha256[:12]}…")
