"""Make a corpus: download, read, choose, write. What is there already is not made again."""

from __future__ import annotations

import argparse
import json
import sys

import pyarrow.parquet as pq

from benchmarks.corpus.documents import extracted
from benchmarks.corpus.made import make
from benchmarks.corpus.pages import CorpusError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpus", description=__doc__)
    parser.add_argument("--pages", type=int, default=20_000, help="how many distinct pages (default: 20000)")
    parser.add_argument("--documents", action="store_true", help="extract their text too, as Parquet")
    arguments = parser.parse_args()
    try:
        folder = make(arguments.pages)
    except (CorpusError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    about = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    print(f"{folder}: {about['pages']:,} pages, {about['bytes'] / 1e6:,.1f} MB, in {about['files']} WARC files")
    if arguments.documents:
        _, parts = extracted(folder)
        print(f"{parts[0].parent}: {sum(pq.read_metadata(path).num_rows for path in parts):,} documents")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
