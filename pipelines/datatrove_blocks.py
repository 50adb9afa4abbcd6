"""datatrove's blocks inside a recipe: any filter, formatter or extractor, one document at a time.

A block decides on a document alone. Where datatrove's own depend on what came before, they are made not to: formatters
and extractors begin each document as they were made (`PIIFormatter` goes through its replacements in a circle), and
filters that draw random numbers (`SamplerFilter`, `C4BadWordsFilter`) draw them from the document's id. So the order of
documents, batches and workers change no verdict.

datatrove is imported when a recipe asks for a block, and what a block needs (spaCy, a model) when the block does.
"""

from __future__ import annotations

import copy
import importlib
import importlib.metadata
import inspect
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pipelines.document import canonical_json
from pipelines.engines.plan import EngineError
from pipelines.storage import sha256

if TYPE_CHECKING:
    from pipelines.recipe import BlockUse

Sort = Literal["filter", "formatter", "extractor"]

HOMES: Final = {
    "filter": "datatrove.pipeline.filters",
    "formatter": "datatrove.pipeline.formatters",
    "extractor": "datatrove.pipeline.extractors",
}
"""Where a class is looked for whose module is not named."""


class BlockError(ValueError):
    """A block that cannot be made: unknown, of another sort, wrong options, something not installed."""


@dataclass(frozen=True)
class Outcome:
    """What the blocks left of a document: the text and what they said, or the block that dropped it and why."""

    text: str
    metadata: Mapping[str, Any]
    dropped_by: str = ""
    reason: str = ""
    changed: tuple[tuple[str, int, int], ...] = ()
    """Blocks that changed the text: name, characters before and after."""

    @property
    def verdict(self) -> str:
        """The ledger's reason: the block's name, and its own word for it where it has one."""
        word = re.sub(r"[^a-z0-9]+", "-", self.reason.lower()).strip("-")
        return f"{self.dropped_by}-{word}" if word else self.dropped_by


def name_of(use: BlockUse) -> str:
    """Return a use's name: its own, or the class's in kebab-case."""
    if use.name is not None:
        return use.name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", use.block.rpartition(".")[2]).lower()


def identity(use: BlockUse) -> dict[str, Any]:
    """Return what decides a block's answers, JSON-able: options, versions of its packages, digest of its model."""
    module = _class(use).__module__.partition(".")[0]
    return {
        **use.model_dump(mode="json"),
        "versions": {name: _version(name) for name in sorted({"datatrove", "spacy", module})},
        "model": None if use.model is None else sha256(use.model),
    }


def sort_of(use: BlockUse) -> Sort:
    """Say what sort of block a use names. Raises BlockError when it is none."""
    base = _bases()
    found = _class(use)
    for sort, kind in base.items():
        if issubclass(found, kind):
            return sort
    raise BlockError(f"{use.block} is no filter, formatter or extractor of datatrove; only these can be blocks")


def check(use: BlockUse) -> None:
    """Make a block once, to find what is wrong with it before anything runs. Raises BlockError."""
    if sort_of(use) == "filter" and "exclusion_writer" in use.options:
        raise BlockError("option 'exclusion_writer' is not for a recipe: what a block drops is in the ledger")
    _made(use)


def _bases() -> dict[Sort, type]:
    try:
        from datatrove.pipeline.extractors.base import BaseExtractor
        from datatrove.pipeline.filters.base_filter import BaseFilter
        from datatrove.pipeline.formatters.base import BaseFormatter
    except ModuleNotFoundError as error:
        raise BlockError(_missing(error)) from error
    return {"filter": BaseFilter, "formatter": BaseFormatter, "extractor": BaseExtractor}


def _class(use: BlockUse) -> type:
    module, _, name = use.block.rpartition(".")
    _bases()
    known: list[str] = []
    for place in [module] if module else HOMES.values():
        try:
            found = importlib.import_module(place)
        except ModuleNotFoundError as error:
            raise BlockError(f"no module {place!r}: {error}") from error
        if inspect.isclass(made := getattr(found, name, None)):
            return made
        known += [one for one, value in vars(found).items() if inspect.isclass(value) and not one.startswith("_")]
    from pipelines.recipe_errors import nearest

    raise BlockError(f"no block {use.block!r}{nearest(name, known)}")


