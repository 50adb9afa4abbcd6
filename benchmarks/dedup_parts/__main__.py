"""Speed of what finds duplicates below documents, and how its time grows: python -m benchmarks.dedup_parts.

One core, processor time, the median of several turns in which the kinds of work alternate. Texts are those of
`benchmarks.text_kernels`. Beside CCNet's lines and DCLM's n-grams stands what their papers describe, in plain Python
with a set, on the same texts: no peer has either as a library that runs without a compiler of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.text_kernels.texts import texts
from dedup.bloom import Bloom, BloomConfig, BloomSize, grams
from dedup.lines import LineConfig, keys_of, marked, without
from dedup.repeats import KnownKeys, Repeated, repeated
from dedup.repositories import content_keys
from dedup.semantic import SemanticConfig, quantised
from dedup.semantic_division import judged
from dedup.substrings import SubstringConfig, anchor_keys, cut, repeated_spans, window_keys
from kernels.ranges import CCNET_PUNCTUATION
from pipelines.steps.scope import ROWS

SORTED = [(name, "ascending") for name in ("key", "rank", "id", "place", "group")]
_SKIPPED = re.compile(f"[{CCNET_PUNCTUATION}\x00-\x1f\x7f-\x9f]")


def lines_of(text: pa.Array, ids: pa.Array, config: LineConfig) -> int:
    """Lines of a corpus that is one group: count, decide, cut."""
    rank, bucket = np.zeros(len(text), np.int32), np.zeros(len(text), np.uint64)
    known = Repeated.of(repeated(keys_of(text, ids, rank, bucket, 0, config).sort_by(SORTED), config.most))
    found = marked(text, ids, bucket, known, config)
    without(found)
    return int(found.dropped.sum())


def ccnet(corpus: list[str]) -> int:
    """CCNet's paragraphs in plain Python."""
    seen: set[bytes] = set()
    dropped = 0
    for text in corpus:
        for line in text.split("\n"):
            if len(line.strip()) < 10:
                continue
            name = hashlib.sha1(_SKIPPED.sub("", re.sub(r"\d", "0", line.strip().lower())).encode()).digest()[:8]
            dropped += name in seen
            seen.add(name)
    return dropped


def passages(text: pa.Array, ids: pa.Array, config: SubstringConfig) -> int:
    """Passages of a corpus that is one group: anchors, windows, cut; in batches of 1,024 documents, as a step does."""
    rank = np.zeros(ROWS, np.int32)
    batches = [(text.slice(start, ROWS), ids.slice(start, ROWS)) for start in range(0, len(text), ROWS)]

    def summed(tables: Iterable[pa.Table]) -> pa.Table:
        return repeated(pa.concat_tables(tables).combine_chunks().sort_by(SORTED), 1)

    anchored = KnownKeys.of(summed(anchor_keys(some, 0, config) for some, _ in batches)["key"].to_numpy())
    found = (window_keys(some, of, rank[: len(some)], 0, anchored, config) for some, of in batches)
    known = Repeated.of(summed(found))
    return sum(int(cut(some, of, anchored, known, config).tokens.sum()) for some, of in batches)


def by_suffix_array(text: pa.Array, config: SubstringConfig) -> int:
    return int(repeated_spans(text, config).tokens.sum())


def bloom(text: pa.Array, size: BloomSize, config: BloomConfig) -> int:
    filter_ = Bloom(size, config)
    return int(filter_.sweep(grams(text, config.ngram)).line.sum())


def plain_ngrams(corpus: list[str]) -> int:
    """DCLM's paragraphs in plain Python, with a set of hashes in place of the filter and words between spaces."""
    seen: set[int] = set()
    dropped = 0
    for text in corpus:
        for line in text.split("\n"):
            words = line.split()
            found = [hash(tuple(words[at : at + 13])) for at in range(len(words) - 12)]
            if sum(one in seen for one in found) > 0.8 * len(found):
                dropped += 1
            else:
                seen.update(found)
    return dropped


def timed(works: dict[str, Callable[[], Any]], turns: int) -> dict[str, tuple[float, Any]]:
    """Processor seconds of each piece of work, the median of turns after one to warm up, and what it gave."""
    if turns > 1:
        for work in works.values():
            work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    given: dict[str, Any] = {}
    for _ in range(turns):
        for name, work in works.items():
            start = time.process_time()
            given[name] = work()
            seconds[name].append(time.process_time() - start)
    return {name: (statistics.median(times), given[name]) for name, times in seconds.items()}


