"""Best-fit-decreasing packing (Ding et al., "Fewer Truncations Improve Language Modeling", 2404.10830, section 3).

Documents longer than a sequence are cut every `sequence_length` tokens; all pieces are then placed, longest first, each
into the fullest sequence that still has room for it. Pieces of one length are placed together, so that the work grows
with the number of different lengths rather than with that of documents; the outcome is that of placing them one by one.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.data.runs import Ints, spread
from trainer.data.tokens import TokenStage
from trainer.errors import DataError
from trainer.files import publish_folder

GROUP = 1 << 16
"""Documents packed together: neighbours in the stored order, which the mixture has shuffled. Enough of them that less
than a hundredth is padding, few enough that a sequence's pieces lie near each other on disk."""

_VERSION = 1


class Packed(NamedTuple):
    """Pieces of documents, ordered by sequence; a sequence's pieces in stored order."""

    position: NDArray[np.int64]
    """Global token position of each piece; int64 [pieces]."""
    length: NDArray[np.int32]
    """[pieces]"""
    first: Ints
    """First piece of each sequence, and the number of pieces; int64 [sequences + 1]."""
    phase_borders: Ints
    """First sequence of each phase, and the number of sequences."""


def packed(stage: TokenStage, sequence_length: int, index: Path | None) -> Packed:
    """The packing of a stage, from `index` where it was made before; made, and kept there, otherwise."""
    if index is None:
        return pack(stage, sequence_length)
    about = f"{_VERSION} {GROUP} {sequence_length} {stage.layout_digest}"
    folder = index / f"{stage.manifest.stage}-{hashlib.sha256(about.encode()).hexdigest()[:16]}"
    if not folder.is_dir():
        made = pack(stage, sequence_length)
        try:
            _write(made, folder)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise
            return made  # a mixture that may only be read is packed anew each time
    position, length, first, borders = (_mapped(folder / f"{name}.npy") for name in Packed._fields)
    return Packed(position, length, first, borders)


def _mapped(path: Path) -> NDArray[Any]:
    try:
        return np.load(path, mmap_mode="r")
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: not a packing ({error}); delete {path.parent} and it will be made again") from error


def _write(made: Packed, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".tmp-{folder.name}-", dir=folder.parent))
    try:
        for name, values in made._asdict().items():
            np.save(temporary / f"{name}.npy", values)
        publish_folder(temporary, folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if not (error.errno in (errno.ENOTEMPTY, errno.EEXIST) and folder.is_dir()):
            raise  # else another rank was first, with the same bytes


def pack(stage: TokenStage, sequence_length: int) -> Packed:
    """Pack all documents, phase by phase and group by group; a document belongs to the phase in which it starts."""
    starts, lengths = stage.document_starts, stage.document_ends - stage.document_starts
    borders = np.searchsorted(starts, stage.phase_starts)
    positions: list[Ints] = []
    sizes: list[Ints] = []
    firsts: list[Ints] = [np.zeros(1, np.int64)]
    phases = [0]
    pieces = sequences = 0
    for begin, end in pairwise(borders.tolist()):
        for group in range(begin, end, GROUP):
            rows = slice(group, min(group + GROUP, end))
            position, length = cut(starts[rows], lengths[rows], sequence_length)
            bins, count = best_fit_decreasing(length, sequence_length)
            order = np.argsort(bins, kind="stable")
            positions.append(position[order])
            sizes.append(length[order])
            firsts.append(pieces + np.cumsum(np.bincount(bins, minlength=count)))
            pieces, sequences = pieces + len(position), sequences + count
        phases.append(sequences)
    length = np.concatenate(sizes).astype(np.int32)
    return Packed(np.concatenate(positions), length, np.concatenate(firsts), np.asarray(phases, np.int64))


def cut(starts: Ints, lengths: Ints, longest: int) -> tuple[Ints, Ints]:
    """Positions and lengths of the pieces of documents, none longer than `longest`, all but a document's last of it."""
    counts = -(-lengths // longest)
    number = spread(np.zeros(len(counts), np.int64), counts)
    offset = number * longest
    left = np.repeat(lengths, counts) - offset
    return np.repeat(starts, counts) + offset, np.minimum(left, longest)


def best_fit_decreasing(sizes: Ints, capacity: int) -> tuple[Ints, int]:
    """Place sizes 1..capacity into bins, longest first, each where it leaves least room.

    Of equal sizes the earlier comes first, of equally full bins the one that has been so for longest.

    Returns:
        The bin of each size and the number of bins. Bins are numbered by their earliest member.
    """
    order = np.argsort(-sizes, kind="stable")
    values, counts = np.unique(sizes, return_counts=True)
    bins = np.empty(len(sizes), np.int64)
    open_bins: dict[int, list[Ints]] = {}
    """Bins by the room they have left, in the order in which they came to have it."""
    rooms = 0  # bit r is set where a bin has room r
    made = at = 0
    for size, left in zip(values[::-1].tolist(), counts[::-1].tolist(), strict=True):
        while left:
            fitting = rooms >> size
            if fitting:
                room = size + (fitting & -fitting).bit_length() - 1
                found = open_bins.pop(room)
                rooms &= ~(1 << room)
                candidates = np.concatenate(found) if len(found) > 1 else found[0]
            else:
                room = capacity
                candidates = np.arange(made, made + -(-left // (capacity // size)))
                made += len(candidates)
            # A bin that takes one is then the tightest for the next, as long as it has room.
            each = room // size
            whole, rest = divmod(min(left, each * len(candidates)), each)
            taken = np.repeat(candidates[: whole + (rest > 0)], each)[: whole * each + rest]
            bins[order[at : at + len(taken)]] = taken
            for some, space in (
                (candidates[:whole], room - each * size),
                (candidates[whole : whole + (rest > 0)], room - rest * size),
                (candidates[whole + (rest > 0) :], room),
            ):
                if len(some) and space:
                    open_bins.setdefault(space, []).append(some)
                    rooms |= 1 << space
            at, left = at + len(taken), left - len(taken)
    _, earliest = np.unique(bins, return_index=True)
    number = np.empty(made, np.int64)
    number[np.argsort(earliest, kind="stable")] = np.arange(made)
    return number[bins], made