def _made(use: BlockUse) -> Any:
    kind = _class(use)
    try:
        block = kind(**use.options)
    except ImportError as error:
        raise BlockError(_missing(error)) from error
    except (TypeError, ValueError) as error:
        raise BlockError(f"{use.block}: {error}; it takes {_signature(kind)}") from error
    if use.model is not None:
        if not hasattr(getattr(block, "model", None), "_model"):
            raise BlockError(f"{use.block} has no fastText model of its own; leave 'model' out")
        if not use.model.is_file():
            raise BlockError(f"model: {use.model}: no such file")
    return block


def _signature(kind: type) -> str:
    names = [name for name in inspect.signature(kind).parameters if name not in ("exclusion_writer", "self")]
    return ", ".join(names) or "no options"


def _missing(error: ImportError) -> str:
    if (error.name or "").partition(".")[0] == "datatrove":
        return "datatrove is not installed: pip install 'pomona[curate]'"
    return f"{error}"


@cache
def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


class Running:
    """Blocks made once in this process, applied to one document after the other.

    Raises EngineError where something that a block needs is missing: that is the machine's fault, not the document's.
    """

    def __init__(self, uses: Iterable[BlockUse]) -> None:
        self._blocks = [(use, sort_of(use), _loaded(use)) for use in uses]

    def __call__(self, id_: str, text: str, about: Mapping[str, Any]) -> Outcome:
        """Apply the blocks in order to a document, those that are for its source, kind and language."""
        from datatrove.data import Document

        document = Document(text=text, id=id_, metadata=dict(about))
        changed: list[tuple[str, int, int]] = []
        for use, sort, block in self._blocks:
            if not use.covers(about):
                continue
            before = document.text
            try:
                kept, reason = _filtered(use, block, document) if sort == "filter" else _formatted(block, document)
            except ImportError as error:
                raise EngineError(f"block {name_of(use)}: {error}") from error
            if not kept:
                return Outcome(before, {}, name_of(use), reason, tuple(changed))
            if document.text != before:
                changed.append((name_of(use), len(before), len(document.text)))
        said = {name: value for name, value in document.metadata.items() if about.get(name) != value}
        return Outcome(document.text, said, changed=tuple(changed))


def running(uses: tuple[BlockUse, ...]) -> Running:
    """Return the blocks, made once in each process."""
    return _running(canonical_json([use.model_dump(mode="json") for use in uses]))


@lru_cache(maxsize=4)
def _running(told: str) -> Running:
    import json

    from pipelines.recipe import BlockUse

    return Running(BlockUse.model_validate(one) for one in json.loads(told))


def _loaded(use: BlockUse) -> Any:
    block = _made(use)
    if use.model is not None:
        block.model._model = _fasttext(use.model)
    return block


def _fasttext(path: Path) -> Any:
    import fasttext

    # As datatrove loads it: the class itself, whose predict() takes one text.
    return fasttext.FastText._FastText(str(path))  # pyright: ignore[reportPrivateUsage]


def _filtered(use: BlockUse, block: Any, document: Any) -> tuple[bool, str]:
    if hasattr(block, "uniform"):
        from numpy.random import default_rng

        of_block = zlib.crc32(f"{use.options.get('seed')}:{name_of(use)}".encode())
        block.uniform = default_rng([of_block, int(document.id, 16)]).uniform
    (answer,) = block.filter_batch([document])
    kept, reason = answer if isinstance(answer, tuple) else (answer, None)
    return bool(kept), str(reason or "")


def _formatted(block: Any, document: Any) -> tuple[bool, str]:
    document.text = copy.deepcopy(block).format(document.text)
    return True, ""


@lru_cache(maxsize=4)
def running_extractor(told: str) -> tuple[BlockUse, Any]:
    """Return an extractor made once in each process, from a use as JSON."""
    from pipelines.recipe import BlockUse

    use = BlockUse.model_validate_json(told)
    return use, _loaded(use)
