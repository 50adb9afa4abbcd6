"""Whether two systems would decide alike on the same words: datatrove's Gopher filters, given Pomona's words."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

HERE = Path(__file__).parent


def of(texts: list[str]) -> list[list[str]]:
    """The words of texts, as Pomona's kernels split them."""
    from kernels.strings import text_batch
    from kernels.words import words

    batch = text_batch(pa.array(texts, pa.large_string()))
    found = words(batch)
    data = bytes(batch.data)
    shown = [
        data[start:end].decode("utf-8", "replace")
        for start, end in zip(found.starts.tolist(), found.ends.tolist(), strict=True)
    ]
    borders = found.offsets.tolist()
    return [shown[start:end] for start, end in itertools.pairwise(borders)]


def kept_with_our_words(texts: Mapping[str, str], python: Path) -> dict[str, bool]:
    """Whether datatrove's Gopher filters keep each text when they are given Pomona's words.

    Raises:
        subprocess.CalledProcessError: datatrove's environment is broken.
    """
    if not texts:
        return {}
    lines = [
        json.dumps({"key": key, "text": text, "words": words})
        for (key, text), words in zip(texts.items(), of(list(texts.values())), strict=True)
    ]
    ran = subprocess.run(
        [python, HERE / "run_words.py"], input="\n".join(lines), stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(ran.stdout.strip().splitlines()[-1])
