"""Compile every kernel once, so that no measured run pays for it: python -m benchmarks.warm."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.environments import ROOT


def warm() -> None:
    """Run the kernels in a process of its own; what they compile is kept in their cache."""
    subprocess.run([sys.executable, "-m", "benchmarks.warm"], cwd=ROOT, check=True)


def main() -> None:
    import pyarrow as pa

    from dedup import DedupConfig, deduplicate
    from filters import pii
    from pipelines import tokenizer
    from pipelines.extract import extract_html
    from pipelines.recipe import Filters
    from pipelines.steps.measure import signals
    from pipelines.token_encoder import Encoder

    lines = [f"The {number}th sentence of a text that says little, and ends here." for number in range(60)]
    texts = pa.array(["\n".join(lines), "\n".join(lines[:50]), "Short."], pa.large_string())
    signals(texts, Filters(families=("gopher", "c4", "fineweb")))
    pii.redact(texts, ("email", "ip"))
    deduplicate(pa.table({"id": ["1", "2", "3"], "text": texts}), DedupConfig.preset("fineweb"))
    page = "<html><body>" + "".join(f"<p>{line}</p>" for line in lines) + "<p>A formula: $x^2$</p></body></html>"
    extract_html(page.encode())
    Encoder(tokenizer.train(lines, 400).to_str()).encode(texts)


if __name__ == "__main__":
    main()
