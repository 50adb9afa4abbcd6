"""Lines and paragraphs that a corpus repeats.

CCNet (1911.00359, section 3.1) takes a line of extracted text for a paragraph, normalises it (lower case, digits as 0,
punctuation out) and drops every one that was seen before. Llama 3 (2407.21783, section 3.1.1) drops lines that occur
more than 6 times in a bucket of 30 million documents, all their occurrences.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from dedup.repeats import Repeated, find, mixed, occurrences
from kernels.lines import Lines, lines
from kernels.ranges import normalised_hashes, range_chars, range_hashes, without_ranges
from kernels.strings import TextBatch, text_batch

__all__ = ["PRESETS", "LineConfig", "Marked", "Units", "keys_of", "marked", "units", "without"]

PRESETS: Final[dict[str, dict[str, Any]]] = {
    # CCNet: among paragraphs with the same normalised text the first stays.
    "ccnet": {"most": 1, "keep": "first", "normalise": "ccnet"},
    # Llama 3: "more than 6 times in each bucket of 30M documents"; which normalisation is not published ("similar to
    # ccNet"), so it is CCNet's.
    "llama3": {"most": 6, "keep": "none", "normalise": "ccnet", "bucket": 30_000_000},
}


class LineConfig(BaseModel):
    """Which lines are repeated too often, and what becomes of them.

    A line that occurs more than `most` times among the documents of one bucket is dropped: every occurrence (`keep`
    "none"), or every one but the first ("first"). `bucket` is how many documents are looked at together, 0 for all.
    Lines of fewer than `min_chars` code points (without white space at the ends) are left alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: Literal["line", "paragraph"] = "line"
    normalise: Literal["ccnet", "none"] = "ccnet"
    most: Annotated[int, Field(ge=1)] = 1
    keep: Literal["first", "none"] = "first"
    bucket: Annotated[int, Field(ge=0)] = 0
    min_chars: Annotated[int, Field(ge=1)] = 10

    @classmethod
    def preset(cls, name: str, **others: Any) -> Self:
        """Return a published configuration, "ccnet" or "llama3", with some fields of one's own.

        Raises:
            ValueError: there is no preset of that name.
        """
        if name not in PRESETS:
            raise ValueError(f'preset: found "{name}", expected one of {", ".join(sorted(PRESETS))}')
        return cls(**{**PRESETS[name], **others})

    def buckets(self, documents: int) -> int:
        """How many buckets so many documents fill."""
        return max(1, -(-documents // self.bucket)) if self.bucket else 1


class Units(NamedTuple):
    """The lines or paragraphs of a batch of texts."""

    batch: TextBatch
    found: Lines
    row: NDArray[np.int64]  # the text of each
    place: NDArray[np.int64]  # its number in the text, from 0
    keys: NDArray[np.uint64]
    counted: NDArray[np.bool_]  # long enough to be looked at


def units(text: pa.Array[Any] | pa.ChunkedArray[Any], config: LineConfig) -> Units:
    """Split texts and hash what they consist of."""
    batch = text_batch(text)
    found = lines(batch, "newline" if config.unit == "line" else "paragraph")
    row = np.repeat(np.arange(len(found.offsets) - 1), np.diff(found.offsets))
    place = np.arange(len(found.starts)) - found.offsets[row]
    counted = found.inner_ends - found.inner_starts >= config.min_chars  # no fewer bytes than code points
    starts, ends = found.inner_starts[counted], found.inner_ends[counted]
    long = range_chars(batch, starts, ends) >= config.min_chars
    counted[counted] = long
    hashed = normalised_hashes if config.normalise == "ccnet" else range_hashes
    keys = np.zeros(len(counted), np.uint64)
    keys[counted] = hashed(batch, starts[long], ends[long])
    return Units(batch, found, row, place, keys, counted)


def keys_of(
    text: pa.Array[Any] | pa.ChunkedArray[Any],
    ids: pa.Array[Any],
    rank: NDArray[np.int32],
    bucket: NDArray[np.uint64],
    group: int,
    config: LineConfig,
) -> pa.Table:
    """Sum the lines of a batch of documents, for `dedup.repeats.repeated`.

    Args:
        text: the documents' texts.
        ids: their ids.
        rank: their ranks: of the copies of a line the one in the document of the smallest rank is the first, then the
            one of the smallest id.
        bucket: number of each document's bucket.
        group: number of the documents' group.
        config: parameters.
    """
    found = units(text, config)
    row = found.row[found.counted]
    keys = mixed(found.keys[found.counted], bucket[row])
    return occurrences(keys, row, found.place[found.counted], ids, rank, group)


class Marked(NamedTuple):
    """Which lines of a batch of texts go."""

    units: Units
    dropped: NDArray[np.bool_]  # one flag a line
    repeat: NDArray[np.int64]  # its number among what is repeated, -1 for none


def marked(
    text: pa.Array[Any] | pa.ChunkedArray[Any],
    ids: pa.Array[Any],
    bucket: NDArray[np.uint64],
    known: Repeated,
    config: LineConfig,
) -> Marked:
    """Find the lines of documents that are dropped, given what is repeated too often among their group."""
    found = units(text, config)
    repeat = np.full(len(found.keys), -1, np.int64)
    row = found.row[found.counted]
    repeat[found.counted] = find(mixed(found.keys[found.counted], bucket[row]), known.known)
    dropped = repeat >= 0
    if config.keep == "first":
        hit = np.flatnonzero(dropped)
        stays = known.first_of(repeat[hit], ids, found.row[hit])
        stays &= known.places[repeat[hit]] == found.place[hit]
        dropped[hit[stays]] = False
    return Marked(found, dropped, repeat)


def without(found: Marked) -> TextBatch:
    """Return the texts without their dropped lines; a text that keeps all is the same bytes.

    A line goes with the break behind it; at the end of a text the break before it goes instead, as far as lines go
    there too.
    """
    found_lines, dropped = found.units.found, found.dropped
    row = found.units.row
    gone = np.flatnonzero(dropped)
    last = found_lines.offsets[1:] - 1
    behind = np.append(found_lines.starts, 0)[gone + 1]
    starts = found_lines.starts[gone].copy()
    ends = np.where(gone == last[row[gone]], found.units.batch.offsets[1:][row[gone]], behind)
    final = np.full(len(last), -1, np.int64)  # the last line of each text that stays
    kept = np.flatnonzero(~dropped)
    final[row[kept]] = kept
    closes = gone == final[row[gone]] + 1  # the first of those that go at the end
    closes &= final[row[gone]] >= 0
    starts[closes] = found_lines.ends[gone[closes] - 1]
    bounds = np.searchsorted(row[gone], np.arange(len(last) + 1))
    return without_ranges(found.units.batch, bounds, starts, ends)
