"""Collect LDNOOBW's lists: ``python -m filters.safety.collect_lists --data FOLDER`` writes ``ldnoobw.json``.

Texts are matched with the lists of all languages at once, for what language a text is in may be mistaken, and then an
entry of one is an ordinary word of another: Turkish has "am", Dutch "nicht", Portuguese "mama". So of the languages
other than English an entry is left out that is a stop word of some language (stopwords-iso), or that occurs in the
sentences of FLORES-200 or the Universal Declaration, both of which are clean, in any of their languages. Each that
was left out is kept with the reason.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from kernels.known_runs import count_known_runs, known_runs
from kernels.strings import text_batch
from kernels.words import words

__all__ = ["collect", "main"]

_SOURCE = "https://github.com/LDNOOBW/List-of-Dirty-Naughty-Obscene-and-Otherwise-Bad-Words at 5faf2ba42d"


def collect(data: Path) -> dict[str, object]:
    """The lists that are kept, and what was left out."""
    lists: dict[str, list[str]] = json.loads((data / "lists" / "ldnoobw.json").read_text(encoding="utf-8"))
    stop = {
        word.casefold(): language
        for language, found in json.loads((data / "lists" / "stopwords-iso.json").read_text(encoding="utf-8")).items()
        for word in found
    }
    clean = list(_clean(data))
    found = words(text_batch(pa.array([text for _, text in clean], pa.large_string())))
    kept: dict[str, list[str]] = {}
    left_out: dict[str, dict[str, str]] = {}
    for language, entries in sorted(lists.items()):
        out: dict[str, str] = {}
        for entry in entries if language != "en" else ():
            if not len(words(text_batch(pa.array([entry]))).starts):
                out[entry] = "no words"
            elif entry.casefold() in stop:
                out[entry] = f"a stop word of {stop[entry.casefold()]}"
            else:
                counts = count_known_runs(found.offsets, found.hashes, known_runs([entry]))
                if counts.any():
                    out[entry] = f"occurs in {clean[int(np.argmax(counts > 0))][0]}"
        kept[language] = [entry for entry in entries if entry not in out]
        if out:
            left_out[language] = out
    return {
        "source": _SOURCE,
        "licence": "CC-BY-4.0",
        "notice": "List of Dirty, Naughty, Obscene, and Otherwise Bad Words, by Shutterstock and contributors; "
        "changed: entries that are ordinary words of another language are under left_out",
        "lists": kept,
        "left_out": left_out,
    }


def _clean(data: Path) -> Iterator[tuple[str, str]]:
    with gzip.open(data / "langid" / "flores200_dev_first300.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield f"FLORES {row['lang']}", "\n".join(row["sentences"])
    with gzip.open(data / "langid" / "udhr2.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield f"UDHR {row['file']}", row["text"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file."""
    parser = argparse.ArgumentParser(prog="python -m filters.safety.collect_lists", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("POMONA_DATA"), required="POMONA_DATA" not in os.environ
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "ldnoobw.json")
    asked = parser.parse_args(arguments)
    found = collect(Path(asked.data))
    asked.out.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
