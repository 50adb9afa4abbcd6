"""What of each item is looked for: its question as a sequence of words.

- An item's question is its ``question``, or its ``context`` where it has no question (a cloze passage).
- A question of at least ``least_words`` words and ``least_evidence`` of weight is looked for by itself: with or without
  its answer, solution or choices, it is found.
- A shorter or commoner one ("Which of these is true?") is looked for together with a context of at most 64 words, if
  that suffices (a longer one is a passage that others own), else with its choices: all of them in order, or any one of
  them after the question; and where that does not, with its solution, its answer or its tests.
- Answers, solutions and choices alone are never a hit: an essay that quotes a famous text is not a leak because the
  text is some item's answer.
- What still says too little is not checkable, and the index says so.

Equal questions of several items are one piece with several owners.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from decontam.benchmark import Benchmark
from decontam.method import Method
from decontam.rarity import Rarity
from decontam.seeds import sequence_hashes
from decontam.tokens import Tokens, tokens

__all__ = ["Assembled", "assemble", "shown"]

_LONGEST_CONTEXT: Final = 64
_WEAK: Final = 2.0  # times the least evidence
_SOLUTIONS: Final = ("solution", "answer", "tests")


class Assembled(NamedTuple):
    """Pieces and their owners; piece ``p`` is ``hashes[offsets[p]:offsets[p + 1]]``."""

    offsets: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    rarity: NDArray[np.float32]  # weight of each word
    weights: NDArray[np.float32]  # the same where a word comes first in its piece; 0 where it comes again
    question: NDArray[np.int64]  # words of the piece that are question; the others are choices
    group: NDArray[np.int64]  # pieces of one question have the same number
    lead: NDArray[
        np.int64
    ]  # tokens before its first word and after its last that do not count, but belong to the passage
    trail: NDArray[np.int64]
    owner_piece: NDArray[np.int64]  # pairs of a piece and the item that it stands for
    owner_item: NDArray[np.int64]
    reasons: list[str]  # per item: why it has no piece, or ""
    solved: NDArray[np.bool_]  # per item: whether it is looked for with its solution


class _Piece(NamedTuple):
    words: NDArray[np.uint64]
    question: int
    group: int
    lead: int
    trail: int


def assemble(benchmarks: Sequence[Benchmark], method: Method) -> Assembled:
    """Make the pieces of all items; items are numbered in the order of the benchmarks and their tables."""
    question, context = _texts(benchmarks)
    found = tokens(question, method.drop_labels)
    _, first, group = np.unique(sequence_hashes(found.offsets, found.hashes), return_index=True, return_inverse=True)
    rarity = Rarity(_select(found, first), method.drop_labels)
    count = np.diff(found.offsets)
    weight = _sums(found.offsets, rarity.weights(found.hashes) * _first_time(found.offsets, found.hashes))
    enough = (count >= method.least_words) & (weight >= method.least_evidence)

    pieces: list[_Piece] = []
    owner_piece: list[int] = []
    owner_item: list[int] = []
    reasons = [""] * len(enough)
    solved = np.zeros(len(enough), np.bool_)
    number: dict[tuple[bytes, int], int] = {}

    def own(item: int, piece: _Piece) -> None:
        key = (piece.words.tobytes(), piece.question)
        if key not in number:
            number[key] = len(pieces)
            pieces.append(piece)
        owner_piece.append(number[key])
        owner_item.append(item)

    for item in np.flatnonzero(enough).tolist():
        words = found.hashes[found.offsets[item] : found.offsets[item + 1]]
        own(item, _Piece(words, len(words), int(group[item]), int(found.lead[item]), int(found.trail[item])))
    short = np.flatnonzero(~enough)
    extended = _extended(benchmarks, found, context, group, short, rarity, method)
    unsaid = short[np.array([not candidates for candidates in extended], np.bool_)]
    # What says just enough may be left with too little where its n-grams turn out to be templates.
    weak = np.sort(np.concatenate((unsaid, np.flatnonzero(enough & (weight < _WEAK * method.least_evidence)))))
    solutions = _with_solutions(benchmarks, found, group, weak, enough, rarity, method)
    for item, candidates in zip([*short.tolist(), *weak.tolist()], [*extended, *solutions], strict=True):
        for piece in candidates:
            own(item, piece)
    for item, candidates in zip(weak.tolist(), solutions, strict=True):
        solved[item] = bool(candidates)
    for item in unsaid[~solved[unsaid]].tolist():
        reasons[item] = _reason(int(count[item]), float(weight[item]), method)

    hashes = np.concatenate([p.words for p in pieces]) if pieces else np.zeros(0, np.uint64)
    offsets = np.concatenate(([0], np.cumsum([len(p.words) for p in pieces]))).astype(np.int64)
    weights = rarity.weights(hashes) if method.weighted else np.ones(len(hashes), np.float32)
    return Assembled(
        offsets=offsets,
        hashes=hashes,
        rarity=weights,
        weights=weights * _first_time(offsets, hashes) if method.weighted else weights,
        question=np.array([p.question for p in pieces], np.int64),
        group=np.array([p.group for p in pieces], np.int64),
        lead=np.array([p.lead for p in pieces], np.int64),
        trail=np.array([p.trail for p in pieces], np.int64),
        owner_piece=np.array(owner_piece, np.int64),
        owner_item=np.array(owner_item, np.int64),
        reasons=reasons,
        solved=solved,
    )


def _texts(benchmarks: Sequence[Benchmark]) -> tuple[Any, Any]:
    """Return each item's question, and the context that goes with it ("" if none)."""
    question: list[str] = []
    context: list[str] = []
    for benchmark in benchmarks:
        columns = (benchmark.items["question"].to_pylist(), benchmark.items["context"].to_pylist())
        for asked, given in zip(*columns, strict=True):
            own = bool(asked and asked.strip())
            question.append((asked if own else given) or "")
            context.append((given or "") if own else "")
    return pa.array(question, pa.large_string()), pa.array(context, pa.large_string())


