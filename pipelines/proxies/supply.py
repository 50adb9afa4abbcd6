"""What a curated run can be mixed from, and proxies' mixtures of it: nothing is measured or tokenised again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.document import canonical_json, id_bits
from pipelines.mixture import shuffled
from pipelines.proxies.tokens import write
from pipelines.recipe import StageMix
from pipelines.recipe_errors import RecipeError
from pipelines.steps.step import Finished, opened
from pipelines.storage import (
    MANIFEST,
    at,
    children,
    digest_of,
    exists,
    is_remote,
    read_json,
    read_table,
    write_parquet,
)

POOL = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("tokens", pa.large_list(pa.field("token", pa.uint32(), nullable=False))),
    ]
)
Shares = NDArray[np.float64]
"""Shares of tokens of each part of a supply, in its order: non-negative, summing to 1."""
UNSELECTED = "no-entry"
"""Group of held-out documents that no entry is for."""


@dataclass(frozen=True)
class Supply:
    """The entries of a stage (its sources, where it has none) with what they have and may give, and its budget."""

    names: tuple[str, ...]
    have: NDArray[np.int64]
    """Tokens of each source, held-out documents not among them."""
    caps: NDArray[np.float64]
    """Most epochs of each source."""
    tokens: int
    """Of the mixture to be made."""

    @property
    def natural(self) -> Shares:
        """Shares of the sources as they are."""
        return self.have / self.have.sum()

    @property
    def most(self) -> Shares:
        """The largest share that each source's tokens and epoch cap allow, at most 1."""
        return np.minimum(1.0, self.have * self.caps / self.tokens)

    def feasible(self, shares: Shares) -> NDArray[np.bool_]:
        """Say which mixtures (rows of shares) the sources can give under their caps."""
        return np.all(shares <= self.most + 1e-9, axis=-1)

    def check(self) -> None:
        """Raise RecipeError where no mixture at all can be made."""
        if float(self.most.sum()) < 1:
            told = ", ".join(
                f"{name} {have:,} × {cap:g}" for name, have, cap in zip(self.names, self.have, self.caps, strict=True)
            )
            most = int((self.have * self.caps).sum())
            raise RecipeError(
                [f"no weights give {self.tokens:,} tokens: under their epoch caps the sources have {most:,} ({told}); "
                 f"set tokens to {most:,} or less, or raise epochs"]
            )  # fmt: skip


@dataclass(frozen=True)
class Stock:
    """A run's tokenized documents, held-out ones too: columns id, entry (null: of none) and count."""

    tokenized: Finished
    listing: pa.Table
    digest: str
    """Of the tokens and of what entries select."""

    def without(self, ids: pa.Array) -> pa.Table:
        """Return the rows of the documents that may be mixed: those of an entry, save these."""
        spare = pc.or_(pc.is_in(self.listing["id"], value_set=ids), pc.is_null(self.listing["entry"]))
        return self.listing.filter(pc.invert(spare))

    def groups(self) -> pa.Table:
        """Return the entry of every document, UNSELECTED where it has none: columns id, group."""
        named = pc.fill_null(self.listing["entry"], UNSELECTED)
        return pa.table({"id": self.listing["id"], "group": named})


def stock_of(run: Path, mix: StageMix, stage: str) -> Stock:
    """Read what a stage can be mixed from. Raises RecipeError where documents were sorted by other entries."""
    tokenized = _last(run, "tokens")
    listing = pa.concat_tables([read_table(path, ["id", "source", "count"]) for path in tokenized.parts("tokens")])
    if not mix.entries:
        return Stock(tokenized, listing.rename_columns(["id", "entry", "count"]), tokenized.digest)
    labels = _last(run, "labels", optional=True)
    asked = [entry.model_dump(mode="json", exclude={"share", "epochs"}) for entry in mix.entries]
    sorted_by = None if labels is None else read_json(labels.folder / MANIFEST)["parameters"].get(stage)
    if labels is None or sorted_by != asked:
        raise RecipeError(
            [f"{run}: its documents are not sorted by the entries of stages.{stage}; `pomona mix {run} --weights FILE` "
             "with these entries makes a run whose documents are"]
        )  # fmt: skip
    column = f"stage.{stage}"
    known = pa.concat_tables([read_table(path, ["id", column]) for path in labels.parts("labels")])
    found = known[column].take(pc.index_in(listing["id"], value_set=known["id"])).combine_chunks()
    names = pa.array([entry.name for entry in mix.entries], pa.string())
    entry = names.take(pc.if_else(pc.greater_equal(found, 0), found, pa.scalar(None, found.type)))
    told = pa.table({"id": listing["id"], "entry": entry, "count": listing["count"]})
    return Stock(tokenized, told, digest_of(f"{tokenized.digest} {labels.digest} {stage}".encode()))


