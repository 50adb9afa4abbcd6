"""Which documents a stage takes, how often, in which phase and order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipelines.mixture.feasible import Demand, Infeasible, Offer, check, demanded
from pipelines.mixture.pieces import Pieces, Stream, cut_tokens, joined
from pipelines.mixture.repetition import cost, effective
from pipelines.mixture.supply import Counts, Labels, Supply, shuffled
from pipelines.recipe_mix import StageMix

PASSES = 256
"""Documents taken after the first that did not fit: each is smaller than what is still wanted, so this is plenty."""
SEQUENCE = 512
"""Tokens to which shares are exact where neither stage nor training says how long a packed sequence is."""
TRIES = 8
"""Mixtures of whole documents that are tried for a proposal."""
WINDOWS = (6, 8, 10)
"""Documents on each side of where a partial epoch ends, of which every subset is tried: 2 to the 20 at most."""


@dataclass(frozen=True)
class Phase:
    """A stretch of a stage with shares of its own: what was asked for, what it takes, and of which rows how often.

    `repeats` count whole documents; `cuts` are the parts of others.
    """

    tokens: int
    weights: dict[str, float]
    taken: dict[str, int]
    repeats: Counts
    cuts: Pieces

    @property
    def realised(self) -> dict[str, float]:
        """Shares that came out."""
        return {name: count / self.tokens if self.tokens else 0.0 for name, count in self.taken.items()}


@dataclass(frozen=True)
class Chosen:
    """A stage's choice: how often each row of the supply is taken, and the shares that came out.

    `repeats` count whole documents, `cuts` are the parts of others. `short` are tokens that an entry gives fewer than
    its share asks for, `within` (a packed sequence) at most. `supply` are the tokens and documents that each entry had.
    `effective_tokens` are what its tokens are worth.
    """

    repeats: Counts
    cuts: Pieces
    within: int
    labels: Labels
    tokens: dict[str, int]
    target_weights: dict[str, float]
    realised_weights: dict[str, float]
    epochs: dict[str, float]
    epoch_caps: dict[str, float]
    sources: dict[str, int] = field(default_factory=dict[str, int])
    supply: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    short: dict[str, int] = field(default_factory=dict[str, int])
    effective_tokens: dict[str, int] = field(default_factory=dict[str, int])
    repetition_cost: dict[str, float] = field(default_factory=dict[str, float])
    phases: tuple[Phase, ...] = ()

    def weights(self, supply: Supply) -> NDArray[np.float64]:
        """How often each row of the supply is taken; not a whole number where a part of it is."""
        parts = cut_tokens(self.cuts, len(self.repeats))
        whole, rest = np.divmod(parts, np.maximum(supply.tokens, 1))  # head and rest in two phases are a document
        return self.repeats + whole + rest / np.maximum(supply.tokens, 1)


def choose(
    supply: Supply,
    allowed: NDArray[np.bool_],
    stage: str,
    mix: StageMix,
    seed: int,
    labels: Labels | None = None,
    notes: Mapping[str, str] | None = None,
    within: int = SEQUENCE,
) -> Chosen:
    """Choose a stage's documents: whole epochs of each entry, then one seeded partial epoch.

    The partial epoch takes documents in seeded order; where it ends, the set of documents is taken that comes nearest
    to the share from below. Where that is more than `within` tokens short, the head of one document more is taken, so
    that every share is met within it. Phases take their parts one after the other from the same passes, so that no
    document is repeated before all others of its entry were taken as often; what a phase leaves of a document that it
    cuts is the first that the next one takes.

    Args:
        supply: all documents.
        allowed: rows that may be taken.
        stage: the stage's name, which the seeded order depends on.
        mix: shares, caps and budget.
        seed: of the order.
        labels: the entry of each row; by source where None.
        notes: why an entry has nothing, for the message.
        within: tokens of a packed sequence.

    Raises Infeasible with the numbers that clash and the nearest mixtures.
    """
    entries = mix.selected()
    labels = supply.by_source(entries) if labels is None else labels
    rows = {entry.name: np.flatnonzero((labels == at) & allowed) for at, entry in enumerate(entries)}
    offers = {
        name: Offer(int(supply.tokens[own].sum()), len(own), mix.cap(name), (notes or {}).get(name, ""))
        for name, own in rows.items()
    }
    demand = _complete(demanded(mix), rows)
    check(stage, mix, demand, offers)
    count = len(demand.phases)
    repeats = np.zeros((count, len(supply.bits)), np.int64)
    cuts: list[list[Pieces]] = [[] for _ in range(count)]
    for name, own in rows.items():
        wanted = np.cumsum([phase[name] for phase in demand.phases])
        if wanted[-1] and len(own):
            _take(repeats, cuts, supply, own, wanted, stage, seed, within if mix.cut else None)
    parts = [joined(each) for each in cuts]
    counts = [one * supply.tokens + cut_tokens(part, len(one)) for one, part in zip(repeats, parts, strict=True)]
    taken = {name: [int(one[own].sum()) for one in counts] for name, own in rows.items()}
    tokens = {name: sum(each) for name, each in taken.items()}
    short = {name: demand.totals[name] - count for name, count in tokens.items()}
    if not mix.cut and any(missing > within for missing in short.values()):

        def given(asked: StageMix) -> Chosen:
            return choose(supply, allowed, stage, asked, seed, labels, notes, mix.tokens)

        whole = _whole(mix, tokens, within, given)
        raise _indivisible(
            stage, mix, demand, {name: supply.tokens[own] for name, own in rows.items()}, tokens, whole, within
        )
    total = sum(tokens.values())
    by_source = np.bincount(supply.source, np.sum(counts, axis=0), len(supply.names)) if len(supply.bits) else []
    sizes = [sum(taken[name][at] for name in taken) for at in range(count)]
    return Chosen(
        repeats.sum(axis=0) if count > 1 else repeats[0],
        joined(parts),
        within,
        labels,
        tokens,
        {name: mix.shares().get(name, 0.0) for name in rows},
        {name: count / total if total else 0.0 for name, count in tokens.items()},
        {name: round(tokens[name] / offer.tokens, 6) if offer.tokens else 0.0 for name, offer in offers.items()},
        {name: offer.cap for name, offer in offers.items()},
        {name: int(count) for name, count in zip(supply.names, by_source, strict=False) if count},
        {name: {"documents": offer.documents, "tokens": offer.tokens} for name, offer in offers.items()},
        short,
        {name: round(effective(tokens[name], offer.tokens)) for name, offer in offers.items()},
        {name: round(cost(tokens[name], offer.tokens), 6) for name, offer in offers.items()},
        tuple(
            Phase(
                size,
                {name: shares.get(name, 0.0) for name in rows},
                {name: taken[name][at] for name in rows},
                one,
                part,
            )
            for at, (size, (_, shares), one, part) in enumerate(zip(sizes, mix.phases(), repeats, parts, strict=True))
        ),
    )


def _complete(demand: Demand, rows: Mapping[str, object]) -> Demand:
    """Ask nothing of entries that have no share in a phase."""
    return Demand(tuple({name: phase.get(name, 0) for name in rows} for phase in demand.phases))


def _take(
    repeats: NDArray[np.int64],
    cuts: Sequence[list[Pieces]],
    supply: Supply,
    own: NDArray[np.int64],
    wanted: Counts,
    stage: str,
    seed: int,
    within: int | None,
) -> None:
    """Add to `repeats` and `cuts` (one a phase) what the phases take of one entry; `wanted` is summed over the phases.

    Where `within` is None no document is cut.
    """
    have = int(supply.tokens[own].sum())
    whole, rest = divmod(int(wanted[-1]), have)
    one = own[np.argsort(shuffled(supply.bits[own], seed, f"choose:{stage}"), kind="stable")]
    # The partial epoch is chosen first: else the end of a phase could take a document of it too early.
    partial, _ = Stream.of(one, supply.tokens).split(rest, within, filling)
    if len(wanted) == 1:
        repeats[0][own] = whole
        partial.add_to(repeats[0], cuts[0], supply.tokens)
        return
    if whole:
        passes = [one]
        for again in range(1, whole):
            passes.append(own[np.argsort(shuffled(supply.bits[own], seed, f"choose:{stage}", again), kind="stable")])
        stream = Stream.of(np.concatenate(passes), supply.tokens).followed_by(partial)
    else:
        stream = Stream.of(one, supply.tokens)
    done = 0
    for at, goal in enumerate(wanted.tolist()):
        part = stream
        if not whole or at + 1 < len(wanted):  # the last phase takes all that is left of whole epochs
            part, stream = stream.split(goal - done, within, filling)
        part.add_to(repeats[at], cuts[at], supply.tokens)
        done += part.total


def _whole(
    mix: StageMix, tokens: Mapping[str, int], within: int, given: Callable[[StageMix], Chosen]
) -> Mapping[str, int] | None:
    """Return tokens that whole documents give when they are what is asked for; None where none were found."""
    if len(mix.phases()) > 1:
        return None
    for _ in range(TRIES):
        total = sum(tokens.values())
        if not total:
            return None
        shares = {name: count / total for name, count in tokens.items()}
        found = given(mix.with_shares(shares).model_copy(update={"tokens": total}))
        if max(found.short.values()) <= within:
            return tokens
        tokens = found.tokens  # with less to take the documents may fit worse
    return None


def _indivisible(
    stage: str,
    mix: StageMix,
    demand: Demand,
    sizes: Mapping[str, Counts],
    tokens: Mapping[str, int],
    whole: Mapping[str, int] | None,
    within: int,
) -> Infeasible:
    """Say which shares whole documents do not meet, and what would."""
    told = [
        f"{name} should give {wanted:,} tokens ({mix.shares()[name]:.4g} of {mix.tokens:,}), and whole documents come "
        f"to {tokens[name]:,}: {wanted - tokens[name]:,} short, where a packed sequence has {within:,}; its "
        f"{len(sizes[name]):,} documents have {int(sizes[name].min()):,} to {int(sizes[name].max()):,} tokens"
        for name, wanted in demand.totals.items()
        if wanted - tokens[name] > within
    ]
    ways = f"Leave out stages.{stage}.cut, and the head of one document more is taken"
    if whole is None:
        return Infeasible(f"stages.{stage}: {'; '.join(told)}. {ways}", stage)
    total = sum(whole.values())
    weights = {name: count / total for name, count in whole.items()}
    shares = ", ".join(f"{name}: {share:.10g}" for name, share in weights.items())
    ways += f"; or ask for what whole documents give: tokens: {total:,} and weights {{{shares}}}"
    return Infeasible(f"stages.{stage}: {'; '.join(told)}. {ways}", stage, total, weights)


def filling(tokens: Counts, wanted: int) -> NDArray[np.int64]:
    """Return places that sum to `wanted` or just below: a prefix, but for a few documents about its end.

    Two ways are tried, and the nearer one is taken: to go on with the next documents that still fit, and to take the
    best of all subsets of the documents about the end. With twenty documents or fewer the sum is the best there is.
    """
    ends = np.cumsum(tokens)
    count = int(np.searchsorted(ends, wanted, side="right"))
    best = _greedy(tokens, count, wanted)
    for width in WINDOWS:
        rest = wanted - int(tokens[best].sum())
        if rest == 0 or len(best) == len(tokens):
            break
        start, stop = max(0, count - width), min(len(tokens), count + width)
        if start == 0:
            stop = min(len(tokens), 2 * width)
        elif stop == len(tokens):
            start = max(0, stop - 2 * width)
        base = int(ends[start - 1]) if start else 0
        inside = start + _subset(tokens[start:stop], wanted - base)
        if base + int(tokens[inside].sum()) > wanted - rest:
            best = np.concatenate([np.arange(start), inside])
    # Of an epoch that lacks little, the shortest document that is long enough is left out, wherever it stands.
    lacking = int(tokens.sum()) - wanted
    spare = np.flatnonzero(tokens >= lacking)
    if lacking > 0 and len(spare):
        one = int(spare[np.argmin(tokens[spare])])
        if int(tokens.sum() - tokens[one]) > int(tokens[best].sum()):
            best = np.delete(np.arange(len(tokens)), one)
    return best


def _greedy(tokens: Counts, count: int, wanted: int) -> NDArray[np.int64]:
    taken = [np.arange(count)]
    rest, at = wanted - int(tokens[:count].sum()), count
    for _ in range(PASSES):
        fitting = np.flatnonzero(tokens[at:] <= rest)
        if len(fitting) == 0:
            break
        at += int(fitting[0])
        taken.append(np.array([at]))
        rest -= int(tokens[at])
        at += 1
    return np.concatenate(taken)


def _subset(tokens: Counts, wanted: int) -> NDArray[np.int64]:
    """Return the places of the subset with the largest sum that is not above `wanted`, of all subsets."""
    sums = np.zeros(1, np.int64)
    for size in tokens.tolist():
        sums = np.concatenate([sums, sums + size])
    chosen = int(np.argmax(np.where(sums <= wanted, sums, -1)))
    return np.flatnonzero(chosen >> np.arange(len(tokens)) & 1)


def order(supply: Supply, repeats: Counts, stage: str, seed: int) -> NDArray[np.int64]:
    """Return the rows of a stage in training order, each as often as it is taken."""
    rows = np.repeat(np.arange(len(repeats)), repeats)
    ends = np.cumsum(repeats)
    copy = np.arange(len(rows)) - np.repeat(ends - repeats, repeats)
    key = shuffled(supply.bits[rows], seed, f"order:{stage}", copy.astype(np.uint64))
    return rows[np.lexsort((supply.bits[rows], key))]


def phased_order(supply: Supply, chosen: Chosen, stage: str, seed: int) -> Pieces:
    """Return a stage's documents, and parts of some, in training order: phase after phase, shuffled within each."""
    if len(chosen.phases) == 1:
        return _order(supply, chosen.repeats, chosen.cuts, stage, seed)
    parts = [_order(supply, one.repeats, one.cuts, f"{stage}:{at}", seed) for at, one in enumerate(chosen.phases)]
    return joined(parts)


def _order(supply: Supply, repeats: Counts, cuts: Pieces, stage: str, seed: int) -> Pieces:
    """Lay whole documents as `order` does, and put each part among them at a seeded place of its own."""
    rows = order(supply, repeats, stage, seed)
    whole = np.stack([rows, np.zeros_like(rows), supply.tokens[rows]], axis=1)
    if not len(cuts):
        return whole
    key = shuffled(supply.bits[cuts[:, 0]], seed, f"cut:{stage}", cuts[:, 1].astype(np.uint64))
    places = (key % np.uint64(len(rows) + 1)).astype(np.int64)
    by_place = np.lexsort((key, places))
    return np.insert(whole, places[by_place], cuts[by_place], axis=0)


__all__ = ["SEQUENCE", "Chosen", "Phase", "choose", "filling", "order", "phased_order"]
