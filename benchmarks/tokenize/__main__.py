"""Tokenize the same texts with the same tokenizer.json in turns: Pomona, the library it is made for, datatrove.

Pomona and datatrove are timed from texts to a file of token ids; the library from Python strings to its `Encoding`
objects, which hold no array yet, and to ids in an array. Pomona's time includes decoding every text again and comparing
it byte for byte. Tokens are compared too: all must be equal. Times are processor seconds, the median of turns.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ |= {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "NUMBA_NUM_THREADS": "1"}

import numpy as np
import pyarrow as pa
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from benchmarks.environments import ROOT, NotInstalled, python_of
from pipelines import tokenizer
from pipelines.steps.token_shards import TokenShard
from pipelines.token_encoder import Encoder

HERE = Path(__file__).parent
REQUIREMENTS = ROOT / "benchmarks" / "text_kernels" / "requirements-datatrove.txt"
VOCABULARY = 32_768


def lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return [json.loads(line) for line in file]


def corpora(data: Path) -> dict[str, list[str]]:
    """Texts by what they are."""
    english = [
        one["text"] for name in ("nltk_state_union", "nltk_inaugural") for one in lines(data / f"text/{name}.jsonl.gz")
    ]
    questions = [one["question"] + "\n" + one["answer"] for one in lines(data / "benchmarks/gsm8k_train.jsonl.gz")]
    code = [one["text"] for one in lines(data / "code/thealgorithms_python_a.jsonl.gz")]
    flores = [" ".join(one["sentences"]) for one in lines(data / "langid/flores200_dev_first300.jsonl.gz")]
    return {"English": english + questions, "Python": code, "FLORES, 204 languages": flores}


def gpt2(data: Path) -> Tokenizer:
    """GPT-2's own vocabulary and merges."""
    folder = data / "models" / "gpt2_tokenizer"
    made = Tokenizer(models.BPE.from_file(str(folder / "encoder.json"), str(folder / "vocab.bpe")))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken("<|endoftext|>", special=True)])
    return made


def seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def datatrove(texts: Path, file: Path, eos: str, turns: int) -> float | str:
    """Median seconds, or why there are none."""
    try:
        python = python_of("datatrove", REQUIREMENTS)
    except NotInstalled as error:
        return str(error)
    command = [python, "-W", "ignore", HERE / "run_datatrove.py", texts, file, eos, str(turns)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=texts.parent, check=False)
    if ran.returncode:
        return f"datatrove ended with {ran.returncode}: {ran.stderr.strip().splitlines()[-1:]}"
    return float(statistics.median(json.loads(ran.stdout.strip().splitlines()[-1])))


def compare(name: str, state: str, texts: list[str], turns: int, folder: Path) -> dict[str, Any]:
    """One row: a tokenizer on a set of texts."""
    library = tokenizer.loads(state)
    eos, number = tokenizer.end_of_text(library)
    file, corpus = folder / f"{name}.json", folder / "texts.json"
    file.write_text(state)
    corpus.write_text(json.dumps(texts), encoding="utf-8")
    column = pa.array(texts, pa.large_string())
    shard = TokenShard(".bin", "uint32", number)
    Encoder(state).encode(column.slice(0, 20))  # compiles

    def ours() -> None:
        encoded = Encoder.encode(fresh, column)
        assert (encoded.lost < 0).all()
        lists = pa.LargeListArray.from_arrays(pa.array(encoded.offsets), pa.array(encoded.tokens))
        shard.write(folder / "tokens.bin", [pa.table({"tokens": lists})], pa.schema([]))

    times: dict[str, list[float]] = {"pomona": [], "library": [], "library, ids in an array": []}
    plain = Encoder(state, library=True)
    for _ in range(turns):
        fresh = Encoder(state)  # knows no piece yet
        times["pomona"].append(seconds(ours))
        times["library"].append(seconds(lambda: library.encode_batch_fast(texts, add_special_tokens=False)))
        times["library, ids in an array"].append(seconds(lambda: plain.encode(column, check=False)))
    row: dict[str, Any] = {work: statistics.median(some) for work, some in times.items()}
    row["datatrove"] = datatrove(corpus, file, eos, turns)
    one, two = Encoder(state).encode(column), Encoder(state, library=True).encode(column)
    row["equal"] = bool(np.array_equal(one.offsets, two.offsets) and np.array_equal(one.tokens, two.tokens))
    row |= {"bytes": sum(len(text.encode()) for text in texts), "tokens": len(one.tokens), "documents": len(texts)}
    return row


def benchmark(data: Path, turns: int, largest: int) -> dict[str, dict[str, Any]]:
    sets = corpora(data)
    sample = [text[:20_000] for texts in sets.values() for text in texts[::2]]
    states = {"AFM's": tokenizer.train(sample, VOCABULARY).to_str(), "GPT-2's": gpt2(data).to_str()}
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, state in states.items():
            for what, texts in sets.items():
                found[f"{kind} on {what}"] = compare(kind[:3], state, texts[:largest], turns, Path(folder))
    return found


def table(found: dict[str, dict[str, Any]]) -> str:
    """The result for a reader."""
    rows = [
        "| tokenizer and texts | MB | MB/s | M tokens/s | × library | × library with ids | × datatrove | tokens |",
        "|---|---|---|---|---|---|---|---|",
    ]
    problems: set[str] = set()
    for name, row in found.items():
        ours, other = row["pomona"], row["datatrove"]
        if isinstance(other, str):
            problems.add(other)
        rows.append(
            f"| {name} | {row['bytes'] / 1e6:.1f} | {row['bytes'] / ours / 1e6:.1f} | {row['tokens'] / ours / 1e6:.1f} "
            f"| {row['library'] / ours:.1f} | {row['library, ids in an array'] / ours:.1f} "
            f"| {'-' if isinstance(other, str) else f'{other / ours:.1f}'} | {'equal' if row['equal'] else 'DIFFER'} |"
        )
    return "\n".join([*rows, *sorted(problems)])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokenize", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="40 texts a set, one turn: to see that everything works")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    folder = os.environ.get("POMONA_DATA")
    if not folder:
        print("POMONA_DATA is not set: it names the folder of evaluation data that this measures on", file=sys.stderr)
        return 2
    found = benchmark(Path(folder), *((1, 40) if arguments.quick else (5, 1_000_000)))
    print(json.dumps(found, indent=2) if arguments.json else table(found))
    return 0 if all(row["equal"] for row in found.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