def speed(limit: int, turns: int) -> None:
    what, corpus = texts(limit)
    text = pa.array(corpus, pa.large_string())
    ids = pa.array([f"{number:032x}" for number in range(len(corpus))])
    size = sum(len(one.encode()) for one in corpus) / 1e6
    count = len(grams(text, 13).hashes)
    works: dict[str, Callable[[], Any]] = {
        "lines (CCNet's normalisation)": lambda: lines_of(text, ids, LineConfig()),
        "the same in plain Python": lambda: ccnet(corpus),
        "paragraphs": lambda: lines_of(text, ids, LineConfig(unit="paragraph")),
        "passages of 50 tokens, windows": lambda: passages(text, ids, SubstringConfig()),
        "passages of 50 tokens, suffix array": lambda: by_suffix_array(text, SubstringConfig()),
        "13-grams, Bloom filter": lambda: bloom(text, BloomSize.of(count, 0.01), BloomConfig()),
        "the same in plain Python, a set": lambda: plain_ngrams(corpus),
        "contents of files": lambda: len(content_keys(text)[0]),
    }
    print(f"{len(corpus)} texts, {size:.1f} MB: {what}; processor time, median of {turns} alternating turns")
    print("| work | MB/s | found |\n|---|---|---|")
    for name, (seconds, found) in timed(works, turns).items():
        print(f"| {name} | {size / seconds:.1f} | {found:,} |", flush=True)


def growth(words: list[int], copies: list[int], vectors: list[int], turns: int) -> None:
    """How time grows on input that is quadratic for a careless method."""
    _, (sample, *_) = texts(1)
    sample = " ".join(sample.split()[:60])
    rows: list[tuple[str, list[int], Callable[[int], Callable[[], Any]]]] = [
        ("one word, n times: suffix array", words, _one_word(by_suffix_array)),
        ("one word, n times: windows", words, _one_word(lambda text, c: passages(text, pa.array(["0" * 32]), c))),
        ("n equal documents of 60 words: lines", copies, _copies(sample, lines_of, LineConfig())),
        ("n equal documents of 60 words: windows", copies, _copies(sample, passages, SubstringConfig())),
        ("n vectors of 384 numbers in one cluster of the step: divided", vectors, _one_cluster),
    ]
    print("| input | n | seconds | × the n before |\n|---|---|---|---|")
    for name, numbers, work in rows:
        before = 0.0
        for number in numbers:
            if not before:
                work(numbers[0] // 10)()  # compiles
            seconds, _ = timed({name: work(number)}, turns)[name]
            ratio = f"{seconds / before:.1f}" if before else ""
            print(f"| {name} | {number:,} | {seconds:.2f} | {ratio} |", flush=True)
            before = seconds


def _one_word(work: Callable[[pa.Array, SubstringConfig], int]) -> Callable[[int], Callable[[], Any]]:
    def of(number: int) -> Callable[[], Any]:
        text = pa.array(["word " * number], pa.large_string())
        return lambda: work(text, SubstringConfig())

    return of


def _copies(sample: str, work: Callable[[pa.Array, pa.Array, Any], int], config: Any) -> Callable[..., Any]:
    def of(number: int) -> Callable[[], Any]:
        text = pa.array([sample] * number, pa.large_string())
        ids = pa.array([f"{one:032x}" for one in range(number)])
        return lambda: work(text, ids, config)

    return of


def _one_cluster(number: int) -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    vectors = quantised(rng.normal(size=(number, 384)).astype(np.float32))
    config = SemanticConfig(largest=1024, rounds=3)
    return lambda: len(judged(vectors, config).parent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small and once, to see that it runs")
    asked = parser.parse_args()
    turns = 1 if asked.quick else 3
    speed(30 if asked.quick else 300, turns)
    if asked.quick:
        growth([1000, 10_000], [100, 1000], [1000, 2000], 1)
    else:
        growth([100_000, 1_000_000], [10_000, 100_000, 1_000_000], [5_000, 50_000], 1)


if __name__ == "__main__":
    main()
