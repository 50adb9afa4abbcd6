"""fastText's model files, ``.bin`` and ``.ftz``, read into arrays.

The layout is that of facebookresearch/fastText 0.9.2 (``fasttext.cc``, ``dictionary.cc``, ``quantmatrix.cc``,
``productquantizer.cc``, ``loss.cc``), little-endian: arguments, dictionary, rows of words and n-grams, rows of labels.
Supervised models of version 12 with softmax or hierarchical softmax are read, quantised or not, with n-grams of
characters, of words or both: lid.176, GlotLID, OpenLID, DCLM's classifier.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kernels.fasttext import Classifier, Dictionary, probabilities, row_sums
from kernels.strings import TextBatch
from kernels.word_ngrams import ngram_sums, word_slots

__all__ = ["FastText", "check", "read"]

_MAGIC: Final = 793712314
_VERSION: Final = 12
_SUPERVISED: Final = 3
_TREE: Final = 1
_SOFTMAX: Final = 3
_CENTROIDS: Final = 256
_LABEL: Final = 1
_ROWS_AT_ONCE: Final = 1 << 16


@dataclass(frozen=True)
class FastText:
    """A model, ready for whole batches.

    Attributes:
        labels: without ``__label__``, in the order of the columns of `probabilities`.
        label_counts: how many training texts each label had.
    """

    labels: tuple[str, ...]
    label_counts: NDArray[np.int64]
    dictionary: Dictionary
    rows: NDArray[np.float32]
    classifier: Classifier
    word_ngrams: int = 1

    @property
    def end(self) -> NDArray[np.float32]:
        """The row that the end of a line adds; empty where the model has none."""
        at = self.dictionary.end
        return self.rows[at] if at >= 0 else self.rows[0, :0]

    def sums(self, batch: TextBatch) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Sum of the rows of each text, and how many they are.

        Sums of parts of a text may be added, unless the model has n-grams of words.
        """
        if self.word_ngrams > 1:
            return ngram_sums(batch.data, batch.offsets, self.rows, self.dictionary, self.word_ngrams)
        return row_sums(batch.data, batch.offsets, self.rows, self.dictionary)

    def probabilities(self, sums: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float32]:
        """Probability of each label for each sum, (texts, labels)."""
        return probabilities(sums, counts, self.end, self.classifier)

    def projected(self) -> FastText:
        """The same model with each row multiplied by the labels' already: a row is as long as there are labels.

        Both layers are linear, so that the mean of such rows is the score itself. For few labels that is a fraction of
        the memory and of the time: of DCLM's classifier, two numbers a row in place of a hundred.
        """
        weights = self.classifier.weights
        nodes = weights.shape[1]
        rows = np.empty((len(self.rows), nodes), np.float32)
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(first, first + _ROWS_AT_ONCE)
            rows[part] = self.rows[part].astype(np.float64) @ weights.astype(np.float64)
        alone = _read_only(np.eye(nodes, dtype=np.float32))
        return replace(self, rows=_read_only(rows), classifier=self.classifier._replace(weights=alone))


