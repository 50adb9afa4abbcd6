"""The dataset card of a stage's mixture: what is in it, under which terms, and how it was made.

Front matter as the Hugging Face Hub reads it (https://huggingface.co/docs/hub/datasets-cards), so that the folder loads
by its name. Nothing here depends on when or where the run was: equal mixtures have equal cards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from pipelines import croissant
from pipelines.report import consent, tally
from pipelines.report.consent import Consent
from pipelines.report.figures import share, visible
from pipelines.report.folder import RunFolder, Step
from pipelines.report.stages import Stage
from pipelines.report.tally import Tally
from pipelines.storage import read_schema, write_bytes

README = "README.md"
# fmt: off
HUB_LICENSES = frozenset((
    "apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "isc", "zlib", "unlicense",
    "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0", "mpl-2.0", "lgpl-2.1", "lgpl-3.0", "gpl-2.0", "gpl-3.0", "agpl-3.0", "bsl-1.0",
    "artistic-2.0", "epl-2.0", "eupl-1.2", "ncsa", "ofl-1.1", "postgresql", "odbl", "pddl", "wtfpl", "ms-pl",
    "osl-3.0", "afl-3.0", "ecl-2.0", "gfdl",
))
# fmt: on
"""Licence names that the Hub knows; every other licence is `other` there, and named in the card's table."""
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))
LARGER = ((10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**10, "1B<n<10B"))
ROWS_OF_A_TABLE = 40


def write(run: Path, sums: Tally | None = None) -> list[Path]:
    """Write `README.md` and `croissant.json` for every stage of a finished run; return the files.

    What they say of all documents is in `sums`, which an engine counts; without it this process counts.
    Raises `RunFolderError` when the folder is not a finished run.
    """
    folder = RunFolder.open(run)
    sums = sums or tally.gather(folder)
    told = sums.consent
    date = croissant.published(told.newest)
    written: list[Path] = []
    for stage in sums.of_stages(folder):
        place = folder.path / "mixture" / stage.name
        shards = folder.stage_files(stage.name)
        schema = read_schema(shards[0]) if shards else pa.schema([])
        path = place / README
        write_bytes(path, readme(folder, stage, told, schema).encode())
        how = [*made(folder), f"Decontamination: {_decontamination(folder, stage)}"]
        description = croissant.describe(folder, stage, summary(folder, stage), schema, date, how)
        written += [path, croissant.write(place, description)]
    return written


def summary(run: RunFolder, stage: Stage) -> str:
    """Say in two sentences what a stage's mixture is."""
    use = "held out for evaluation, never trained on" if stage.evaluation else "for training"
    sources = ", ".join(f"{one.name} {share(one.realised, 1)}" for one in stage.shares if one.tokens)
    return (
        f"Stage {stage.name} of the mixture {run.facts['name']}: {stage.documents:,} documents {use}, "
        f"{stage.tokens:,} tokens with repeats. Shares of tokens: {sources or 'none'}."
    )


def made(run: RunFolder) -> Iterable[str]:
    """Tell each step of the run in a sentence, with its sums."""
    words = {
        "crawl": "crawled politely, robots.txt obeyed",
        "extract": "read and turned into text, rights and licence attached",
        "measure": "measured",
        "decide": "judged by the recipe's rules",
        "blocks": "judged and changed by the recipe's blocks",
        "dedup": "deduplicated, one copy of each text kept",
        "decontaminate": "checked against benchmarks",
        "tokenize": "tokenized",
        "mix": "mixed by weight",
    }
    for step in run.steps:
        if step.received:
            yield f"{step.name}: {words.get(step.idea, step.idea)}; {_sums(step)}"


def _sums(step: Step) -> str:
    reasons = [f"{name} {records:,}" for name, records in sorted({**step.dropped, **step.failed}.items())]
    lost = f" ({', '.join(reasons)})" if reasons else ""
    return f"{step.received:,} in, {step.kept:,} kept{lost}."


