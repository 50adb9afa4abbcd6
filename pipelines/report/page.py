"""Put the report together: gather the facts, lay them out, write one file."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from pipelines import storage
from pipelines.document import canonical_json
from pipelines.report import charts, clusters, consent, figures, funnel, samples, signals, stages, verdicts
from pipelines.report.folder import RunFolder
from pipelines.report.tally import Tally
from pipelines.report.tally import gather as count

REPORT = "report.html"
COLOURS = 8
"""Colours of the style sheet for sources and kinds; more than these share the last."""


@dataclass(frozen=True)
class Facts:
    """Everything the page shows."""

    run: RunFolder
    verdicts: verdicts.Verdicts
    funnel: funnel.Funnel
    signals: signals.Signals
    consent: consent.Consent
    stages: list[stages.Stage]
    clusters: clusters.Clusters
    excerpts: Mapping[str, samples.Excerpt]

    @property
    def training_tokens(self) -> int:
        """Tokens of the stages that are trained on, repeats counted."""
        return sum(stage.tokens for stage in self.stages if not stage.evaluation)


def gather(run: Path, tally: Tally | None = None) -> Facts:
    """Read what a run's page shows: the sums, counted here where they are not given, and the text of the few shown."""
    folder = RunFolder.open(run)
    if tally is None:
        tally = count(folder)
    wanted = {
        id_
        for signal in tally.signals.numbers
        for effect in signal.effects
        for boundary in effect.boundaries
        for side in (boundary.kept, boundary.dropped)
        for _, id_ in side.found()
    }
    for cluster in tally.clusters.largest:
        wanted |= {cluster.parent, *(str(member["id"]) for member in cluster.members)}
    texts = samples.excerpts(folder.documents_of(wanted, "measure"), wanted, redact=bool(folder.redacted))
    found = funnel.read(folder, tally.verdicts)
    told = tally.of_stages(folder)
    return Facts(folder, tally.verdicts, found, tally.signals, tally.consent, told, tally.clusters, texts)


def render(facts: Facts) -> str:
    """Lay the facts out as HTML; text not ours is escaped, and the page's own policy forbids any other script."""
    script, style = _part("page.js"), _part("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # A source and its kind wear one colour: the kind takes that of the first source which brings it.
    colours = {source: min(at, COLOURS - 1) for at, source in enumerate(facts.funnel.sources)}
    kinds: dict[str, int] = {}
    entries: dict[tuple[str, str], int] = {}
    for stage in facts.stages:
        for source, kind, *_ in sorted(stage.groups):
            kinds.setdefault(kind, colours.get(source, COLOURS - 1))
        # An entry wears the colour of the source of its name, else one of its own.
        free = [at for at in range(COLOURS) if at not in {colours.get(one.name) for one in stage.shares}] or [
            COLOURS - 1
        ]
        for at, one in enumerate(one for one in stage.shares if one.name not in colours):
            entries[stage.name, one.name] = free[at % len(free)]
        entries |= {(stage.name, one.name): colours[one.name] for one in stage.shares if one.name in colours}
    for at, kind in enumerate(sorted({kind for signal in facts.signals.numbers for kind in signal.lanes})):
        kinds.setdefault(kind, min(at, COLOURS - 1))
    return (
        _environment()
        .get_template("page.html")
        .render(
            facts=facts,
            run=facts.run,
            told=facts.run.facts,
            colours=colours,
            kinds=kinds,
            entries=entries,
            widest=max((level.received for level in facts.funnel.levels), default=1),
            recipe=yaml.safe_dump(dict(facts.run.facts["recipe"]), sort_keys=False, allow_unicode=True, width=100),
            charts=charts,
            share=figures.share,
            difference=samples.difference,
            sizes=sorted(facts.clusters.sizes.items()),
            style=Markup(style),
            script=Markup(script),
            policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'",
        )
    )


def write(run: Path, tally: Tally | None = None) -> Path:
    """Write `report.html` into the run folder, whole or not at all; return its path."""
    path = storage.at(run) / REPORT
    storage.write_bytes(path, render(gather(run, tally)).encode("utf-8", "replace"))
    return path


def _part(name: str) -> str:
    return resources.files("pipelines.report").joinpath("templates", name).read_text("utf-8")


def _environment() -> jinja2.Environment:
    loader = jinja2.FunctionLoader(_part)
    environment = jinja2.Environment(
        autoescape=True, loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters: dict[str, Any] = {
        "count": figures.count,
        "short": figures.short,
        "value": figures.value,
        "brief": figures.brief,
        "seconds": figures.seconds,
        "visible": figures.visible,
        "ranked": _ranked,
        "told": _told,
    }
    environment.filters.update(filters)
    return environment


def _ranked(counts: Counter[Any]) -> list[tuple[Any, int]]:
    """Order counts, the largest first and equal ones by name: the page must not show in which order files were read."""
    return sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))


def _told(evidence: Mapping[str, Any]) -> str:
    """Write a ledger row's evidence as words; what is null is left out."""
    stated = {name: value for name, value in evidence.items() if value is not None}
    words = (f"{name} {value if isinstance(value, str) else canonical_json(value)}" for name, value in stated.items())
    return figures.visible(" · ".join(words))
