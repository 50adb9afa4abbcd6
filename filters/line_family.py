"""Families of signals of single lines: a module of this package that defines ``LINE_FAMILY``.

Their names are ``line`` or end in ``_lines``, so that a signal's name says what it is measured on. The lines are those
of ``str.splitlines``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

import filters
from filters.rule import is_line_signal
from kernels.characters import LineCharacters, line_characters
from kernels.lines import Lines, lines
from kernels.phrases import phrase_lines
from kernels.spaced import longest_words, spaced_counts
from kernels.strings import TextBatch

__all__ = ["LineBatch", "LineFamily", "LineSignal", "line_families", "line_signals", "measure_lines"]


class LineBatch:
    """The lines of a batch of texts, and what its families share of them: each part is computed once, when asked for.

    Its length is the number of lines.
    """

    def __init__(self, texts: TextBatch) -> None:
        """Take the texts and find their lines."""
        self.texts = texts
        self.lines: Lines = lines(texts, "unicode")
        self._phrases: dict[tuple[str, ...], NDArray[np.bool_]] = {}

    def __len__(self) -> int:
        """Number of lines."""
        return len(self.lines.starts)

    @cached_property
    def words(self) -> NDArray[np.int64]:
        """Words between white space in each line."""
        return spaced_counts(self.texts, self.lines.starts, self.lines.ends)

    @cached_property
    def longest_words(self) -> NDArray[np.int64]:
        """Code points of the longest of them."""
        return longest_words(self.texts, self.lines.starts, self.lines.ends)

    def phrases(self, phrases: tuple[str, ...]) -> NDArray[np.bool_]:
        """Which lines hold which phrase (see ``kernels.phrases.phrase_lines``), looked for once."""
        if phrases not in self._phrases:
            self._phrases[phrases] = phrase_lines(self.texts, self.lines, phrases)
        return self._phrases[phrases]

    @cached_property
    def characters(self) -> LineCharacters:
        """Upper-case letters, digits and white space of each line."""
        return line_characters(self.texts, self.lines)


@dataclass(frozen=True)
class LineSignal:
    """One signal of lines.

    Attributes:
        says: what it says, with its unit.
        measure: a value for each line, in any numeric type; must depend on the line alone. Only signals that a rule
            asks for are measured.
    """

    says: str
    measure: Callable[[LineBatch], NDArray[Any]]


@dataclass(frozen=True)
class LineFamily:
    """Signals of lines that belong together.

    Attributes:
        name: the module's name.
        signals: each signal by its name, without the family.
    """

    name: str
    signals: Mapping[str, LineSignal]


def line_families() -> dict[str, LineFamily]:
    """All families of signals of lines, by name."""
    names = (module.name for module in pkgutil.iter_modules(filters.__path__))
    named = [name for name in names if is_line_signal(f"{name}.")]
    found = {name: getattr(importlib.import_module(f"filters.{name}"), "LINE_FAMILY", None) for name in sorted(named)}
    return {name: family for name, family in found.items() if family is not None}


def line_signals() -> list[str]:
    """Names of all signals of lines, ``family.signal``."""
    return [f"{name}.{signal}" for name, family in line_families().items() for signal in family.signals]


def measure_lines(batch: LineBatch, signal: str) -> NDArray[np.float64]:
    """Measure ``family.signal`` on the lines of a batch: a value a line.

    Raises:
        ValueError: no such signal.
    """
    family, _, name = signal.partition(".")
    known = line_families()
    if family not in known or name not in known[family].signals:
        raise ValueError(f"signal of lines: found {signal!r}, expected one of {', '.join(line_signals())}")
    return np.asarray(known[family].signals[name].measure(batch), np.float64)
