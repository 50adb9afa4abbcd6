"""A small but honest run folder, made from this Python's own documentation and sources, for the report's tests.

Every text is real (pydoc topics, standard library sources, numpy docstrings) and every number in it is measured or
counted here, in plain Python: nothing below comes from the code under test.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import ledger
from pipelines.document import DOCUMENT_SCHEMA, canonical_json, document_id, partitions_of

PARTITIONS = 4
SITE = "http://127.0.0.1:7464"
ROBOTS_DIGEST = hashlib.sha256(b"User-agent: *\nDisallow: /get?key=\n").hexdigest()
RULES: tuple[dict[str, Any], ...] = (
    {
        "name": "gopher-word-count",
        "signal": "gopher.word_count",
        "min": 50.0,
        "max": 100_000.0,
        "kinds": ["web", "math"],
    },
    {"name": "gopher-mean-word-length", "signal": "gopher.mean_word_length", "min": 3.0, "max": 10.0},
    {"name": "gopher-stop-words", "signal": "gopher.stop_words", "min": 2.0, "kinds": ["web"]},
    {"name": "gopher-duplicate-lines", "signal": "gopher.duplicate_line_fraction", "max": 0.25},
    {"name": "fineweb-short-lines", "signal": "fineweb.short_line_fraction", "max": 0.67, "kinds": ["web"]},
    {"name": "code-longest-line", "signal": "code.longest_line", "max": 160.0, "kinds": ["code"]},
    {"name": "few-digits", "signal": "gopher.digit_fraction", "max": 0.30, "action": "tag"},
)
STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}


@dataclass
class Step:
    """What one step did, before it is written."""

    name: str
    received: int = 0
    documents: list[dict[str, Any]] = field(default_factory=list)
    signals: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)

    def say(self, row: Mapping[str, Any], verdict: str, reason: str = "", **more: Any) -> None:
        """Append a ledger row; `evidence` is given as a value and stored as JSON."""
        evidence = more.pop("evidence", None)
        told = {"id": row["id"], "uri": row["uri"], "source": row["source"], "step": self.name}
        told |= {"verdict": verdict, "reason": reason, **more}
        if evidence is not None:
            told["evidence"] = canonical_json(evidence)
        self.ledger.append(told)


def measure(text: str) -> dict[str, float]:
    """Measure a few of the published heuristics, slowly and plainly."""
    words = re.findall(r"\w+", text)
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    repeated = sum(count - 1 for count in Counter(lines).values())
    return {
        "gopher.word_count": float(len(words)),
        "gopher.mean_word_length": sum(map(len, words)) / len(words) if words else 0.0,
        "gopher.stop_words": float(len(STOP_WORDS & {word.lower() for word in words})),
        "gopher.duplicate_line_fraction": repeated / len(lines) if lines else 0.0,
        "gopher.digit_fraction": sum(word.isdigit() for word in words) / len(words) if words else 0.0,
        "fineweb.short_line_fraction": sum(len(line) < 30 for line in lines) / len(lines) if lines else 0.0,
        "code.longest_line": float(max(map(len, lines), default=0)),
        "math.tex_commands": float(len(re.findall(r"\\[a-zA-Z]{2,}", text))),
    }


def _record(source: str, kind: str, uri: str, text: str, license_: str | None, **more: Any) -> dict[str, Any]:
    return {
        "id": document_id(source, uri, text.encode()),
        "uri": uri,
        "source": source,
        "kind": kind,
        "text": text,
        "license": license_,
        "metadata": canonical_json({"characters": len(text)}),
    } | more


def _web() -> list[dict[str, Any]]:
    """Topics of `help()`, their keyword pages (same text, a line added) and an index page of links."""
    import pydoc
    from pydoc_data.topics import topics

    pages: dict[str, str] = {f"{SITE}/topic?key={name}": text for name, text in sorted(topics.items())}
    for name, target in sorted(pydoc.Helper.keywords.items()):
        topic, related = target if isinstance(target, tuple) else (target, "")
        if topic in topics:
            added = f"\nRelated help topics: {related}\n" if related else ""
            pages[f"{SITE}/keyword?key={name}"] = topics[topic] + added
    pages[f"{SITE}/topics"] = "\n".join(sorted(topics))
    pages[f"{SITE}/topic?key=<script>alert(1)</script>"] = "<script>alert('unescaped')</script> & <b>bold</b>\n" * 4
    start = datetime(2026, 3, 1, 9, tzinfo=UTC)
    rights = {"robots_rule": "(no rule matches)", "robots_digest": ROBOTS_DIGEST, "x_robots_tag": None}
    rights |= {"meta_robots": None, "reservation": None, "training": "ccbot, gptbot"}
    return [
        _record("pydoc", "web", uri, text, "PSF-2.0", fetched_at=start + timedelta(seconds=at), rights=rights)
        for at, (uri, text) in enumerate(pages.items())
    ]


def _code() -> list[dict[str, Any]]:
    folder = Path(os.__file__).parent
    files = sorted([*folder.glob("[a-h]*.py"), *folder.glob("json/*.py"), *folder.glob("encodings/cp8*.py")])
    texts = [(path, path.read_text("utf-8")) for path in files if path.stat().st_size < 40_000]
    return [
        _record("stdlib", "code", f"pypi:python/{path.relative_to(folder).as_posix()}", text, "PSF-2.0")
        for path, text in texts
    ]


def _math() -> list[dict[str, Any]]:
    found = []
    for name in ("numpy", "numpy.linalg", "numpy.fft", "numpy.random", "numpy.polynomial.polynomial"):
        module = importlib.import_module(name)
        for member in sorted(dir(module)):
            text = getattr(getattr(module, member), "__doc__", None)
            if isinstance(text, str) and ".. math::" in text and not member.startswith("_"):
                found.append(_record("numpy", "math", f"pypi:numpy/{name}.{member}#doc", text, "BSD-3-Clause"))
    return found


def _sources() -> tuple[dict[str, list[dict[str, Any]]], list[Step]]:
    """Crawl and extract; every verdict a source can give occurs at least once."""
    kept = {"pydoc": _web(), "stdlib": _code(), "numpy": _math()}
    crawl = Step("00-crawl-pydoc", len(kept["pydoc"]) + 6)
    for row in kept["pydoc"]:
        crawl.say(row, "kept")
    for name in ("os", "sys", "json", "re"):
        refused = _record("pydoc", "web", f"{SITE}/get?key={name}", "", None)
        evidence = {"rule": "Disallow: /get?key=", "robots_digest": ROBOTS_DIGEST}
        crawl.say(refused, "dropped", "robots-refused", evidence=evidence)
    broken = _record("pydoc", "web", f"{SITE}/broken", "broken", None)
    crawl.say(broken, "kept")
    crawl.say(
        _record("pydoc", "web", f"{SITE}/missing", "", None), "failed", "http-status-500", evidence={"status": 500}
    )
    steps = [crawl]
    for source, rows in kept.items():
        step = Step(f"01-extract-{source}", len(rows), documents=rows)
        for row in rows:
            step.say(row, "kept")
        if source == "pydoc":
            step.received += 1
            evidence = {"content_type": "text/html", "error": "'utf-8' codec can't decode byte 0xff in position 17"}
            step.say(broken, "failed", "undecodable", evidence=evidence)
        if source == "stdlib":
            refused = _record("stdlib", "code", "pypi:gpl-thing/__init__.py", "# GPL", "GPL-3.0-only")
            step.received += 1
            step.say(refused, "dropped", "licence-not-permissive", evidence={"license": "GPL-3.0-only"})
        steps.append(step)
    return kept, steps


def _decide(rows: Sequence[dict[str, Any]], signals: Mapping[str, Mapping[str, Any]], step: Step) -> None:
    for row in rows:
        failed = []
        for rule in RULES:
            value = signals[row["id"]][rule["signal"]]
            applies = row["kind"] in rule.get("kinds", [row["kind"]]) and rule.get("action", "drop") == "drop"
            if applies and not rule.get("min", value) <= value <= rule.get("max", value):
                bounds = {"min": rule.get("min"), "max": rule.get("max")}
                failed.append({"rule": rule["name"], "signal": rule["signal"], "value": value, **bounds})
        if failed:
            first = failed[0]
            crossed = first["min"] if first["min"] is not None and first["value"] < first["min"] else first["max"]
            more = {"signal": first["signal"], "value": first["value"], "threshold": crossed}
            step.say(row, "dropped", first["rule"], evidence={"failed": failed}, **more)
        else:
            step.say(row, "kept")
            step.documents.append(row)


def _dedup(rows: Sequence[dict[str, Any]], step: Step) -> None:
    """Exact copies by text, near ones by word 5-gram Jaccard of 0.7 or more; the longest text of a cluster stays."""

    def shingles(text: str) -> frozenset[tuple[str, ...]]:
        words = text.split()
        return frozenset(tuple(words[at : at + 5]) for at in range(max(1, len(words) - 4)))

    best: list[tuple[dict[str, Any], frozenset[tuple[str, ...]]]] = []
    for row in sorted(rows, key=lambda row: (-len(row["text"]), row["id"])):
        mine = shingles(row["text"])
        for parent, theirs in best:
            small, large = sorted((len(mine), len(theirs)))
            if small < 0.7 * large or parent["source"] != row["source"]:
                continue
            similarity = len(mine & theirs) / len(mine | theirs)
            if similarity >= 0.7:
                exact = parent["text"] == row["text"]
                evidence = {"parent": parent["id"], "parent_uri": parent["uri"], "cluster": parent["id"]}
                evidence |= {"similarity": similarity, "method": "exact" if exact else "minhash"}
                step.say(row, "dropped", "exact-duplicate" if exact else "near-duplicate", evidence=evidence)
                break
        else:
            best.append((row, mine))
            step.say(row, "kept")
            step.documents.append(row)


def _decontaminate(rows: Sequence[dict[str, Any]], step: Step) -> None:
    """A benchmark of two items that really are in the sources: opening paragraphs of the language reference."""
    from pydoc_data.topics import topics

    items = {name: next(part for part in topics[name].split("\n\n") if len(part) > 150) for name in ("lambda", "while")}
    for row in rows:
        spans = []
        for item, text in items.items():
            needle = text.strip()
            at = row["text"].find(needle)
            if at >= 0:
                span = {
                    "benchmark": "language-reference",
                    "item": item,
                    "start": at,
                    "end": at + len(needle),
                    "score": 1.0,
                }
                spans.append(span | {"text": needle})
        if spans:
            step.say(row, "dropped", "benchmark-overlap", evidence={"spans": spans})
        else:
            step.say(row, "kept")
            step.documents.append(row)


def _table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema, part: int) -> pa.Table:
    table = pa.Table.from_pylist(sorted((dict(row) for row in rows), key=lambda row: row["id"]), schema=schema)
    return table.filter(pc.equal(partitions_of(table["id"], PARTITIONS), part))


def _signal_schema(rows: Sequence[Mapping[str, Any]]) -> pa.Schema:
    kinds = {name: pa.string() if isinstance(value, str) else pa.float64() for name, value in rows[0].items()}
    return pa.schema(list(kinds.items()))


def _write_step(run: Path, step: Step) -> dict[str, Any]:
    digest = hashlib.sha256(step.name.encode()).hexdigest()[:16]
    folder = run / "steps" / f"{step.name}-{digest}"
    outputs: dict[str, list[dict[str, Any]]] = {}
    schemas: dict[str, tuple[Sequence[Mapping[str, Any]], pa.Schema]] = {"ledger": (step.ledger, ledger.LEDGER_SCHEMA)}
    if step.documents:
        schemas["documents"] = (step.documents, DOCUMENT_SCHEMA)
    if step.signals:
        schemas["signals"] = (step.signals, _signal_schema(step.signals))
    for name, (rows, schema) in schemas.items():
        (folder / name).mkdir(parents=True)
        for part in range(PARTITIONS):
            path = folder / name / f"part-{part:05d}.parquet"
            pq.write_table(_table(rows, schema, part), path)
            digest_of = hashlib.sha256(path.read_bytes()).hexdigest()
            told = {"path": f"{name}/{path.name}", "bytes": path.stat().st_size, "sha256": digest_of}
            outputs.setdefault(name, []).append(told | {"rows": pq.read_metadata(path).num_rows})
    account = ledger.Account.of(step.received, ledger.rows(step.ledger))
    account.check(step.name)
    facts = {"digest": digest, **account.as_dict()}
    manifest = {"step": step.name, "parameters": {}, "outputs": outputs, **facts}
    (folder / "_manifest.json").write_text(json.dumps(manifest))
    more = {
        "folder": f"steps/{folder.name}",
        "seconds": 0.25 + len(step.ledger) / 400,
        "reused": step.name == "02-measure",
    }
    return {"name": step.name, **facts, **more}


def _write_stage(run: Path, stage: str, rows: Sequence[dict[str, Any]], weights: Mapping[str, float]) -> None:
    folder = run / "mixture" / stage
    folder.mkdir(parents=True)
    columns = ("id", "source", "kind", "language", "license", "uri", "text", "tokens")
    table = pa.Table.from_pylist(
        [
            {name: row[name] for name in columns} | {"weight": weights[row["source"]], "entry": row["source"]}
            for row in rows
        ],
        schema=pa.schema(
            [(name, pa.string()) for name in columns[:6]]
            + [("text", pa.large_string()), ("tokens", pa.int32()), ("weight", pa.float64()), ("entry", pa.string())]
        ),
    )
    shards = []
    for at in range(2):
        path = folder / f"part-{at:05d}.parquet"
        half = table.slice(at * (len(table) // 2), len(table) // 2 if at == 0 else None)
        pq.write_table(half, path)
        told = {"path": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "rows": half.num_rows}
        shards.append(told | {"tokens": sum(half["tokens"].to_pylist()), "bytes": path.stat().st_size})
    tokens: Counter[str] = Counter()
    for row in rows:
        tokens[row["source"]] += round(row["tokens"] * weights[row["source"]])
    total = tokens.total()
    targets = {
        "core": {"pydoc": 0.5, "stdlib": 0.4, "numpy": 0.1},
        "continued": {"pydoc": 0.2, "stdlib": 0.5, "numpy": 0.3},
    }
    manifest = {
        "stage": stage,
        "recipe": "fixture",
        "run": "fixture",
        "shards": shards,
        "tokens": dict(tokens),
        "target_weights": targets.get(stage, {}),
        "realised_weights": {name: count / total for name, count in tokens.items()},
        "epochs": dict(weights),
        "epoch_caps": dict.fromkeys(weights, 4.0),
        "order_seed": 7,
        "total_tokens": total,
        "tokenizer": {"path": "../../tokenizer/tokenizer.json", "sha256": "0" * 64},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def build(run: Path) -> Path:
    """Write the whole run folder and return its path; about a second."""
    kept, steps = _sources()
    rows = [row for source in kept.values() for row in source]
    measured = Step("02-measure", len(rows))
    for row in rows:
        english = sum(word in STOP_WORDS for word in row["text"].lower().split()) > 4
        language = {"language.language": "en" if english else "und", "language.score": 0.9 if english else 0.3}
        measured.signals.append({"id": row["id"], **measure(row["text"]), **language})
        measured.documents.append(row | {"language": language["language.language"]})
        measured.say(row, "kept")
    decided = Step("03-decide", len(rows))
    _decide(measured.documents, {row["id"]: row for row in measured.signals}, decided)
    deduplicated = Step("04-dedup", len(decided.documents))
    _dedup(decided.documents, deduplicated)
    clean = Step("05-decontaminate", len(deduplicated.documents))
    _decontaminate(deduplicated.documents, clean)
    final = sorted(clean.documents, key=lambda row: row["id"])
    stages = {"heldout": final[::20], "core": [row for at, row in enumerate(final) if at % 20]}
    for row in final:
        row["tokens"] = len(re.findall(r"\w+|[^\w\s]", row["text"])) + 1
    tail = [Step("07-tokenize", len(final)), Step("08-mix", len(final))]
    for step in tail:
        for row in final:
            step.say(row, "kept")
    told = [_write_step(run, step) for step in [*steps, measured, decided, deduplicated, clean, *tail]]
    _write_stage(run, "core", stages["core"], {"pydoc": 1.0, "stdlib": 1.0, "numpy": 2.0})
    _write_stage(run, "continued", stages["core"], {"pydoc": 1.0, "stdlib": 2.0, "numpy": 4.0})
    _write_stage(run, "heldout", stages["heldout"], {"pydoc": 1.0, "stdlib": 1.0, "numpy": 1.0})
    (run / "ledger").mkdir()
    everything = [row for step in [*steps, measured, decided, deduplicated, clean, *tail] for row in step.ledger]
    for part in range(PARTITIONS):
        pq.write_table(_table(everything, ledger.LEDGER_SCHEMA, part), run / "ledger" / f"part-{part:05d}.parquet")
    facts = {
        "name": "fixture",
        "created": "2026-03-01T09:30:00+00:00",
        "recipe": {
            "name": "fixture",
            "partitions": PARTITIONS,
            "filters": {"rules": list(RULES), "redact": []},
            "decontaminate": {"benchmarks": [{"name": "language-reference"}], "method": "default"},
        },
        "recipe_digest": hashlib.sha256(b"fixture").hexdigest(),
        "versions": {"pomona": "0.1.0", "python": "3.11", "pyarrow": pa.__version__},
        "inputs": {"stdlib/0": hashlib.sha256(b"stdlib").hexdigest()},
        "steps": told,
        "stages": ["core", "continued", "heldout"],
        "crawl": {"pydoc": "crawl/pydoc"},
    }
    (run / "run.json").write_text(json.dumps(facts))
    return run


def shared(folder: Callable[[], Path]) -> Path:
    """Build the run once a test process below pytest's base folder, whichever module asks first."""
    run = folder() / "sample-run"
    return run if (run / "run.json").exists() else build(run)