def read(path: Path) -> FastText:
    """Read a model file.

    A dense matrix is mapped, not read: what a text does not touch costs no memory.

    Raises:
        ValueError: it is no such file, is cut short, or is a model of another kind.
    """
    file = _File(path)
    (dim, _, _, _, _, word_ngrams, loss, _, buckets, shortest, longest, _, _) = file.arguments()
    size, words, label_number, _, pruned = file.numbers("<iiiqq")
    if size != words + label_number or label_number < 1:
        raise ValueError(f"{path}: found {size} entries, {words} words and {label_number} labels: sums do not close")
    entries, counts, types = file.entries(size)
    if any(one != _LABEL for one in types[words:]) or any(one == _LABEL for one in types[:words]):
        raise ValueError(f"{path}: found labels among the words, expected them after the words")
    pairs = file.array("<i4", 2 * max(pruned, 0)).reshape(-1, 2)
    quantised = file.flag()
    rows = file.quantised() if quantised else file.dense()
    by_label = file.quantised() if file.flag() and quantised else file.dense()
    keep = pairs[:, 0] if pruned >= 0 else np.arange(buckets)
    if rows.shape != (words + len(keep), dim) or by_label.shape != (label_number, dim):
        raise ValueError(
            f"{path}: found matrices of {rows.shape} and {by_label.shape}, expected {(words + len(keep), dim)} and"
            f" {(label_number, dim)}"
        )
    if pruned >= 0:  # rows of n-grams in the order of their buckets, so that a rank says the row
        order = np.argsort(keep, kind="stable")
        rows = np.concatenate([rows[:words], rows[words:][pairs[order, 1]]])
    rows = _read_only(rows)
    names = [word.decode("utf-8", "replace").removeprefix("__label__") for word in entries[words:]]
    tree = loss == _TREE
    return FastText(
        tuple(names),
        _read_only(counts[words:]),
        _dictionary(entries, words, keep, buckets, shortest, longest),
        rows,
        _tree(by_label, counts[words:]) if tree else _flat(by_label),
        max(1, word_ngrams),
    )


def check(path: Path) -> None:
    """Look at the beginning of a model file of single words, without reading the rest of it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no model that `read` reads, or one with n-grams of words, whose sums of parts do not add up.
    """
    word_ngrams = _File(path).arguments()[5]
    if word_ngrams > 1:
        raise ValueError(f"{path}: found n-grams of {word_ngrams} words, expected a model of single words")