def supply_of(run: Path, mix: StageMix, stage: str = "core") -> tuple[Supply, Stock]:
    """Return what a run's stage can be mixed from, and the documents of it.

    Raises RecipeError where an entry has no tokens, or there is only one.
    """
    stock = stock_of(run, mix, stage)
    summed = stock.without(heldout_ids(run)).group_by("entry").aggregate([("count", "sum")])
    sums = dict(zip(summed["entry"].to_pylist(), summed["count_sum"].to_pylist(), strict=True))
    names = tuple(mix.shares())
    empty = [name for name in names if not sums.get(name)]
    if empty:
        raise RecipeError(
            [f"{run}: no tokens of {', '.join(empty)} are left to mix; see its report for what dropped them"]
        )
    if len(names) < 2:
        what = "entry" if mix.entries else "source"
        raise RecipeError([f"{run}: the stage has one {what}, {', '.join(names)}: there is nothing to weight"])
    have = np.array([sums[name] for name in names], np.int64)
    return Supply(names, have, np.array([mix.cap(name) for name in names]), mix.tokens), stock


def heldout_ids(run: Path) -> pa.Array:
    """Return the ids of the documents that a run has set aside."""
    parts = [path for path in children(run / "mixture" / "heldout") if path.suffix == ".parquet"]
    if not parts:
        return pa.array([], pa.string())
    return pa.concat_tables([read_table(path, ["id"]) for path in parts])["id"].combine_chunks()


@overload
def _last(run: Path, output: str) -> Finished: ...
@overload
def _last(run: Path, output: str, *, optional: bool) -> Finished | None: ...
def _last(run: Path, output: str, *, optional: bool = False) -> Finished | None:
    """Return the last step of a run that has an output. Raises RecipeError where it is gone, or none had it."""
    described: dict[str, Any] = read_json(run / "run.json")
    for folder in (str(one["folder"]) for one in reversed(described["steps"])):
        place = at(folder) if is_remote(at(folder)) else run / folder
        if not exists(place / MANIFEST):
            raise RecipeError([f"{run}: its step {place} is not there any more; build the recipe again"])
        if output in (done := opened(place, reused=True)).outputs:
            return done
    if optional:
        return None
    raise RecipeError([f"{run}: no step of it has {output}; build the recipe again"])


@dataclass(frozen=True)
class Pool:
    """The documents that proxies draw from: of each entry the first in a seeded order, as many as any will need."""

    folder: Path
    supply: Supply
    tokenizer: Path
    digest: str

    @classmethod
    def make(cls, run: Path, supply: Supply, stock: Stock, out: Path, tokens: int, seed: int = 0) -> Pool:
        """Write a run's pool to `out`, at most `tokens` tokens of each entry; what is there already is kept."""
        named = {"tokens": stock.digest, "names": supply.names, "most": tokens, "seed": seed}
        digest = digest_of(canonical_json({**named, "heldout": heldout_ids(run).to_pylist()}).encode())
        folder = out / f"pool-{digest[:12]}"
        pool = cls(folder, supply, run / "tokenizer" / "tokenizer.json", digest)
        missing = [n for n in range(len(supply.names)) if not exists(pool.part(n))]
        if not missing:
            return pool
        parts = stock.tokenized.parts("tokens")
        listing = stock.without(heldout_ids(run))
        entries = np.asarray(listing["entry"].to_pylist(), dtype=object)
        key, counts = shuffled(id_bits(listing["id"]), seed, "proxies"), listing["count"].to_numpy()
        for number in missing:
            rows = np.flatnonzero(entries == supply.names[number])
            rows = rows[np.argsort(key[rows], kind="stable")]
            before = np.cumsum(counts[rows]) - counts[rows]
            wanted = listing["id"].take(pa.array(rows[before < tokens])).combine_chunks()
            found: list[pa.Table] = []
            for path in parts:
                table = read_table(path, ["id", "tokens"])
                found.append(table.filter(pc.is_in(table["id"], value_set=wanted)))
            table = pa.concat_tables(found)
            table = table.take(pc.index_in(wanted, value_set=table["id"].combine_chunks()))
            write_parquet(pool.part(number), table.cast(POOL))
        return pool

    def part(self, number: int) -> Path:
        """Return the file of a source."""
        return self.folder / f"{number:03d}.parquet"


