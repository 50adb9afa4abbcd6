"""From a record of some benchmark's file to an item: which of its fields is the question, which are the choices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import pyarrow as pa

from decontam.benchmark import ITEM_SCHEMA, Benchmark

__all__ = ["benchmark_from_items", "benchmark_of", "items_of"]

_FIELDS: Final = tuple(ITEM_SCHEMA.names)
# What evaluation harnesses put around a question.
_BEFORE: Final = re.compile(r"\A(?s:.*\n)?(?:Question|Problem|Goal|Fill in the blank):\s*")
_AFTER: Final = re.compile(r"(?s)\n\s*(?:A\.\s.*|Answer:.*)\Z")


def benchmark_of(
    name: str,
    records: Iterable[Mapping[str, Any]],
    fields: Mapping[str, str],
    place: str,
    split: str | None = None,
    license: str | None = None,
) -> Benchmark:
    """Make a benchmark of records.

    Args:
        name: of the benchmark.
        records: its items, in order.
        fields: for item fields (``id``, ``question``, ``context``, ``choices``, ``answer``, ``solution``, ``tests``)
            the field of a record that holds it: ``prompt``; ``choices.text`` inside another; ``option1+option2``
            several, as a list of choices or joined by a line break; ``harness(query)`` with what an evaluation harness
            puts around a question taken away. A field of the same name needs no entry. An item without an id has its
            number (from 0); an id that occurs again gets "#2", "#3" ..., the next that no record has.
        place: file or package, for messages.
        split: what a certificate tells of it.
        license: the same.

    Raises:
        ValueError: a name in ``fields`` is no item field, no record holds what it names or a question or context at
            all, or there is no record.
    """
    found = items_of(records, fields, place)
    if found.items and not any(item["question"] or item["context"] for item in found.items):
        raise ValueError(
            f'{place}: no record of benchmark "{name}" has a question or a context; found {", ".join(found.present)}; '
            "say which of these it is, such as fields: {question: prompt}"
        )
    return benchmark_from_items(name, found.items, place, split, license)


class Items(NamedTuple):
    """Items, and the fields that their records have."""

    items: list[dict[str, Any]]
    present: list[str]


def items_of(records: Iterable[Mapping[str, Any]], fields: Mapping[str, str], place: str) -> Items:
    """Return the items that records hold, their ids as they stand; arguments and errors as ``benchmark_of``."""
    for field in fields:
        if field not in _FIELDS:
            raise ValueError(f'{place}: fields: found "{field}", expected one of {", ".join(_FIELDS)}')
    specs = {field: _Spec.read(fields.get(field, field), field == "choices") for field in _FIELDS}
    items: list[dict[str, Any]] = []
    present: set[str] = set()
    for record in records:
        present |= record.keys()
        items.append({field: spec.value(record) for field, spec in specs.items()})
    for field, spec in fields.items():
        if items and all(item[field] is None for item in items):
            raise ValueError(f'{place}: field "{spec}" ({field}) is in no record; found {", ".join(sorted(present))}')
    return Items(items, sorted(present))


def benchmark_from_items(
    name: str,
    items: list[dict[str, Any]],
    place: str,
    split: str | None = None,
    license: str | None = None,
) -> Benchmark:
    """Make a benchmark of items, with ids that occur once."""
    if not items:
        raise ValueError(f'{place}: no items for benchmark "{name}"')
    bases = [str(number) if item["id"] is None else item["id"] for number, item in enumerate(items)]
    own = set(bases)  # an item keeps the id that its record gives: "a", "a", "a#2" become "a", "a#3", "a#2"
    times: dict[str, int] = {}
    for item, base in zip(items, bases, strict=True):
        times[base] = times.get(base, 0) + 1
        item["id"] = base
        while times[base] > 1 and item["id"] in own:
            item["id"] = f"{base}#{times[base]}"
            times[base] += item["id"] in own
        own.add(item["id"])
    columns = {field: [item[field] for item in items] for field in _FIELDS}
    return Benchmark(name, pa.table(columns, schema=ITEM_SCHEMA), split, license)


class _Spec(NamedTuple):
    """Where a record holds one field of an item."""

    paths: tuple[tuple[str, ...], ...]
    harness: bool
    several: bool

    @classmethod
    def read(cls, spec: str, several: bool) -> _Spec:
        harness = spec.startswith("harness(") and spec.endswith(")")
        inner = spec[len("harness(") : -1] if harness else spec
        return cls(tuple(tuple(path.split(".")) for path in inner.split("+")), harness, several)

    def value(self, record: Mapping[str, Any]) -> Any:
        texts: list[str] = []
        for path in self.paths:
            value: Any = record
            for step in path:
                value = value.get(step) if isinstance(value, dict) else None
            texts += [str(one) for one in (value if isinstance(value, list) else [value]) if one is not None]
        if not texts:
            return None
        if self.harness:
            texts = [_asked(text) for text in texts]
        return texts if self.several else "\n".join(texts)


def _asked(query: str) -> str:
    """Return the question of a harness's prompt."""
    return _AFTER.sub("", _BEFORE.sub("", query)).strip()
