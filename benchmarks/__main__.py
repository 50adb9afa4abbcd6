"""Run every benchmark: `make bench`, or `python -m benchmarks [NAME ...]`."""

from __future__ import annotations

import runpy
import sys

ENTRIES = {
    "text_kernels": "text kernels beside datatrove, dolma and rensa",
    "engines": "the local engine over bare kernels, Ray and Beam over local",
    "crawl": "a crawl of 20,000 pages on many hosts beside Scrapy",
    "fineweb": "a build beside datatrove's FineWeb example",
    "scale": "growth of time and memory, and a plan for a trillion tokens",
    "quality": "models of text quality judged on hosts held out, and speed beside fastText (POMONA_DATA)",
    "data_ci": "what deduplication, quality filter and decontamination are worth, by proxies (POMONA_DATA)",
    "language": "languages told right beside bare lid.176, and documents a second (POMONA_DATA)",
    "decontam": "decontamination: recall by form, false positives, size, speed beside datatrove (POMONA_DATA)",
    "mixing": "whether a weight is what comes out, beside `datasets`; seconds to mix again",
    "dedup_parts": "speed and growth of what finds repeated lines, passages, n-grams, files",
    "pii": "personal data found beside Presidio and datatrove, and megabytes a second (POMONA_DATA)",
    "safety": "what the safety classifiers find and what they flag of clean pages (POMONA_DATA)",
    "gpu": "training, proxies and the encoder on a GPU, where torch sees one",
    "extraction": "main text beside trafilatura and resiliparse, on pages whose main text is known (POMONA_DATA)",
}


def main() -> None:
    names = sys.argv[1:] or list(ENTRIES)
    unknown = [name for name in names if name not in ENTRIES]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; valid: {', '.join(ENTRIES)}", file=sys.stderr)
        sys.exit(2)
    sys.argv = sys.argv[:1]
    for name in names:
        print(f"{name}: {ENTRIES[name]}", flush=True)
        runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