@dataclass(frozen=True)
class Drawn:
    """A proxy's mixture: shares of a pool's sources, `tokens` in all.

    With `repeats`, each source is as scarce as it will be in the real mixture: a proxy of a hundredth of its tokens
    draws from a hundredth of each source, and so repeats it as often. (Small models that never see a repetition would
    have every good source be used without end.)
    """

    pool: Pool
    shares: tuple[float, ...]
    tokens: int
    seed: int = 0
    repeats: bool = True

    @property
    def digest(self) -> str:
        """Names the tokens and their order."""
        said = [self.pool.digest, list(self.shares), self.tokens, self.seed, self.repeats]
        return digest_of(canonical_json([*said, self.pool.supply.tokens]).encode())

    def limits(self) -> NDArray[np.int64]:
        """Tokens of each source that the proxy may draw from."""
        if not self.repeats:
            return self.pool.supply.have
        part = min(1.0, self.tokens / self.pool.supply.tokens)
        return np.maximum(1, np.round(self.pool.supply.have * part)).astype(np.int64)

    def folder(self, place: Path) -> Path:
        """Write the mixture, its documents in seeded order, and return its token folder."""
        from pipelines.proxies.proxy import lists

        documents: list[NDArray[np.uint32]] = []
        ids: list[str] = []
        sources: list[str] = []
        counts = whole_counts(self.shares, self.tokens)
        for number, (count, limit) in enumerate(zip(counts.tolist(), self.limits().tolist(), strict=True)):
            if not count:
                continue
            table = read_table(self.pool.part(number))
            tokens, names = lists(table["tokens"]), table["id"].to_pylist()
            for row in taken([len(one) + 1 for one in tokens], count, limit):
                documents.append(tokens[row[0]][: row[1] - 1])
                ids.append(names[row[0]])
                sources.append(self.pool.supply.names[number])
        order = np.random.Generator(np.random.PCG64(self.seed)).permutation(len(documents))
        return write(
            place,
            "core",
            [documents[row] for row in order],
            pa.chunked_array([[ids[row] for row in order]], pa.string()),
            pa.chunked_array([[sources[row] for row in order]], pa.string()),
            self.pool.tokenizer,
        )


def whole_counts(shares: Sequence[float], tokens: int) -> NDArray[np.int64]:
    """Return tokens of each source that sum to `tokens`: largest remainders get what rounding leaves."""
    exact = np.asarray(shares, np.float64) * tokens
    counts = np.floor(exact).astype(np.int64)
    left = tokens - int(counts.sum())
    counts[np.argsort(-(exact - counts), kind="stable")[:left]] += 1
    return counts


def taken(lengths: Sequence[int], count: int, limit: int) -> list[tuple[int, int]]:
    """Return rows and the tokens taken of each that sum to `count`, from the first `limit` tokens again and again.

    The last document of a pass, and the last of all, are cut; every length counts the end mark. What is left of one
    token is an end mark alone.
    """
    ends = np.cumsum(lengths)
    limit = min(limit, int(ends[-1]))
    found: list[tuple[int, int]] = []
    while count > 0:
        room = min(count, limit)
        whole = int(np.searchsorted(ends, room, side="right"))
        found += [(row, int(lengths[row])) for row in range(whole)]
        rest = room - (int(ends[whole - 1]) if whole else 0)
        if rest:
            found.append((whole, rest))
        count -= room
    return found


def as_weights(supply: Supply, shares: Shares, digits: int = 4) -> dict[str, float]:
    """Return shares as a recipe's weights: rounded, summing to exactly 1, none above what its source can give."""
    scale = 10**digits
    counts = whole_counts((shares / shares.sum()).tolist(), scale)
    most = np.floor(supply.most * scale + 1e-9).astype(np.int64)
    over = int(np.maximum(counts - most, 0).sum())
    counts = np.minimum(counts, most)
    for number in np.argsort(-(most - counts), kind="stable"):
        added = min(over, int(most[number] - counts[number]))
        counts[number] += added
        over -= added
    return {name: int(count) / scale for name, count in zip(supply.names, counts, strict=True)}


def shares_of(weights: Mapping[str, float], supply: Supply) -> Shares:
    """Return weights in the order of a supply."""
    return np.array([weights[name] for name in supply.names])
