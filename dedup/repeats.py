"""What is said more than once in a corpus: keys of parts of documents, counted without bringing the parts together.

A part (a line, a window of tokens) is known by a 64-bit key. Of each batch of documents one row a key is kept, with how
often it occurs there and where it occurs first; these rows meet by key, however many documents hold it, so a part
that every document has costs a row a batch. What is repeated is then told to each group of documents that holds it.
Which occurrence is the first is a matter of the documents' rank and id and the place inside the document, never of the
order of reading.

Two different parts share a key with probability 2^-64 a pair: among 10^11 parts a given one is taken for another with
probability 5·10^-9.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from kernels.mixing import finish

__all__ = ["REPEATS_SCHEMA", "Repeated", "find", "mixed", "occurrences", "repeated"]

REPEATS_SCHEMA = pa.schema(
    [
        pa.field("group", pa.int32()),
        pa.field("key", pa.uint64()),
        pa.field("count", pa.int64()),
        pa.field("rank", pa.int32()),
        pa.field("id", pa.string()),
        pa.field("place", pa.int64()),
    ]
)
"""`group` of documents holds `key` `count` times; of all its occurrences the first is in document `id` of `rank`, at
`place`."""

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)


def mixed(keys: NDArray[np.uint64], number: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Make keys that are only equal where `number` (of a bucket, say) is equal too."""
    return _mixed(keys, number)


def occurrences(
    keys: NDArray[np.uint64],
    row: NDArray[np.int64],
    place: NDArray[np.int64],
    ids: pa.Array[Any],
    rank: NDArray[np.int32],
    group: int,
) -> pa.Table:
    """Sum the parts of a batch of documents: REPEATS_SCHEMA, a row a key, sorted by it.

    Args:
        keys: one a part.
        row: the document of each part, rising; an index of `ids`.
        place: where in its document it stands, rising within a row.
        ids: id of each document.
        rank: rank of each document; the smaller one comes first.
        group: number of the documents' group.
    """
    if not len(keys):
        return REPEATS_SCHEMA.empty_table()
    by_id = pc.sort_indices(
        pa.table({"rank": pa.array(rank), "id": ids}), sort_keys=[("rank", "ascending"), ("id", "ascending")]
    ).to_numpy()
    if (np.diff(by_id.astype(np.int64)) > 0).all():  # the usual case: parts lie in the order of their ids
        order = np.argsort(keys, kind="stable")
    else:
        number = np.empty(len(by_id), np.int64)
        number[by_id] = np.arange(len(by_id))
        order = np.lexsort((place, number[row], keys))
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    first = order[starts]
    holder = row[first]
    return pa.table(
        [
            pa.array(np.full(len(first), group, np.int32)),
            pa.array(ordered[starts]),
            pa.array(np.diff(np.append(starts, len(order)))),
            pa.array(rank[holder]),
            ids.take(pa.array(holder)).cast(pa.string()),
            pa.array(place[first]),
        ],
        schema=REPEATS_SCHEMA,
    )


def repeated(table: pa.Table, most: int) -> pa.Table:
    """Return, of whole groups of equal keys, those that occur more than `most` times: a row a key and group.

    `table` is of REPEATS_SCHEMA, sorted by key, rank, id, place and group. In the result `count` is of the corpus, and
    rank, id and place are those of the first occurrence there.
    """
    key, group = table["key"].to_numpy(), table["group"].to_numpy()
    if not len(key):
        return REPEATS_SCHEMA.empty_table()
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    total = np.add.reduceat(table["count"].to_numpy(), starts)
    number = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(key))))
    often = total[number] > most
    _, rows = np.unique(np.stack([number[often], group[often]]), axis=1, return_index=True)
    told = np.flatnonzero(often)[rows]
    first = table.take(pa.array(starts[number[told]]))
    return pa.table(
        [
            pa.array(group[told]),
            pa.array(key[told]),
            pa.array(total[number[told]]),
            *(first[name].combine_chunks() for name in ("rank", "id", "place")),
        ],
        schema=REPEATS_SCHEMA,
    )


class KnownKeys(NamedTuple):
    """Rising, distinct keys, and the table to find them by, which is made once for many batches."""

    keys: NDArray[np.uint64]
    slots: NDArray[np.int64]

    @classmethod
    def of(cls, keys: NDArray[np.uint64]) -> KnownKeys:
        """Make the table of some keys."""
        return cls(keys, _slots(keys))


class Repeated(NamedTuple):
    """What is repeated among the documents of one group, keys rising."""

    known: KnownKeys
    counts: NDArray[np.int64]
    ids: pa.Array[Any]
    places: NDArray[np.int64]

    @classmethod
    def of(cls, table: pa.Table) -> Repeated:
        """Read what `repeated` told of one group; sorted by key."""
        whole = table.combine_chunks()
        ids = whole["id"].combine_chunks() if whole.num_rows else pa.array([], pa.string())
        known = KnownKeys.of(whole["key"].to_numpy())
        return cls(known, whole["count"].to_numpy(), ids, whole["place"].to_numpy())

    def first_of(self, found: NDArray[np.int64], ids: pa.Array[Any], row: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the document `row` of `ids` is the one that holds the first occurrence of each key `found`."""
        if not len(found):
            return np.zeros(0, np.bool_)
        same = pc.equal(self.ids.take(pa.array(found)), ids.cast(pa.string()).take(pa.array(row)))
        return same.to_numpy(zero_copy_only=False)


def find(keys: NDArray[np.uint64], wanted: KnownKeys) -> NDArray[np.int64]:
    """Return where each key stands among those that are known; -1 where it does not."""
    return _find(keys, wanted.keys, wanted.slots)


@njit(cache=True, nogil=True)
def _mixed(keys, number) -> Any:
    made = np.empty(len(keys), np.uint64)
    for k in range(len(keys)):
        made[k] = finish(keys[k] + number[k] * _STEP)
    return made


@njit(cache=True, nogil=True)
def _slots(wanted) -> Any:
    """Fill a table of places: a binary search would miss the cache at each of its steps."""
    size = 16
    while size < 2 * len(wanted):
        size *= 2
    mask = np.uint64(size - 1)
    table = np.full(size, -1, np.int64)
    for k in range(len(wanted)):
        slot = finish(wanted[k]) & mask
        while table[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = k
    return table


@njit(cache=True, nogil=True)
def _find(keys, wanted, table) -> Any:
    mask = np.uint64(len(table) - 1)
    found = np.empty(len(keys), np.int64)
    for k in range(len(keys)):
        slot = finish(keys[k]) & mask
        while table[slot] >= 0 and wanted[table[slot]] != keys[k]:
            slot = (slot + np.uint64(1)) & mask
        found[k] = table[slot]
    return found
