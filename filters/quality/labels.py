"""Labelled texts: a Parquet file with ``text``, and ``label`` (0 or 1) or ``score`` (a number, 0 to 5 as graders give).

``group`` (a host, a source), where it stands there, keeps texts of one origin together: a whole group is learned from
or held out, so that a model is judged on origins that it has not seen. Otherwise equal texts are kept together.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from filters.quality.card import Data, QualityModelError, digest

__all__ = ["Labelled", "read_labels"]


@dataclass(frozen=True)
class Labelled:
    """Texts with what is known of them, and which are held out.

    Attributes:
        path: the file.
        text: strings.
        targets: label or score of each.
        held_out: whether a text is kept back to judge by.
        groups: how many origins there are; None where the file says none.
    """

    path: Path
    text: pa.ChunkedArray[Any]
    targets: NDArray[np.float64]
    held_out: NDArray[np.bool_]
    groups: int | None

    def positive(self, threshold: float) -> NDArray[np.bool_]:
        """Whether a text's target reaches the threshold.

        Raises:
            QualityModelError: all do or none does, among those to learn from or those held out.
        """
        found = self.targets >= threshold
        for name, chosen in (("to learn from", ~self.held_out), ("held out", self.held_out)):
            share = found[chosen]
            if not share.any() or share.all():
                raise QualityModelError(
                    f"quality: {self.path}: of {len(share)} texts {name}, {int(share.sum())} reach {threshold:g};"
                    " expected some that do and some that do not: give more texts or groups, another share to hold out,"
                    " or another seed"
                )
        return found

    def described(self, threshold: float | None) -> Data:
        """What a card tells of it."""
        return Data(
            file=self.path.name,
            sha256=digest(self.path),
            rows=len(self.targets),
            trained=int((~self.held_out).sum()),
            held_out=int(self.held_out.sum()),
            positives=None if threshold is None else int((self.targets >= threshold).sum()),
            groups=self.groups,
        )


def read_labels(path: Path, target: str | None, held_out: float, seed: int) -> Labelled:
    """Read labelled texts. A row without text or without a target is a mistake, not a row to leave out.

    Args:
        path: a Parquet file.
        target: the column ``label`` or ``score``; None takes the one that is there.
        held_out: share of the groups (or texts) to hold out, 0 to 1.
        seed: of the choice, which depends on a group's name alone.

    Raises:
        FileNotFoundError: there is no such file.
        QualityModelError: it is no Parquet, lacks a column, or a row is not complete.
    """
    if not path.is_file():
        raise FileNotFoundError(f"quality: there is no file {path}; expected Parquet with text, and label or score")
    try:
        schema = pq.read_schema(path)
        there = [name for name in ("label", "score") if name in schema.names]
        chosen = target or (there[0] if len(there) == 1 else None)
        if "text" not in schema.names or chosen is None or chosen not in there:
            raise QualityModelError(
                f"quality: {path}: found the columns {', '.join(schema.names)}, expected text and"
                f" {target or 'one of label and score (with both, say which)'}"
            )
        table: pa.Table = pq.read_table(path, columns=["text", chosen, *{"group"} & set(schema.names)])
    except pa.ArrowInvalid as error:
        raise QualityModelError(f"quality: {path}: found no Parquet ({error}); expected labelled texts") from error
    try:
        text: Any = table["text"].cast(pa.large_string())
        targets: Any = table[chosen].cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise QualityModelError(
            f"quality: {path}: found text of {table['text'].type} and {chosen} of {table[chosen].type}, expected"
            f" strings and numbers ({error})"
        ) from error
    values = targets.to_numpy()
    wrong = np.flatnonzero(~np.isfinite(values) | text.is_null().to_numpy())
    if len(wrong):
        raise QualityModelError(
            f"quality: {path}: row {wrong[0]}: found no text or no {chosen}, expected both ({len(wrong)} such rows)"
        )
    if chosen == "label" and not np.isin(values, (0, 1)).all():
        row = int(np.flatnonzero(~np.isin(values, (0, 1)))[0])
        raise QualityModelError(f"quality: {path}: row {row}: found the label {values[row]:g}, expected 0 or 1")
    origin: Any = table["group"].cast(pa.large_string()) if "group" in table.column_names else None
    names: Any = text if origin is None else pc.if_else(origin.is_valid(), origin, text)
    encoded = names.combine_chunks().dictionary_encode()
    hashes = [xxhash.xxh3_64_intdigest(name, seed) for name in encoded.dictionary.to_pylist()]
    out = np.array([one < held_out * 2.0**64 for one in hashes], np.bool_)[encoded.indices.to_numpy()]
    return Labelled(path, text, values, out, None if origin is None else len(hashes))
