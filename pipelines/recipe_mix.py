"""What a recipe says of a training stage: which documents, in which shares of tokens, how often at most, how many."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipelines.mixture_presets import PRESETS, Preset
from pipelines.recipe_errors import nearest

__all__ = ["Entry", "Point", "Schedule", "StageMix", "shares_that_sum"]

DEFAULT_CAP = 4.0
"""Epochs: up to about four cost little (2305.16264)."""

Fraction = Annotated[float, Field(ge=0, le=1)]
EntryName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=64)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Entry(_Part):
    """One part of a mixture: documents, their share of the stage's tokens, and how often they may be repeated.

    Everything that is given must hold; an entry with nothing given takes every document. `domains` hold for their
    subdomains too. `licenses` are as documents have them, "none" for those without. `signal` was measured; `min` is
    inclusive and `max` is not, so that buckets beside each other do not overlap. `percentiles` are of that signal among
    the documents for which all else holds: [90, 100] is the best tenth of them. A document belongs to the first entry
    that it fits. `epochs` caps repetition; null is the stage's cap.
    """

    name: EntryName
    share: Fraction | None = None
    epochs: float | None = Field(default=None, gt=0)
    sources: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    licenses: tuple[str, ...] = ()
    domains: tuple[Annotated[str, Field(pattern=r"^[^\s/:@]+$")], ...] = ()
    signal: str | None = None
    min: float | None = None
    max: float | None = None
    percentiles: tuple[Annotated[float, Field(ge=0, le=100)], Annotated[float, Field(ge=0, le=100)]] | None = None

    @model_validator(mode="after")
    def _bucket(self) -> Self:
        bounded = (self.min, self.max, self.percentiles) != (None, None, None)
        if self.signal is None and bounded:
            raise ValueError(f"entry {self.name!r}: min, max and percentiles bound a signal; give 'signal'")
        if self.signal is not None and not bounded:
            raise ValueError(f"entry {self.name!r}: signal {self.signal!r} has no min, max or percentiles")
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise ValueError(f"entry {self.name!r}: min {self.min:g} is not below max {self.max:g}: no document fits")
        if self.percentiles is not None and self.percentiles[0] >= self.percentiles[1]:
            low, high = self.percentiles
            raise ValueError(f"entry {self.name!r}: percentiles [{low:g}, {high:g}] rise from low to high")
        return self


class Point(_Part):
    """Shares from (constant) or at (linear) a progress of training between 0 and 1."""

    at: Fraction
    weights: Mapping[str, Fraction]

    @field_validator("weights")
    @classmethod
    def _sum(cls, weights: Mapping[str, float]) -> Mapping[str, float]:
        return shares_that_sum(weights)


class Schedule(_Part):
    """How shares change while a stage is trained on.

    `constant`: a point's shares hold until the next point. `linear`: shares run straight from point to point, and are
    cut into `pieces` of equal length on each stretch. After the last point its shares hold. Each stretch becomes a
    phase of the stored order, with shares that are exact for it.
    """

    points: tuple[Point, ...] = Field(min_length=1)
    interpolate: Literal["constant", "linear"] = "constant"
    pieces: int = Field(default=8, ge=1, le=1000)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        places = [point.at for point in self.points]
        if places[0] != 0:
            raise ValueError(f"the first point is at {places[0]:g}; training begins at 0")
        if any(one >= two for one, two in pairwise(places)):
            raise ValueError(f"points must rise; found {', '.join(f'{place:g}' for place in places)}")
        if self.interpolate == "constant" and places[-1] == 1:
            raise ValueError("the last point is at 1, where training has ended: its shares would never hold")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Every entry that any point names."""
        return tuple(dict.fromkeys(name for point in self.points for name in point.weights))

    def phases(self) -> list[tuple[float, dict[str, float]]]:
        """Return each phase's length (they sum to 1) and the mean shares over it."""
        found: list[tuple[float, dict[str, float]]] = []
        for number, point in enumerate(self.points):
            last = number + 1 == len(self.points)
            end = 1.0 if last else self.points[number + 1].at
            if end == point.at:
                continue
            then = point if last or self.interpolate == "constant" else self.points[number + 1]
            pieces = self.pieces if then.weights != point.weights else 1
            for piece in range(pieces):
                # The mean of a straight line over a stretch is its value in the middle.
                way = (piece + 0.5) / pieces
                shares = {
                    name: (1 - way) * point.weights.get(name, 0.0) + way * then.weights.get(name, 0.0)
                    for name in self.names
                }
                found.append(((end - point.at) / pieces, shares))
        return found