def readme(run: RunFolder, stage: Stage, told: Consent, schema: pa.Schema) -> str:
    """Return the text of one stage's card."""
    parts = [
        _front_matter(run, stage, schema),
        f"# {_text(run.facts['name'])}: {_text(stage.name)}\n\n{_text(summary(run, stage))}",
        "## What is in it\n\n" + _contents(stage),
        "## Weights\n\n" + _weights(stage),
        "## Licences\n\n" + _licenses(stage),
        "## Consent\n\n" + _consent(run, told) + _taken_down(stage),
        "## Decontamination\n\n" + _decontamination(run, stage),
        "## How it was made\n\n"
        + "\n".join(f"1. {_text(line)}" for line in made(run))
        + "\n\n"
        + _identity(run, stage),
        "## How to load it\n\n" + _loading(stage),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(run: RunFolder, stage: Stage, schema: pa.Schema) -> str:
    languages = [code for code in stage.by("language") if code not in ("", "und")]
    licenses = sorted({code.lower() if code.lower() in HUB_LICENSES else "other" for code in stage.by("license")})
    size = next((name for limit, name in (*SIZES, *LARGER) if stage.documents < limit), "n>1T")
    front: dict[str, Any] = {
        "pretty_name": f"{run.facts['name']}: {stage.name}",
        "license": licenses[0] if len(licenses) == 1 else licenses,
        "language": languages,
        "size_categories": [size],
        "task_categories": ["text-generation"],
        "tags": ["pomona", "evaluation" if stage.evaluation else "pretraining"],
        "configs": [{"config_name": "default", "data_files": [{"split": _split(stage), "path": "part-*.parquet"}]}],
        "dataset_info": {"features": [{"name": field.name, "dtype": _dtype(field.type)} for field in schema]},
    }
    known = {name: value for name, value in front.items() if value}
    return f"---\n{yaml.safe_dump(known, sort_keys=False, allow_unicode=True)}---"


def _split(stage: Stage) -> str:
    return "validation" if stage.evaluation else "train"


def _dtype(kind: pa.DataType) -> str:
    return {"double": "float64", "float": "float32"}.get(str(kind), str(kind))


def _text(text: str) -> str:
    """Keep a name from the run from being read as Markdown or HTML."""
    escaped = visible(str(text)).replace("\n", " ").replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return escaped.replace("`", "\\`").replace("*", "\\*").replace("[", "\\[")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], rest: str = "---:") -> str:
    """Write a Markdown table; columns after the first lie on the right, as numbers do, unless `rest` says otherwise."""
    lines = [header, ["---"] + [rest] * (len(header) - 1), *rows[:ROWS_OF_A_TABLE]]
    more = f"\n\nand {len(rows) - ROWS_OF_A_TABLE} more" if len(rows) > ROWS_OF_A_TABLE else ""
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + more


def _grouped(name: str, groups: Mapping[str, tuple[int, float]], missing: str) -> str:
    total = sum(tokens for _, tokens in groups.values())
    rows = [
        [_text(key) or missing, f"{documents:,}", f"{round(tokens):,}", share(tokens, total)]
        for key, (documents, tokens) in groups.items()
    ]
    return _table([name, "documents", "tokens", "share"], rows)


def _contents(stage: Stage) -> str:
    tables = (_grouped("source", stage.by("source"), "–"), _grouped("kind", stage.by("kind"), "–"))
    return "\n\n".join((*tables, _grouped("language", stage.by("language"), "not known")))


def _weights(stage: Stage) -> str:
    rows = [
        [
            _text(one.name),
            "–" if one.target is None else f"{one.target:.4f}",
            f"{one.realised:.4f}",
            f"{one.tokens:,}",
            "–" if one.epochs is None else f"{one.epochs:.3g}",
            "–" if one.cap is None else f"{one.cap:g}",
            "–" if one.worth is None else f"{one.worth:,}",
        ]
        for one in stage.shares
    ]
    table = _table(["entry", "target", "realised", "tokens", "epochs", "cap", "worth"], rows)
    said = "Weights are shares of tokens. A row's `weight` is how often the stage takes the document."
    if stage.manifest.get("cut_documents"):
        said += " Where it is not whole, only the document's first tokens are taken the last time."
    lines = [said, table]
    if furthest := stage.furthest:
        near = f"at most {abs(furthest.short):,} tokens from its target" if furthest.short else "met to the token"
        packed = f" (a packed sequence has {stage.packed:,})" if stage.packed else ""
        lines.append(
            f"Every share is {near}{packed}. `worth` is what the tokens count for where some are repeated "
            "(2305.16264: U + U·R*(1 - e^(-R/R*)), R* = 15.39)."
        )
    if selecting := [one for one in stage.shares if one.selects]:
        told = [[_text(one.name), _text(one.selects)] for one in selecting]
        lines.append("A document counts for the first entry of the recipe that it fits.")
        lines.append(_table(["entry", "documents"], told, "---"))
    if told := stage.manifest.get("preset"):
        ours = ", ".join(told["unpublished"])
        given = f" The report does not give these shares: {_text(ours)}." if ours else ""
        lines.append(f"Preset {_text(told['name'])}: {_text(told['source'])}.{given}")
    if stage.phases:
        names = [one.name for one in stage.shares]
        header = ["progress", "tokens", *map(_text, names)]
        phases = [
            [f"{100 * one.start:.1f} to {100 * one.stop:.1f} %", f"{one.tokens:,}"]
            + [f"{one.realised.get(name, 0.0):.4f}" for name in names]
            for one in stage.phases
        ]
        lines.append("Shares change while the stage is trained on; `tokens/` has the order.")
        lines.append(_table(header, phases))
    return "\n\n".join(lines)


