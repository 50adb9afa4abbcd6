"""Grade texts: ask, keep every answer in a journal, write labels, and account for every text.

Every text ends in one of three: graded, failed (with a reason), or not asked (the budget was spent, or the grader
failed). Graded ones are
the labels; the others stand in a file beside them. Each answer is written down when it comes, under a key of model,
wording and text: a stopped command goes on where it was, and asks again only what had no answer at all.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from pipelines.label.graders import Answer, Grader, GraderFailed
from pipelines.label.grading import Prompt, score_of
from pipelines.recipe_errors import RecipeError

NO_SCORE = "no score in the answer"
NOT_ASKED = "not asked: the budget was spent"
_KEPT = ("id", "uri", "source", "group")


@dataclass(frozen=True)
class Budget:
    """What may be spent; None is no limit. Questions already on their way when tokens run out are still answered."""

    requests: int | None = None
    tokens: int | None = None

    def spent(self, requests: int, tokens: int) -> bool:
        """Whether no further question may be asked."""
        return (self.requests is not None and requests >= self.requests) or (
            self.tokens is not None and tokens >= self.tokens
        )


@dataclass
class Sums:
    """What became of the texts: `texts` = `graded` + `failed` + `not_asked`."""

    texts: int = 0
    graded: int = 0
    failed: int = 0
    not_asked: int = 0
    asked: int = 0
    reused: int = 0
    retried: int = 0
    tokens: int = 0
    scores: dict[str, int] = field(default_factory=dict[str, int])
    reasons: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class Entry:
    """A line of the journal."""

    key: str
    score: float | None
    reason: str | None
    answer: str
    tokens: int
    final: bool


def read_texts(path: Path, sample: int | None, seed: int) -> pa.Table:
    """Read texts from a Parquet file or a folder of them (a run's `mixture/STAGE`), with what else names them.

    Args:
        path: file or folder.
        sample: how many to take, those with the smallest hashes of seed and text; None takes all.
        seed: of the choice.

    Raises:
        RecipeError: there is none, or one has no text.
    """
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise RecipeError([f"{path}: no Parquet file here"])
    tables: list[pa.Table] = []
    for file in files:
        try:
            names = pq.read_schema(file).names
        except pa.ArrowInvalid as error:
            raise RecipeError([f"{file}: no Parquet: {error}"]) from error
        if "text" not in names:
            raise RecipeError([f"{file}: found the columns {', '.join(names)}, expected 'text' among them"])
        table: pa.Table = pq.read_table(file, columns=["text", *(name for name in _KEPT if name in names)])
        tables.append(table.set_column(0, "text", _readable(file, table["text"])))
    found = pa.concat_tables(tables, promote_options="permissive")
    if sample is None or sample >= found.num_rows:
        return found
    hashes = [xxhash.xxh3_64_intdigest(text, seed) for text in found["text"].to_pylist()]
    chosen = sorted(range(len(hashes)), key=lambda row: (hashes[row], row))[:sample]
    return found.take(pa.array(sorted(chosen), pa.int64()))


def _readable(file: Path, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts as large_string, null as an empty one; bytes that are not UTF-8 become U+FFFD, as in what is measured."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if not (pa.types.is_null(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
        if not binary:
            raise RecipeError([f"{file}: found texts of type {kind}, expected strings"])
    if pa.types.is_null(kind):
        return pa.chunked_array([pa.repeat(pa.scalar("", pa.large_string()), len(column))])
    whole: Any = column.cast(pa.large_binary()).fill_null(b"").combine_chunks()
    text = whole.view(pa.large_string())
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        text = pa.array([one.decode("utf-8", "replace") for one in whole.to_pylist()], pa.large_string())
    return pa.chunked_array([text])


def label(
    texts: pa.Table,
    grader: Grader,
    prompt: Prompt,
    out: Path,
    *,
    budget: Budget | None = None,
    parallel: int = 4,
    characters: int = 6000,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Sums:
    """Grade texts and write `out` (labels), `NAME.failed.parquet` and `NAME.json` beside it; see the module.

    Raises:
        GraderFailed: no question can be answered; what was answered before, or was on its way, is kept and written.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    contents: list[str] = texts["text"].to_pylist()
    keys = [_key(grader.name, prompt, characters, text) for text in contents]
    journal = out.with_suffix(".journal.jsonl")
    known = _read_journal(journal)
    wanted = {key: text for key, text in zip(keys, contents, strict=True) if key not in known}
    sums = Sums(texts=len(keys), reused=len(set(keys)) - len(wanted))
    wrong: GraderFailed | None = None
    with journal.open("a", encoding="utf-8") as file:
        _whole_line(journal, file)
        try:
            for entry in _ask(wanted, grader, prompt, characters, budget or Budget(), parallel):
                known[entry.key] = entry
                file.write(json.dumps(asdict(entry), ensure_ascii=True) + "\n")
                file.flush()
                sums.asked += 1
                sums.tokens += entry.tokens
                told(sums.asked, len(wanted))
        except GraderFailed as error:
            wrong = error
    sums.retried = getattr(grader, "retried", 0)
    entries = [known.get(key) for key in keys]
    _write(out, texts, entries, grader.name, prompt, sums, NOT_ASKED if wrong is None else f"not asked: {wrong}")
    if wrong is not None:
        raise wrong
    return sums


def _ask(
    wanted: dict[str, str], grader: Grader, prompt: Prompt, characters: int, budget: Budget, parallel: int
) -> Iterator[Entry]:
    left = iter(wanted.items())
    asked = tokens = 0
    waiting: dict[Future[Answer], str] = {}
    wrong: GraderFailed | None = None  # told when what is on its way has come: an answer may be paid for
    with ThreadPoolExecutor(parallel) as pool:
        try:
            while True:
                while wrong is None and len(waiting) < parallel and not budget.spent(asked, tokens):
                    key, text = next(left, (None, ""))
                    if key is None:
                        break
                    waiting[pool.submit(grader.ask, prompt.of(text, characters))] = key
                    asked += 1
                if not waiting:
                    break
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for one in done:
                    key = waiting.pop(one)
                    try:
                        answer = one.result()
                    except GraderFailed as error:
                        wrong = wrong or error
                        continue
                    tokens += answer.tokens
                    score = None if answer.reason else score_of(answer.text)
                    reason = answer.reason or (NO_SCORE if score is None else None)
                    yield Entry(key, score, reason, answer.text, answer.tokens, answer.final)
        finally:
            for one in waiting:
                one.cancel()
    if wrong is not None:
        raise wrong


def _key(model: str, prompt: Prompt, characters: int, text: str) -> str:
    return xxhash.xxh3_128_hexdigest("\0".join((model, prompt.digest, text[:characters])).encode("utf-8", "replace"))


def _read_journal(path: Path) -> dict[str, Entry]:
    """Answers of an earlier command; a last line that was cut off is left out, and so is what had no answer."""
    if not path.exists():
        return {}
    found: dict[str, Entry] = {}
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            entry = Entry(**json.loads(line))
        except (ValueError, TypeError) as error:
            if number == len(lines):
                continue
            raise RecipeError(
                [f"{path}:{number}: no line of a journal ({error}); remove the file to ask anew"]
            ) from error
        if entry.final:
            found[entry.key] = entry
    return found


def _whole_line(path: Path, file: TextIO) -> None:
    """End a line that was cut off, by taking it away: the next one must begin on its own."""
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        file.truncate(data.rfind(b"\n") + 1)


def _write(
    out: Path, texts: pa.Table, entries: list[Entry | None], model: str, prompt: Prompt, sums: Sums, left: str
) -> None:
    scores = [None if entry is None else entry.score for entry in entries]
    reasons = [left if entry is None else entry.reason for entry in entries]
    graded = pa.array([score is not None for score in scores], pa.bool_())
    told: dict[str, Any] = {
        "score": pa.array(scores, pa.float64()),
        "reason": pa.array(reasons, pa.string()),
        "answer": pa.array(["" if entry is None else entry.answer for entry in entries], pa.string()),
        "model": pa.array([model] * len(entries), pa.string()),
        "prompt": pa.array([prompt.digest] * len(entries), pa.string()),
    }
    for name, column in told.items():
        texts = texts.append_column(name, column)
    sums.graded = sum(score is not None for score in scores)
    sums.not_asked = sum(entry is None for entry in entries)
    sums.failed = sums.texts - sums.graded - sums.not_asked
    sums.scores = {f"{score:g}": count for score, count in sorted(Counter(filter(_some, scores)).items())}
    sums.reasons = dict(sorted(Counter(reason for reason in reasons if reason is not None).items()))
    failed = texts.filter(pa.array([score is None for score in scores], pa.bool_()))
    _publish(out, texts.filter(graded).drop_columns(["reason"]))
    _publish(out.with_suffix(".failed.parquet"), failed.drop_columns(["score"]))
    summary = {"model": model, "prompt": prompt.digest, "wording": prompt.wording, **asdict(sums)}
    out.with_suffix(".json").write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _some(score: float | None) -> bool:
    return score is not None


def _publish(path: Path, table: pa.Table) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    pq.write_table(table, temporary)
    temporary.replace(path)