class StageMix(_Part):
    """One training stage's mixture: shares of tokens, and how many tokens in all.

    Shares are in `weights` (of sources, by their name), in `entries` (of whatever these select), or in the points of a
    `schedule`, whose names are those of `entries` or else of sources. Entries are a list, or stand under their names. A
    `preset` gives the shares of entries named as its roles, where they do not give their own. `epochs` caps how often
    documents may be repeated, for all or by name (2305.16264: about four repetitions cost little). `sequence_length` is
    what shares are exact to; null is that of the training stage of this name. Where whole documents do not come so
    near, the head of one more is taken; with `cut: false` the stage is refused instead.
    """

    preset: str | None = None
    weights: Mapping[str, Fraction] = {}
    entries: tuple[Entry, ...] = ()
    schedule: Schedule | None = None
    tokens: int = Field(gt=0)
    epochs: Annotated[float, Field(gt=0)] | Mapping[str, Annotated[float, Field(gt=0)]] = DEFAULT_CAP
    sequence_length: int | None = Field(default=None, gt=0)
    cut: bool = True

    @model_validator(mode="before")
    @classmethod
    def _read(cls, raw: Any) -> Any:
        """Take entries by name too, in the order written, and a preset's numbers where none are given."""
        if not isinstance(raw, Mapping):
            return raw
        given = dict(cast("Mapping[str, Any]", raw))
        if isinstance(entries := given.get("entries"), Mapping):
            named = cast("Mapping[str, Any]", entries)
            given["entries"] = [_named(entry, value) for entry, value in named.items()]
        if not isinstance(name := given.get("preset"), str):
            return given
        if name not in PRESETS:
            raise ValueError(f"no preset {name!r}{nearest(name, PRESETS)}")
        return _filled(given, name, PRESETS[name])

    @field_validator("weights")
    @classmethod
    def _sum(cls, weights: Mapping[str, float]) -> Mapping[str, float]:
        return shares_that_sum(weights) if weights else weights

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        names = [entry.name for entry in self.entries]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"entries must have names of their own; given twice: {', '.join(twice)}")
        given = {entry.name: entry.share for entry in self.entries if entry.share is not None}
        ways = [name for name, has in (("weights", self.weights), ("shares of entries", given)) if has]
        ways += ["schedule"] if self.schedule is not None else []
        if len(ways) > 1:
            raise ValueError(f"shares are given twice, by {' and by '.join(ways)}; leave one out")
        if not ways:
            raise ValueError("no weights: name at least one source with its share of tokens")
        if given:
            if missing := [name for name in names if name not in given]:
                raise ValueError(f"no share for {', '.join(missing)}; every entry gives one, or none does")
            shares_that_sum(given)
        for name in (*self.weights, *(self.schedule.names if self.schedule else ())):
            if self.entries and name not in names:
                raise ValueError(f"no entry {name!r}{nearest(name, names)}")
        if not isinstance(self.epochs, int | float):
            for name in self.epochs:
                if name not in self.shares():
                    raise ValueError(f"epochs: no entry {name!r}{nearest(name, self.shares())}")
        return self

    def phases(self) -> list[tuple[float, dict[str, float]]]:
        """Return the stretches of the stage: the length of each (they sum to 1), and its shares by entry."""
        if self.schedule is not None:
            return self.schedule.phases()
        return [(1.0, dict(self.weights) or {entry.name: entry.share or 0.0 for entry in self.entries})]

    def shares(self) -> dict[str, float]:
        """Return each entry's share of the whole stage's tokens."""
        summed: dict[str, float] = {}
        for length, shares in self.phases():
            for name, share in shares.items():
                summed[name] = summed.get(name, 0.0) + length * share
        return summed

    def selected(self) -> tuple[Entry, ...]:
        """Return the entries in order; without any, each source that has a share is one."""
        return self.entries or tuple(Entry(name=name, sources=(name,)) for name in self.shares())

    def with_shares(self, shares: Mapping[str, float]) -> StageMix:
        """Return the stage with other shares of the same entries, the same throughout training."""
        given = self.model_dump(exclude={"preset", "schedule"})
        if self.entries:
            given["entries"] = [one | {"share": shares[one["name"]]} for one in given["entries"]]
            given["weights"] = {}
        else:
            given["weights"] = dict(shares)
        return StageMix.model_validate(given)

    def cap(self, name: str) -> float:
        """Return the epoch cap of an entry."""
        own = next((entry.epochs for entry in self.entries if entry.name == name), None)
        if own is not None:
            return own
        return self.epochs if isinstance(self.epochs, int | float) else self.epochs.get(name, DEFAULT_CAP)