def _licenses(stage: Stage) -> str:
    note = "Every row names its own licence in `license` (SPDX); the terms of each text are its publisher's."
    by_source: dict[tuple[str, str], list[float]] = {}
    for (source, _, _, license_), (documents, tokens) in stage.groups.items():
        sums = by_source.setdefault((source, license_), [0, 0.0])
        sums[0], sums[1] = sums[0] + documents, sums[1] + tokens
    ranked = sorted(by_source.items(), key=lambda item: (item[0][0], -item[1][1], item[0][1]))
    rows = [
        [_text(source), _text(license_) or "none stated", f"{round(documents):,}", f"{round(tokens):,}"]
        for (source, license_), (documents, tokens) in ranked
    ]
    by_licence = _grouped("licence", stage.by("license"), "none stated")
    return f"{note}\n\n{by_licence}\n\n{_table(['source', 'licence', 'documents', 'tokens'], rows)}"


def _consent(run: RunFolder, told: Consent) -> str:
    refused: dict[str, int] = {}
    for step in run.steps:
        for reason, records in step.dropped.items():
            if consent.concerns(reason):
                refused[f"{step.source or step.name}: {reason}"] = records
    lines = [
        f"Of {told.documents:,} documents in the run, {told.known:,} carry the robots rule that allowed them "
        f"(robots files: {told.robots_files}). Refused for consent or licence:"
    ]
    rows = [[_text(name), f"{records:,}"] for name, records in sorted(refused.items())]
    lines.append(_table(["refused", "records"], rows) if rows else "none.")
    if told.robots:
        allowed = sorted(told.robots.items(), key=lambda item: (item[0][0], -item[1], item[0][1]))
        lines.append("By source, the robots rule that allowed its documents:")
        lines.append(
            _table(
                ["source", "rule", "documents"],
                [[_text(key[0]), _text(key[1]), f"{records:,}"] for key, records in allowed],
            )
        )
    if told.reservations:
        kept = sorted(told.reservations.items(), key=lambda item: (-item[1], item[0]))
        lines.append("Reservations and robots tags that kept documents carry:")
        lines.append(
            _table(["said", "documents"], [[_text(f"{key[0]}: {key[1]}"), f"{records:,}"] for key, records in kept])
        )
    lines.append("To have a text taken out, name its `uri` or `id`: both stay with every row.")
    return "\n\n".join(lines)


def _taken_down(stage: Stage) -> str:
    """Tell of what was removed on request; the records themselves are named by id in the manifest alone."""
    told = stage.manifest.get("takedowns") or ()
    lines = [f"- version {one['version']}, {one['at'][:10]}: {len(one['removed']):,} documents removed" for one in told]
    return "".join(["\n\nTaken down on request:\n\n", "\n".join(lines)]) if lines else ""


def _decontamination(run: RunFolder, stage: Stage) -> str:
    recipe = run.facts["recipe"].get("decontaminate") or {}
    names = [_benchmark(told) for told in recipe.get("benchmarks") or ()]
    step = run.step("decontaminate")
    if step is None:
        return "This run had no decontamination step: benchmarks may be in these texts."
    checked = (
        f"Checked against {', '.join(names)} (method {recipe.get('method', 'default')})."
        if names
        else ("The recipe names no benchmark: nothing was checked.")
    )
    return f"{_text(checked)} {_sums(step)}{_certified(stage)} The spans are in the run's ledger and report."


def _certified(stage: Stage) -> str:
    """Say what the certificate in the stage's manifest says of recall."""
    measured = (stage.manifest.get("decontamination") or {}).get("recall")
    if not measured:
        return ""
    forms = measured["forms"]
    worst = min(forms, key=lambda form: (forms[form]["recall"], form))
    whole = forms["question and options"]["recall"]
    return (
        f" Of {measured['items']} items planted in its documents a scan found {whole:.1%} as question and options, and "
        f"at worst {forms[worst]['recall']:.1%} ({_text(worst)}); the manifest has every form."
    )


def _benchmark(told: Any) -> str:
    if not isinstance(told, Mapping):
        return str(told)
    tasks = told.get("tasks") or ()
    return str(told.get("name")) + (f" ({', '.join(map(str, tasks))})" if tasks else "")


def _identity(run: RunFolder, stage: Stage) -> str:
    rows = [["recipe", f"`{run.facts['recipe_digest']}`"], ["order seed", f"{stage.manifest['order_seed']}"]]
    rows += [[f"shard `{shard['path']}`", f"`{shard['sha256']}`"] for shard in stage.manifest["shards"]]
    return _table(["what", "digest"], rows, "---")


def _loading(stage: Stage) -> str:
    return f"""```python
from datasets import load_dataset
dataset = load_dataset("path/to/{stage.name}", split="{_split(stage)}")
```

```python
import polars
frame = polars.scan_parquet("path/to/{stage.name}/part-*.parquet")
```

```sql
SELECT source, sum(tokens * weight) AS tokens FROM 'path/to/{stage.name}/part-*.parquet' GROUP BY source;  -- DuckDB
```"""