def shown(benchmarks: Sequence[Benchmark]) -> pa.Array[Any]:
    """Return each item as evidence shows it: context, question and choices."""
    texts: list[str] = []
    for one in benchmarks:
        columns = (one.items[name].to_pylist() for name in ("context", "question", "choices"))
        for context, question, choices in zip(*columns, strict=True):
            texts.append("\n".join(part for part in (context, question, *(choices or ())) if part))
    return pa.array(texts, pa.large_string())


def _extended(
    benchmarks: Sequence[Benchmark],
    found: Tokens,
    context: Any,
    group: NDArray[np.int64],
    short: NDArray[np.int64],
    rarity: Rarity,
    method: Method,
) -> list[list[_Piece]]:
    """Return the pieces of items whose question alone says too little; none where nothing helps."""
    if not method.extend_short or not len(short):
        return [[] for _ in short]
    listed: list[list[str]] = [choices or [] for one in benchmarks for choices in one.items["choices"].to_pylist()]
    choices = [[choice for choice in listed[item] if choice] for item in short]
    before = tokens(context.take(pa.array(short)), method.drop_labels)
    after = tokens(pa.array([text for texts in choices for text in texts], pa.large_string()), method.drop_labels)
    result: list[list[_Piece]] = []
    at = 0

    for k, item in enumerate(short):
        words = found.hashes[found.offsets[item] : found.offsets[item + 1]]
        lead, trail = int(found.lead[item]), int(found.trail[item])
        own_choices = [after.hashes[after.offsets[c] : after.offsets[c + 1]] for c in range(at, at + len(choices[k]))]
        trails = after.trail[at : at + len(choices[k])]
        at += len(choices[k])
        given = before.hashes[before.offsets[k] : before.offsets[k + 1]]
        if 0 < len(given) <= _LONGEST_CONTEXT:
            words, lead = np.concatenate([given, words]), int(before.lead[k])
            if _says_enough(words, rarity, method):
                result.append([_Piece(words, len(words), int(group[item]), lead, trail)])
                continue
        sequences: list[tuple[NDArray[np.uint64], int]] = []
        if len(words) and own_choices:
            sequences.append((np.concatenate([words, *own_choices]), int(trails[-1])))
            sequences += [
                (np.concatenate([words, c]), int(t)) for c, t in zip(own_choices[1:], trails[1:], strict=True)
            ]
            if len(own_choices) > 2:
                sequences.append((np.concatenate([words, own_choices[0]]), int(trails[0])))
        said = [(sequence, last) for sequence, last in sequences if _says_enough(sequence, rarity, method)]
        result.append([_Piece(sequence, len(words), int(group[item]), lead, last) for sequence, last in said])
    return result


