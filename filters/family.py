"""Families of signals and presets of rules: a module of this package that defines ``FAMILY``, ``RULES`` or both.

A new family is one new file here. Nothing registers itself: the family ``gopher`` is the module ``filters.gopher``,
imported when it is first asked for.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import filters
from filters.batch import Batch
from filters.rule import Rule
from kernels.occurrences import PhraseGroup

__all__ = ["Family", "Measure", "families", "family", "presets", "rules"]

Measure = Callable[[Batch], Mapping[str, NDArray[Any]]]


@dataclass(frozen=True)
class Family:
    """Signals that are measured together.

    Attributes:
        name: the module's name.
        signals: name of each signal (without the family) and what it says, with its unit.
        measure: a value for each text and signal, in any numeric type; must not depend on the other texts of the batch.
        phrases: the groups of phrases that it asks the batch for: those of all families are looked for in one walk.
        with_reference: gives the same measure with a file that it goes by (a language model, a corpus's counts), read
            once; None for a family that knows of none.
        check: looks at a reference before anything is measured, without reading all of it; raises OSError, ValueError,
            or ModuleNotFoundError where a package is missing.
        beside: where a second file of a reference would lie, which is read too if it is there (a model's tokeniser).
        reference_signals: the signals that such a file gives the family, where it is the file that says them; quick.
        reference_libraries: packages whose versions can change what is measured with such a file.
        pinned: a recipe must name the SHA-256 of the file.
    """

    name: str
    signals: Mapping[str, str]
    measure: Measure
    phrases: tuple[PhraseGroup, ...] = ()
    with_reference: Callable[[Path], Measure] | None = None
    beside: Callable[[Path], Path] | None = None
    check: Callable[[Path], object] | None = None
    reference_signals: Callable[[Path], Mapping[str, str]] | None = None
    reference_libraries: Callable[[Path], tuple[str, ...]] | None = None
    pinned: bool = False

    def files(self, reference: Path) -> list[Path]:
        """The files that are read for a reference: what they hold decides the values."""
        second = None if self.beside is None else self.beside(reference)
        return [reference] if second is None or not second.is_file() else [reference, second]

    def opened(self, reference: str | Path | None) -> Family:
        """The family that measures with a reference; itself where none is given.

        Raises:
            ValueError: the family knows of no reference, or the file is not one.
            FileNotFoundError: there is no such file.
        """
        if reference is None:
            return self
        if self.with_reference is None:
            raise ValueError(
                f"family {self.name}: found the reference {str(reference)!r}, and it takes none; leave it out"
            )
        return replace(self, measure=self.with_reference(Path(reference)), signals=self.signals_by(Path(reference)))

    def signals_by(self, reference: Path | None) -> Mapping[str, str]:
        """The signals that the family has with a reference."""
        if reference is None or self.reference_signals is None:
            return self.signals
        return self.reference_signals(reference)

    def columns(self, batch: Batch) -> dict[str, NDArray[np.float64]]:
        """The batch's values as ``family.signal``, in the order of ``signals``."""
        values = self.measure(batch)
        if values.keys() != self.signals.keys():
            raise ValueError(
                f"family {self.name}: measured {sorted(values)}, expected the signals {sorted(self.signals)}"
            )
        return {f"{self.name}.{signal}": np.asarray(values[signal], np.float64) for signal in self.signals}


def families() -> list[str]:
    """Names of all families."""
    return [name for name in _modules() if _defined(name, "FAMILY") is not None]


def presets() -> list[str]:
    """Names of all presets of rules."""
    return [name for name in _modules() if _defined(name, "RULES") is not None]


def family(name: str) -> Family:
    """The family of this name.

    Raises:
        ValueError: there is none; the message names the nearest.
    """
    found = _defined(name, "FAMILY") if name in _modules() else None
    if found is None:
        raise ValueError(_unknown("family of signals", name, families()))
    return found


def rules(preset: str) -> list[Rule]:
    """The rules of a preset, cheapest to explain first; each module says where its thresholds come from.

    Raises:
        ValueError: there is no such preset; the message names the nearest.
    """
    found = _defined(preset, "RULES") if preset in _modules() else None
    if found is None:
        raise ValueError(_unknown("preset of rules", preset, presets()))
    return list(found)


@cache
def _modules() -> list[str]:
    # Looked for once a process: reading the folder takes as long as measuring a few pages.
    return sorted(module.name for module in pkgutil.iter_modules(filters.__path__))


def _defined(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"filters.{module}"), name, None)


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"{what}: found {name!r}, expected one of {', '.join(known)}" + (
        f"; did you mean {near[0]!r}?" if near else ""
    )
