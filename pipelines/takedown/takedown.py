"""`pomona takedown`: records removed everywhere in a run, as a new version of its mixtures.

Nothing else moves: token shards keep their lengths, with end marks where the text was, and name the documents that
loaders leave out. So a training may go on, and what trained before can be told exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.document import canonical_json
from pipelines.report.folder import RunFolder
from pipelines.runs.folder import RunFolder as Place
from pipelines.runs.folder import opened
from pipelines.steps.step import RunFailed
from pipelines.storage import clear_scratch, is_remote, lock
from pipelines.takedown import archives, guard, journal
from pipelines.takedown.change import Change, Takedown, addresses, crawls_of, loss
from pipelines.takedown.checkpoints import exposures
from pipelines.takedown.guard import Guard
from pipelines.takedown.rewriting import Gone
from pipelines.takedown.selection import Asked, Selected, select


def takedown(
    run: Path,
    asked: Asked,
    *,
    reason: str = "",
    with_copies: bool = False,
    dry_run: bool = False,
    checkpoints: Sequence[Path] = (),
    price: float | None = None,
) -> Takedown:
    """Take records down.

    Args:
        run: a finished run.
        asked: what is meant.
        reason: why, told in ledger and manifests.
        with_copies: take the copies of the records along: those that were dropped in their favour, and those that
            stayed in their place.
        dry_run: only say what would be done.
        checkpoints: folders of checkpoints beside those of the run.
        price: of an hour of the machine that the training was measured on.

    Raises:
        RecipeError: nothing is named, or something named is nowhere in the run.
        RunFailed, RunFolderError, RunLocked: no finished run, or in use.
    """
    if dry_run:
        if journal.pending(run):
            raise RunFailed(f"{run}: an earlier take-down was stopped before its end; run it without --dry-run first")
        return _plan(run, asked, reason, with_copies, checkpoints, price, dry=True)[0]
    with lock(run, "pomona takedown"):
        finish(run)
        found, staging = _plan(run, asked, reason, with_copies, checkpoints, price, dry=False)
        if staging is not None:
            staging.commit(found.version)
            finish(run)
            for where in archives.own(run, crawls_of(opened(run))).values() if is_remote(run) else ():
                clear_scratch(where)  # what this machine kept of a crawl on a store
            _forget_in_index(run, found)
    return found


def finish(run: Path) -> bool:
    """Bring a take-down that was stopped half-way to its end; whoever calls holds the run."""
    return journal.finish(run, _describe)


def _describe(run: Path) -> None:
    from pipelines import card, report
    from pipelines.report import tally

    sums = tally.gather(RunFolder.open(run))
    card.write(run, sums)
    report.write(run, sums)


def _plan(
    run: Path,
    asked: Asked,
    reason: str,
    with_copies: bool,
    checkpoints: Sequence[Path],
    price: float | None,
    *,
    dry: bool,
) -> tuple[Takedown, journal.Staging | None]:
    folder = RunFolder.open(run)
    selected = select(folder, asked)
    listing = guard.listing_of(run)
    version = listing.version + 1
    records, copies = selected.records, selected.copies
    found = Takedown(str(run), version, reason, dry, with_copies, list(records.values()), list(copies.values()))
    ids = sorted({*records, *(copies if with_copies else ())})
    gone = Gone(tuple(ids), canonical_json({"version": version, "why": reason}))
    found.exposures = exposures(run, checkpoints, gone, price)
    if copies and not with_copies:
        kept = sum(copy.kept for copy in copies.values())
        found.notes.append(
            f"{len(copies)} copies of these records are not taken down ({kept} of them are what the mixture holds): a "
            "rebuild may put one in their place; --with-copies takes them along"
        )
    known = {id_ for one in listing.takedowns for id_ in one.ids}
    if set(ids) <= known and set(selected.guard.said) <= set(Guard.of(listing.takedowns).said):
        found.version = listing.version
        found.notes.append(f"all of it was taken down before; the mixture is version {listing.version}")
        return found, None
    if dry:
        for stage in folder.stages:
            found.stages[stage] = loss(folder, stage, gone)
        for where in archives.own(run, crawls_of(opened(run))).values():
            found.archives += archives.found(where, addresses(selected, gone))
        _say_left(opened(run), folder, selected, found)
        return found, None
    staging = Change(run, folder, selected, gone, found, listing).staged()
    _say_left(opened(run), folder, selected, found)
    return found, staging


def _say_left(place: Place, folder: RunFolder, selected: Selected, found: Takedown) -> None:
    """Name what holds text, or traces of it, and is not changed."""
    sources = {one.source for one in selected.records.values()}
    crawls = crawls_of(place)
    own = archives.own(place.path, crawls)
    for name, where in crawls.items():
        if name in sources and name not in own:
            found.left.append(
                f"{where}: WARC files of a crawl that is not the run's own still hold the pages as they were fetched; "
                "only a build reads them, and refuses what is on the list"
            )
        elif name in sources:
            found.left.append(
                f"{where}: `pomona build --update` would fetch the pages again, though no build takes them; add them "
                "to the source's `exclude`"
            )
    read = [one for one in folder.facts["recipe"].get("sources", ()) if one["name"] in sources]
    for source in read:
        if source["type"] != "crawl":
            found.left.append(f"source {source['name']}: its own input is not the run's to change; builds refuse it")
    if any(stage.documents for stage in found.stages.values()):
        found.left.append("06-tokenizer: the vocabulary was learned from a sample that may have held these texts")
    for one in found.exposures:
        seen = [checkpoint for checkpoint in one.checkpoints if not checkpoint.clean]
        if seen:
            found.left.append(f"{one.folder}: {len(seen)} checkpoints learned from these records")


def _forget_in_index(run: Path, found: Takedown) -> None:
    """Take the records out of the index of duplicates that the recipe adds to, with their texts."""
    settings = RunFolder.open(run).facts["recipe"].get("dedup") or {}
    path = settings.get("index")
    if not path or not settings.get("index_add") or is_remote(Path(path)) or not Path(path).is_dir():
        return
    from dedup import Index

    ids = [one.id for one in found.records] + [one.id for one in found.copies if found.with_copies]
    index = Index.open(Path(path))
    if removed := index.remove(ids):
        index.compact()
        found.notes.append(f"{path}: {removed} documents were taken out of the index of duplicates")
