"""The machine-readable description of a stage's mixture: MLCommons Croissant 1.0 (JSON-LD) with its RAI vocabulary.

Specification: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html and croissant-rai-spec.html there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.report.folder import RunFolder
from pipelines.report.stages import Stage
from pipelines.storage import write_bytes

CROISSANT = "croissant.json"
CONFORMS_TO = ("http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0")
FIELDS: Mapping[str, tuple[str, str]] = {
    "id": ("sc:Text", "xxh3-128 of source, address and content, 32 hex digits; unique in the stage"),
    "source": ("sc:Text", "Name of the source in the recipe"),
    "kind": ("sc:Text", "web, code, math, book, dialogue or synthetic"),
    "language": ("sc:Text", "ISO 639-1 code where there is one, else 639-3; und where it is not known"),
    "license": ("sc:Text", "SPDX identifier or expression; null where none is stated"),
    "uri": ("sc:Text", "Address of the record"),
    "text": ("sc:Text", "The text"),
    "tokens": ("sc:Integer", "Length in tokens of the run's tokenizer, the end mark included"),
    "weight": ("sc:Float", "How often the stage takes the document"),
    "entry": ("sc:Text", "Entry of the stage's mixture that the document counts for"),
}
"""Column of a mixture -> (Croissant data type, description)."""


def _context() -> dict[str, Any]:
    """Return the JSON-LD context that the Croissant 1.0 specification prescribes (its appendix 1)."""
    # fmt: off
    plain = (
        "citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format",
        "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references",
        "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
    )
    # fmt: on
    context: dict[str, Any] = {"@language": "en", "@vocab": "https://schema.org/"}
    context |= {name: f"cr:{name}" for name in plain}
    context |= {
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "dct": "http://purl.org/dc/terms/",
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "sc": "https://schema.org/",
    }
    return dict(sorted(context.items()))


def spdx_url(license_: str) -> str:
    """Return the SPDX page of a licence identifier; an expression or a name that is not SPDX stays as it is."""
    return f"https://spdx.org/licenses/{license_}.html" if re.fullmatch(r"[A-Za-z0-9.+-]+", license_) else license_


def published(newest: str) -> str | None:
    """Return the day of the newest record, as consent's sums name it, so that equal runs give equal files.

    Without dated records: the day of SOURCE_DATE_EPOCH (reproducible-builds.org) where it is set, else None.
    """
    if newest:
        return newest
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC).date().isoformat() if epoch else None


def describe(
    run: RunFolder, stage: Stage, description: str, schema: pa.Schema, date: str | None, steps: Sequence[str]
) -> dict[str, Any]:
    """Return the Croissant description of one stage. `steps` tell how the text was made, a sentence each."""
    name = f"{run.facts['name']}-{stage.name}"
    licenses = [spdx_url(license_) for license_ in stage.by("license") if license_]
    shards = [_file(shard) for shard in stage.manifest["shards"]]
    found: dict[str, Any] = {
        "@context": _context(),
        "@type": "sc:Dataset",
        "name": name,
        "description": description,
        "conformsTo": list(CONFORMS_TO),
        "version": f"1.0.0+{run.facts['recipe_digest'][:12]}",
        "license": licenses or ["No licence is stated for these texts; each row names its address."],
        "inLanguage": sorted(code for code in stage.by("language") if code not in ("", "und")),
        "citeAs": f"@misc{{{name}, title={{{name}}}, note={{recipe {run.facts['recipe_digest']}}}}}",
        "distribution": [
            *shards,
            {
                "@type": "cr:FileSet",
                "@id": "shards",
                "name": "shards",
                "description": "The Parquet shards beside this file.",
                "encodingFormat": "application/x-parquet",
                "includes": "part-*.parquet",
            },
        ],
        "recordSet": [_records(schema)],
        "rai:dataCollection": f"Sources: {', '.join(sorted(stage.by('source')))}. Records are read with their rights.",
        "rai:dataPreprocessingProtocol": list(steps),
    }
    if run.redacted:
        kinds = " and ".join(run.redacted)
        found["rai:personalSensitiveInformation"] = f"Replaced by placeholders where found: {kinds} addresses."
    if date:
        found["datePublished"] = date
    return found


def _file(shard: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": shard["path"],
        "name": shard["path"],
        "contentUrl": shard["path"],
        "contentSize": f"{shard['bytes']} B",
        "encodingFormat": "application/x-parquet",
        "sha256": shard["sha256"],
    }


def _records(schema: pa.Schema) -> dict[str, Any]:
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"documents/{name}",
            "name": name,
            "description": FIELDS[name][1],
            "dataType": FIELDS[name][0],
            "source": {"fileSet": {"@id": "shards"}, "extract": {"column": name}},
        }
        for name in schema.names
        if name in FIELDS
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": "documents",
        "name": "documents",
        "description": "One record a document.",
        "key": {"@id": "documents/id"},
        "field": fields,
    }


def write(folder: Path, description: Mapping[str, Any]) -> Path:
    """Write `croissant.json` into a stage's folder, whole or not at all."""
    path = folder / CROISSANT
    write_bytes(path, (json.dumps(description, indent=1, ensure_ascii=False) + "\n").encode())
    return path