class _File:
    """Reads the parts of a model file one after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
        self.at = 0

    def _take(self, size: int) -> Any:
        if size < 0 or self.at + size > len(self.data):
            raise ValueError(
                f"{self.path}: found {len(self.data)} bytes, expected at least {self.at + size}: the file is cut short"
                " or no fastText model"
            )
        self.at += size
        return self.data[self.at - size : self.at]

    def numbers(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack(layout, self._take(struct.calcsize(layout)).tobytes())

    def arguments(self) -> tuple[Any, ...]:
        """The beginning: what the model is and was trained with."""
        magic, version = self.numbers("<ii")
        if (magic, version) != (_MAGIC, _VERSION):
            raise ValueError(
                f"{self.path}: found the beginning {magic} and version {version}, expected a fastText model ({_MAGIC},"
                f" version {_VERSION})"
            )
        found = self.numbers("<12id")
        loss, kind = found[6:8]
        if kind != _SUPERVISED or loss not in (_TREE, _SOFTMAX):
            raise ValueError(
                f"{self.path}: found model {kind} and loss {loss}; expected a supervised model ({_SUPERVISED}) with"
                f" hierarchical softmax ({_TREE}) or softmax ({_SOFTMAX})"
            )
        return found

    def flag(self) -> bool:
        return bool(self.numbers("<?")[0])

    def array(self, kind: str, size: int) -> NDArray[Any]:
        found = self._take(size * np.dtype(kind).itemsize)
        return found.view(kind) if self.at % np.dtype(kind).itemsize == 0 else found.copy().view(kind)

    def entries(self, number: int) -> tuple[list[bytes], NDArray[np.int64], list[int]]:
        words, counts, types = list[bytes](), np.empty(number, np.int64), list[int]()
        for k in range(number):
            found = self.data[self.at : self.at + 4096].tobytes()
            length = found.find(0)
            while length < 0 and self.at + len(found) < len(self.data):
                found = self.data[self.at : self.at + 16 * len(found)].tobytes()
                length = found.find(0)
            words.append(self._take(max(length, 0) + 1).tobytes()[:-1])
            counts[k], kind = self.numbers("<qb")
            types.append(kind)
        return words, counts, types

    def dense(self) -> NDArray[np.float32]:
        rows, columns = self.numbers("<qq")
        return self.array("<f4", rows * columns).reshape(rows, columns)

    def quantised(self) -> NDArray[np.float32]:
        norms = self.flag()
        rows, columns, size = self.numbers("<qqi")
        codes = self.array("u1", size)
        found = self._decoded(codes, rows, columns)
        if norms:
            scale = self.array("u1", rows)
            found *= self._decoded(scale, rows, 1)
        return found

    def _decoded(self, codes: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.float32]:
        dim, parts, width, last = self.numbers("<4i")
        centroids = self.array("<f4", dim * _CENTROIDS)
        if dim != columns or len(codes) != rows * parts or width * (parts - 1) + last != dim:
            raise ValueError(
                f"{self.path}: found a quantiser of {parts} parts and {dim} columns for {len(codes)} codes, expected"
                f" {rows} rows of {columns}"
            )
        of_row = codes.reshape(rows, parts)
        found = np.empty((rows, dim), np.float32)
        for part in range(parts):
            begin = part * _CENTROIDS * width
            wide = last if part == parts - 1 else width
            table = centroids[begin : begin + _CENTROIDS * wide].reshape(_CENTROIDS, wide)
            found[:, part * width : part * width + wide] = table[of_row[:, part]]
        return found


def _dictionary(
    entries: Sequence[bytes], words: int, keep: NDArray[Any], buckets: int, shortest: int, longest: int
) -> Dictionary:
    spelling = np.frombuffer(b"".join(entries), np.uint8)
    bounds = np.zeros(len(entries) + 1, np.int64)
    np.cumsum([len(word) for word in entries], out=bounds[1:])
    kept = np.zeros(buckets // 64 + 1, np.uint64)
    np.bitwise_or.at(kept, keep >> 6, np.uint64(1) << (keep & 63).astype(np.uint64))
    before = np.zeros(len(kept), np.int64)
    np.cumsum(np.bitwise_count(kept)[:-1], out=before[1:])
    end = entries.index(b"</s>") if b"</s>" in entries[:words] else -1
    spelling, bounds = _read_only(spelling), _read_only(bounds)
    slots = word_slots(spelling, bounds)
    arrays = (_read_only(one) for one in (slots, spelling, bounds, kept, before))
    return Dictionary(*arrays, words, len(entries), buckets, shortest, longest, end)  # type: ignore[arg-type]


def _flat(weights: NDArray[np.float32]) -> Classifier:
    nothing = _read_only(np.zeros(0, np.int32))
    return Classifier(_read_only(np.ascontiguousarray(weights.T)), nothing, nothing, len(weights))


def _tree(weights: NDArray[np.float32], counts: NDArray[np.int64]) -> Classifier:
    """Build the Huffman tree of the labels, as ``HierarchicalSoftmaxLoss::buildTree``; the root comes first here."""
    labels = len(counts)
    inner = labels - 1
    size = [*map(int, counts), *[10**15] * inner]
    children = list[tuple[int, int]]()
    leaf, node = labels - 1, labels
    for i in range(labels, 2 * labels - 1):
        pair = list[int]()
        for _ in range(2):
            if leaf >= 0 and size[leaf] < size[node]:
                pair.append(leaf)
                leaf -= 1
            else:
                pair.append(node)
                node += 1
        children.append((pair[0], pair[1]))
        size[i] = size[pair[0]] + size[pair[1]]
    # Node i of fastText is labels + k, its row is k, and the root is the last.
    place = [[~child if child < labels else inner - 1 - (child - labels) for child in pair] for pair in children[::-1]]
    turned = np.array(place, np.int32).reshape(inner, 2)
    return Classifier(
        _read_only(np.ascontiguousarray(weights[:inner][::-1].T)),
        _read_only(np.ascontiguousarray(turned[:, 0])),
        _read_only(np.ascontiguousarray(turned[:, 1])),
        labels,
    )


def _read_only(array: Any) -> Any:
    array = array.view(np.ndarray)
    array.flags.writeable = False
    return array