def _with_solutions(
    benchmarks: Sequence[Benchmark],
    found: Tokens,
    group: NDArray[np.int64],
    items: NDArray[np.int64],
    enough: NDArray[np.bool_],
    rarity: Rarity,
    method: Method,
) -> list[list[_Piece]]:
    """Return the pieces of items whose question says little: it and what solves it.

    Where the question says enough, one word more ("Yes.") is not worth a piece.
    """
    if not method.extend_short or not len(items):
        return [[] for _ in items]
    table = pa.concat_tables([one.items.select(_SOLUTIONS) for one in benchmarks]).take(pa.array(items))
    read = [tokens(table[name], method.drop_labels) for name in _SOLUTIONS]
    result: list[list[_Piece]] = []
    for k, item in enumerate(items.tolist()):
        asked = found.hashes[found.offsets[item] : found.offsets[item + 1]]
        result.append([])
        for one in read if len(asked) else ():
            solution = one.hashes[one.offsets[k] : one.offsets[k + 1]]
            words = np.concatenate([asked, solution[:_LONGEST_CONTEXT]])
            least = method.least_words if enough[item] else 1
            if len(solution) >= least and _says_enough(words, rarity, method):
                trail = int(one.trail[k]) if len(solution) <= _LONGEST_CONTEXT else 0
                result[-1].append(_Piece(words, len(asked), int(group[item]), int(found.lead[item]), trail))
    return result


def _says_enough(words: NDArray[np.uint64], rarity: Rarity, method: Method) -> bool:
    return len(words) >= method.least_words and float(rarity.weights(np.unique(words)).sum()) >= method.least_evidence


def _reason(count: int, weight: float, method: Method) -> str:
    if count == 0:
        return "no words in question or context"
    if count < method.least_words:
        return (
            f"question of {count} words that count, fewer than {method.least_words}, and choices, context or solution "
            "do not help"
        )
    return (
        f"question too common: weight {weight:.1f} nats, less than {method.least_evidence:g}, and choices or solution "
        "do not help"
    )


def _select(found: Tokens, texts: NDArray[np.int64]) -> Tokens:
    lengths = np.diff(found.offsets)[texts]
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    at = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - found.offsets[texts], lengths)
    return Tokens(offsets, found.hashes[at], found.lead[texts], found.trail[texts])


def _first_time(offsets: NDArray[np.int64], hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Tell which words are new in their text: "x y z x y z" says no more than "x y z"."""
    text = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    order = np.lexsort((hashes, text))  # stable, so that of equal words the first in the text comes first
    again = (text[order][1:] == text[order][:-1]) & (hashes[order][1:] == hashes[order][:-1])
    new = np.ones(len(hashes), np.bool_)
    new[order[1:][again]] = False
    return new


def _sums(offsets: NDArray[np.int64], values: NDArray[np.float32]) -> NDArray[np.float64]:
    running = np.concatenate(([0.0], np.cumsum(values, dtype=np.float64)))
    return running[offsets[1:]] - running[offsets[:-1]]