def shares_that_sum(shares: Mapping[str, float]) -> Mapping[str, float]:
    """Return shares that sum to 1. Raises ValueError with the sum, and the shares in proportion."""
    total = sum(shares.values())
    if abs(total - 1) > 1e-6:
        scaled = ", ".join(f"{name}: {share / total:.4g}" for name, share in shares.items()) if total else ""
        raise ValueError(
            f"weights sum to {total:.6g}, expected 1"
            + (f"; in proportion that would be {{{scaled}}}" if scaled else "")
        )
    return shares


def _named(name: str, value: Any) -> Any:
    """Return an entry that stands under its name: its fields, or the source or sources that it is."""
    if isinstance(value, str):
        return {"name": name, "sources": [value]}
    if isinstance(value, list | tuple):
        return {"name": name, "sources": value}
    return {"name": name, **cast("dict[str, Any]", value)} if isinstance(value, Mapping) else value


def _filled(raw: dict[str, Any], name: str, preset: Preset) -> dict[str, Any]:
    """Write a preset's shares, or its schedule, and its budget into a stage that does not give its own."""
    if raw.get("tokens") is None:
        if preset.tokens is None:
            raise ValueError(f"preset {name!r} names no budget ({preset.source}); give 'tokens'")
        raw["tokens"] = preset.tokens
    entries = raw.get("entries")
    if not isinstance(entries, list | tuple) or raw.get("weights") or raw.get("schedule") is not None:
        return raw if raw.get("weights") or raw.get("schedule") is not None else _without_entries(name, preset)
    listed = list(cast("list[Any]", entries))
    if not all(isinstance(one, dict) for one in listed):
        return raw
    given = {one.get("name"): one.get("share") for one in listed}
    if given and all(share is not None for share in given.values()):
        return raw
    if missing := [role for role in preset.roles if role not in given]:
        left = {role: share for role, share in preset.shares.items() if role in given}
        total = sum(left.values())
        scaled = ", ".join(f"{role}: {share / total:.4g}" for role, share in left.items()) if total else ""
        raise ValueError(
            f"preset {name!r} ({preset.source}) has the roles {', '.join(preset.roles)}; no entry is named "
            f"{', '.join(missing)}. Add it, or give every entry its own share"
            + (f"; without it, in proportion: {scaled}" if scaled else "")
        )
    if preset.points:
        points = [{"at": point.at, "weights": dict(point.shares)} for point in preset.points]
        return raw | {"schedule": {"points": points}}
    unknown = [one for one, share in given.items() if share is None and one not in preset.shares]
    if unknown:
        raise ValueError(f"preset {name!r} has no role {str(unknown[0])!r}{nearest(str(unknown[0]), preset.roles)}")
    filled = [one if one.get("share") is not None else one | {"share": preset.shares[one["name"]]} for one in listed]
    return raw | {"entries": filled}


def _without_entries(name: str, preset: Preset) -> dict[str, Any]:
    roles = ", ".join(f"{{name: {role}, sources: [...]}}" for role in preset.roles)
    raise ValueError(f"preset {name!r} says shares by role, not which documents these are: give entries: [{roles}]")
