"""Weights that mean tokens: which documents a stage takes, how often, and in which order.

Everything here is a pure function of the documents' ids, their token counts and the recipe's seed.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.recipe import StageMix

PASSES = 256
"""Documents taken after the first that did not fit: each is smaller than what is still wanted, so this is plenty."""

Bits = NDArray[np.uint64]
Counts = NDArray[np.int64]


class Infeasible(Exception):
    """A stage asks for more tokens than its sources can give under their epoch caps."""


@dataclass(frozen=True)
class Supply:
    """The documents a mixture can take from: a row each.

    `bits` are the first 64 bits of the ids, `source` indexes `names`, `tokens` counts tokens with the end mark.
    """

    bits: Bits
    source: NDArray[np.int32]
    tokens: Counts
    names: tuple[str, ...]

    def rows_of(self, name: str) -> NDArray[np.int64]:
        """Return the rows of one source."""
        if name not in self.names:
            return np.empty(0, np.int64)
        return np.flatnonzero(self.source == self.names.index(name))


@dataclass(frozen=True)
class Chosen:
    """A stage's choice: how often each row of the supply is taken, and the shares that came out."""

    repeats: Counts
    tokens: dict[str, int]
    target_weights: dict[str, float]
    realised_weights: dict[str, float]
    epochs: dict[str, float]
    epoch_caps: dict[str, float]


def shuffled(bits: Bits, seed: int, purpose: str, repeat: int | Bits = 0) -> Bits:
    """Return a sort key for each id: uniform, other for each seed, purpose and repeat (splitmix64 finaliser)."""
    salt = zlib.crc32(purpose.encode()) << 32 | zlib.crc32(f"{seed}:{purpose}".encode())
    value = bits ^ np.uint64(salt)
    value = value + np.asarray(repeat, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value = (value ^ value >> np.uint64(shift)) * np.uint64(factor)
    return value ^ value >> np.uint64(31)


def heldout(supply: Supply, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Mark the documents set aside for evaluation; a document's place never depends on the others."""
    return shuffled(supply.bits, seed, "heldout") < np.uint64(min(int(fraction * 2**64), 2**64 - 1))


def choose(supply: Supply, allowed: NDArray[np.bool_], stage: str, mix: StageMix, seed: int) -> Chosen:
    """Choose a stage's documents: whole epochs of each source, then one seeded partial epoch.

    The partial epoch takes documents in seeded order and passes over those that would exceed the share. Raises
    Infeasible with the numbers that clash and the largest feasible budget.
    """
    repeats = np.zeros(len(supply.bits), np.int64)
    have = {name: int(supply.tokens[rows[allowed[rows]]].sum()) for name, rows in _rows(supply, mix)}
    _check(stage, mix, have)
    epochs: dict[str, float] = {}
    for name, rows in _rows(supply, mix):
        rows = rows[allowed[rows]]
        wanted = round(mix.tokens * mix.weights[name])
        if wanted == 0 or have[name] == 0:
            epochs[name] = 0.0
            continue
        whole, rest = divmod(wanted, have[name])
        order = rows[np.argsort(shuffled(supply.bits[rows], seed, f"choose:{stage}"), kind="stable")]
        repeats[rows] = whole
        repeats[order[_filling(supply.tokens[order], rest)]] += 1
        epochs[name] = round(float((repeats[rows] * supply.tokens[rows]).sum()) / have[name], 6)
    tokens = {name: int((repeats[rows] * supply.tokens[rows]).sum()) for name, rows in _rows(supply, mix)}
    total = sum(tokens.values())
    return Chosen(
        repeats,
        tokens,
        dict(mix.weights),
        {name: count / total if total else 0.0 for name, count in tokens.items()},
        epochs,
        {name: mix.cap(name) for name in mix.weights},
    )


def _filling(tokens: Counts, wanted: int) -> NDArray[np.int64]:
    """Return places in order that sum to `wanted` or just below: a prefix, then the next that still fit, and so on."""
    count = int(np.searchsorted(np.cumsum(tokens), wanted, side="right"))
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


def _rows(supply: Supply, mix: StageMix) -> list[tuple[str, NDArray[np.int64]]]:
    return [(name, supply.rows_of(name)) for name in mix.weights]


def _check(stage: str, mix: StageMix, have: Mapping[str, int]) -> None:
    short: list[str] = []
    feasible = float(mix.tokens)
    for name, weight in mix.weights.items():
        wanted, most = round(mix.tokens * weight), int(have[name] * mix.cap(name))
        if wanted > most:
            short.append(
                f"{name} should give {wanted:,} tokens ({weight:.4g} of {mix.tokens:,}) but has {have[name]:,} × "
                f"{mix.cap(name):g} epochs = {most:,}"
            )
            feasible = min(feasible, most / weight)
    if short:
        raise Infeasible(
            f"stages.{stage}: {'; '.join(short)}. With these weights and caps at most {int(feasible):,} tokens are "
            f"feasible: set stages.{stage}.tokens to that, raise epochs, or lower the weight"
        )


def order(supply: Supply, repeats: Counts, stage: str, seed: int) -> NDArray[np.int64]:
    """Return the rows of a stage in training order, each as often as it is taken."""
    rows = np.repeat(np.arange(len(repeats)), repeats)
    ends = np.cumsum(repeats)
    copy = np.arange(len(rows)) - np.repeat(ends - repeats, repeats)
    key = shuffled(supply.bits[rows], seed, f"order:{stage}", copy.astype(np.uint64))
    return rows[np.lexsort((supply.bits[rows], key))]
