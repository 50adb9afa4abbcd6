"""How the two numbers of `filters.language` were chosen: on folds of lines, and shown on the lines left out.

EVENING is the power of the best mean accuracy among those that change no answer on a web page of which the bare model
is sure (a probability of a half): pages are what the service reads, and most are in the languages that it is taken
from. CERTAINTY is where an answer at the line is
right one time in two. A fold is every fifth line of each language, so every language is in each.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.language.texts import Lines
from filters.language import EVENING, Judge, judge, read_only
from kernels.scripts import beginnings
from kernels.strings import TextBatch, text_batch

FOLDS = 5
POWERS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
SURE = 0.5
WORDS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24)


@dataclass(frozen=True)
class Weighed:
    """What a judge says before letters decide and before "und"."""

    best: NDArray[np.object_]
    certain: NDArray[np.float64]
    weight: NDArray[np.float64]
    choices: NDArray[np.int64]


def weighed(texts: list[str], power: float) -> Weighed:
    """Judge texts with another power than the one in use."""
    asked = Judge(judge().model, evening=power, certainty=0.0)
    lines = beginnings(text_batch(pa.array(texts, pa.large_string())), 1000)
    sums, counts = asked.model.sums(TextBatch(read_only(lines.data), read_only(lines.offsets)))
    _, best, certain = asked.weigh(lines.scripts, sums, counts)
    weight, choices = asked.weight(lines.letters, lines.scripts), asked.choices(lines.scripts)
    return Weighed(np.where(choices > 0, asked.codes[best], "und"), certain, weight, choices)


def macro(right: NDArray[np.bool_], names: NDArray[np.object_]) -> float:
    """Mean over the languages of the share that is right."""
    _, place, number = np.unique(names.astype(str), return_inverse=True, return_counts=True)
    return float(np.mean(np.bincount(place, right) / number))


def known(lines: Lines) -> NDArray[np.bool_]:
    """Lines in a language that lid.176 has a label for."""
    return np.isin(np.array(lines.codes, dtype=object), judge().codes)


def powers(sets: list[Lines], pages: list[str]) -> list[str]:
    """Lines of a table: each power's accuracy on the folds, and the pages it changes."""
    bare = weighed(pages, 0.0)
    sure = bare.certain >= SURE
    rows = [
        "power  " + "  ".join(f"fold {fold}" for fold in range(FOLDS)) + f"  changed of {len(pages)} pages, sure ones"
    ]
    allowed, accuracies = list[float](), list[NDArray[np.float64]]()
    for power in POWERS:
        means = np.zeros(FOLDS)
        for lines in sets:
            asked = known(lines)
            right = weighed(lines.texts, power).best == np.array(lines.codes, dtype=object)
            names, fold = np.array(lines.names, dtype=object), np.arange(len(right)) % FOLDS
            means += [macro(right[asked & (fold == k)], names[asked & (fold == k)]) / len(sets) for k in range(FOLDS)]
        changed = weighed(pages, power).best != bare.best
        if not (changed & sure).any():
            allowed.append(power)
            accuracies.append(means)
        rows.append(
            f"{power:5.1f}  "
            + "  ".join(f"{mean:6.3f}" for mean in means)
            + f"  {changed.sum():10}  {(changed & sure).sum():10}"
        )
    # Each fold's power is chosen by the others.
    totals = np.sum(accuracies, axis=1)[:, None] - accuracies
    chosen = [allowed[k] for k in totals.argmax(axis=0)]
    held_out = float(np.mean([accuracies[allowed.index(power)][fold] for fold, power in enumerate(chosen)]))
    return [*rows, f"chosen by the other folds: {chosen}; mean accuracy on the folds left out {held_out:.3f}"]


def snippets(lines: Lines) -> Lines:
    """One piece of each line in a known language, of 1 to 24 words, or 1 to 60 characters where there are no spaces."""
    drawn = random.Random(1)
    texts, names, codes = list[str](), list[str](), list[str]()
    for text, name, code, one in zip(lines.texts, lines.names, lines.codes, known(lines), strict=True):
        words = text.split()
        length = drawn.choice(WORDS)
        begin = drawn.randrange(max(1, len(words) - length + 1))
        if one:
            spaced = " " in text[:60]
            texts.append(" ".join(words[begin : begin + length]) if spaced else text[: drawn.randint(1, 60)])
            names.append(name)
            codes.append(code)
    return Lines(texts, names, codes)


def certainty(lines: Lines) -> list[str]:
    """Lines of a table: the line that each fold's rest chooses, and how often an answer near it is right there."""
    pieces = snippets(lines)
    found = weighed(pieces.texts, EVENING)
    right = found.best == np.array(pieces.codes, dtype=object)
    value = found.certain * np.sqrt(found.weight)
    asked = (found.choices > 1) & (found.weight >= 8)
    fold = np.random.default_rng(1).integers(0, FOLDS, len(right))
    rows = ["fold  line  right near it, of the fold  answered  right of those"]
    for k in range(FOLDS):
        rest, own = asked & (fold != k), asked & (fold == k)
        line = _half(value[rest], right[rest])
        near = own & (value > 0.9 * line) & (value < 1.1 * line)
        over = own & (value >= line)
        rows.append(
            f"{k:4}  {line:4.2f}  {right[near].mean():25.2f}  {over.sum() / own.sum():8.2f}  {right[over].mean():14.2f}"
        )
    rows.append("letters   right near the line of all")
    line = _half(value[asked], right[asked])
    for low, high in ((8, 16), (16, 32), (32, 64), (64, 128)):
        near = asked & (found.weight >= low) & (found.weight < high) & (value > 0.9 * line) & (value < 1.1 * line)
        rows.append(f"{low:3}-{high:<3}   {right[near].mean():.2f} of {near.sum()}")
    return [*rows, f"chosen: {line:.2f}"]


def _half(value: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Where answers are right one time in two: the first of a rising row of lines at which they are."""
    for line in np.arange(0.5, 6.0, 0.05):
        near = (value > 0.9 * line) & (value < 1.1 * line)
        if near.any() and right[near].mean() >= 0.5:
            return float(line)
    return 6.0
