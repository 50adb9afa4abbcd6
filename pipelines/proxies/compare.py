"""Does a change of a recipe help? Two recipes, matched proxies of both, and what held-out texts say of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.engines.plan import Engine
from pipelines.proxies import heldout, intervals, tokens
from pipelines.proxies.proxy import Folder, Proxy, Result, train_all
from pipelines.proxies.settings import settings_of
from pipelines.recipe_errors import RecipeError
from pipelines.report.figures import counted
from pipelines.storage import read_json, sha256, write_json

FEWEST = 10
"""Documents of a group that are judged as a set of their own."""


@dataclass(frozen=True)
class Asked:
    """What to compare, and how.

    Args:
        heldout: names of held-out sets (`heldout.read`).
        seeds: proxies of each arm; the n-th of both arms has equal initial weights and the same order seed.
        stage: of both runs; None for the first.
        tokenizer: a file; None for that of run A.
        heldout_tokens: most tokens of a held-out set.
        settings: of the proxies; `tokens` None for the smaller of the two mixtures.
        unseen: leave held-out texts out that are like training documents.
    """

    heldout: Sequence[str] = (heldout.COMMON,)
    seeds: int = 3
    stage: str | None = None
    tokenizer: str | None = None
    heldout_tokens: int = 200_000
    tokens: int | None = None
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    unseen: bool = True


@dataclass(frozen=True)
class Compared:
    """What came out, JSON-able in `as_dict`, and the losses behind it."""

    facts: dict[str, Any]
    differences: list[intervals.Difference]
    results: dict[str, list[Result]]
    sets: dict[str, Any]
    """Tables of the held-out sets (`proxy.HELDOUT`), in the order of the losses."""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {**self.facts, "sets": [one.as_dict() for one in self.differences]}


def compare(
    runs: tuple[Path, Path],
    out: Path,
    engine: Engine,
    asked: Asked,
    told: Callable[[str], None] = lambda said: None,
    cache: Path | None = None,
) -> Compared:
    """Train matched proxies on the mixtures of two finished runs and judge them on held-out texts.

    Both see equally many tokens in one tokenizer; the n-th proxies of both share initial weights and order seed.

    Raises RecipeError for what was asked wrongly; the errors of the engine and the trainer.
    """
    check(asked)
    stages = tuple(tokens.stage_of(run, asked.stage) for run in runs)
    library = tokens.tokenizer_of(runs[0], asked.tokenizer)
    told(f"tokens of both mixtures in {library}")
    folders = tuple(
        tokens.in_tokenizer(run, stage, library, out / "tokens" / arm)
        for arm, run, stage in zip("ab", runs, stages, strict=True)
    )
    have = [int(read_json(folder / tokens.MANIFEST)["tokens"]) for folder in folders]
    settings = settings_of({**asked.settings, "tokens": asked.tokens or min(have)})
    told("held-out sets")
    sets = heldout.read(asked.heldout, runs, stages, unseen=asked.unseen)
    saved = {one.name: heldout.save(one, library, out / "heldout", asked.heldout_tokens) for one in sets}
    files = {name: path for name, (path, _) in saved.items()}
    proxies = [
        Proxy(Folder(folder), settings.config(stage, seed), files)
        for folder, stage in zip(folders, stages, strict=True)
        for seed in range(asked.seeds)
    ]
    told(f"{len(proxies)} proxies of {settings.tokens:,} tokens")
    trained = train_all(proxies, cache or out / "scores", engine, cpus=settings.threads)
    results = {"a": trained[: asked.seeds], "b": trained[asked.seeds :]}
    tables = {name: table for name, (_, table) in saved.items()}
    facts = {
        "a": str(runs[0]),
        "b": str(runs[1]),
        "stage": list(stages),
        "tokenizer": sha256(library),
        "tokens": settings.steps * settings.sequence_length * settings.batch_size,
        "mixture_tokens": have,
        "epochs": [round(settings.steps * settings.sequence_length * settings.batch_size / one, 4) for one in have],
        "seeds": asked.seeds,
        "parameters": trained[0].parameters,
        "settings": settings.model_dump(mode="json"),
        "left_out": {one.name: one.left_out for one in sets},
        "seconds": round(sum(one.seconds for one in trained), 1),
    }
    made = Compared(facts, differences(results, tables), results, tables)
    write_json(out / "comparison.json", made.as_dict())
    return made


def check(asked: Asked) -> None:
    """Refuse what can be seen to be wrong before anything is built. Raises RecipeError."""
    if asked.seeds < 3:
        raise RecipeError([f"--seeds {asked.seeds}: fewer than 3 say nothing of chance; expected 3 or more"])
    settings = settings_of({**asked.settings, "tokens": 1})
    if asked.tokens is not None and asked.tokens < settings.sequence_length * settings.batch_size:
        raise RecipeError(
            [f"--tokens {asked.tokens}: less than one step of {settings.batch_size} windows of "
             f"{settings.sequence_length} tokens; expected {settings.batch_size * settings.sequence_length} or more"]
        )  # fmt: skip


def differences(results: dict[str, list[Result]], sets: dict[str, Any]) -> list[intervals.Difference]:
    """Compare both arms on each set, and on each group of a set that has several."""
    found: list[intervals.Difference] = []
    for name, table in sets.items():
        sizes = table["bytes"].to_numpy()
        a, b = (np.stack([one.nats[name] for one in results[arm]]) for arm in "ab")
        found.append(intervals.compare(name, a, b, sizes))
        groups = np.asarray(table["group"].to_pylist())
        several = [str(one) for one in np.unique(groups) if (groups == one).sum() >= FEWEST]
        for group in several if len(set(groups.tolist())) > 1 else []:
            rows = groups == group
            found.append(intervals.compare(f"{name}/{group}", a[:, rows], b[:, rows], sizes[rows]))
    return found


def sentence(one: intervals.Difference) -> str:
    """Say what was found of one set in a sentence."""
    seeds, documents = one.over_seeds, one.over_documents
    change = 100 * seeds.mean / one.a
    word = {"helps": "B helps", "hurts": "B hurts", "not shown": "no difference is shown"}[one.verdict]
    return (
        f"{one.name}: {word}: {one.a:.4f} → {one.b:.4f} bits a byte ({change:+.2f} %), difference {seeds.mean:+.4f}, "
        f"95 % over {one.seeds} seeds (paired t) {seeds.low:+.4f} to {seeds.high:+.4f}, "
        f"over {counted(one.documents, 'document')} (bootstrap) {documents.low:+.4f} to {documents.high:+.4f}"
        + intervals.too_few(one.documents)
    )
