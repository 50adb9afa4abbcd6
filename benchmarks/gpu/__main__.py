"""One GPU: training beside a ceiling of bare matrix products, waiting for data, proxies an hour, the encoder."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.loading.__main__ import write

PARTS = ("training", "proxies", "encoder")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--sizes", nargs="*", help="of models to train; all of them by default")
    parser.add_argument("--quick", action="store_true", help="small ones, few steps: to see that everything works")
    parser.add_argument("--timeline", type=Path, help="write the picture of the first size's steps there")
    parser.add_argument("--encoder", help="folder or installed package")
    parser.add_argument("--json", type=Path, help="write everything there")
    arguments = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        print("benchmarks.gpu: torch sees no CUDA device: nothing is measured")
        return 0
    from trainer.device import resolve_device

    resolve_device("cuda")
    name = torch.cuda.get_device_name()
    print(f"{name}, torch {torch.__version__}")
    found: dict[str, Any] = {"device": name, "torch": torch.__version__}
    chosen = arguments.parts or PARTS
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if {"training", "proxies"} & set(chosen):
            write(folder, 1 if arguments.quick else 2, (1 if arguments.quick else 24) << 20)
        if "training" in chosen:
            found["training"] = _training(folder, arguments)
        if "proxies" in chosen:
            found["proxies"] = _proxies(folder, arguments.quick)
    if "encoder" in chosen:
        found["encoder"] = _encoder(arguments.quick, arguments.encoder)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def _training(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.gpu import training
    from trainer.timeline import plot_timeline

    sizes = training.QUICK if arguments.quick else training.SIZES
    large = training.matmul(8192, 8192, 8192)
    best = 2 * 8192**3 / large
    print(f"8192 x 8192 x 8192 in bf16: {best / 1e12:.0f} TFLOP/s", flush=True)
    print(
        "| model | sequence | | tokens/s | TFLOP/s | of the GPU's best | of the products alone | waiting, 0 ahead |"
        " waiting, 2 ahead | GiB |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    found: dict[str, Any] = {"best_flops": best}
    for name, size in sizes.items():
        if arguments.sizes and name not in arguments.sizes:
            continue
        row, timeline = training.measure(folder, name, size)
        found[name] = row
        for label, key in (("", "plain 2"), ("compiled", "compiled 2")):
            one = row[key]
            flops = one["tokens_per_second"] * row["flops_a_token"]
            zero = f"{row['plain 0']['waiting']:.2%}" if not label else ""
            print(
                f"| {row['parameters'] / 1e6:,.0f}M | {row['sequence']:,} | {label} | {one['tokens_per_second']:,.0f} |"
                f" {flops / 1e12:.0f} | {flops / best:.1%} | {one['tokens_per_second'] / row['ceiling']:.1%} | {zero} |"
                f" {one['waiting']:.3%} | {one['memory_gib']:.1f} |",
                flush=True,
            )
        print(f"  loader alone: {row['loader'] / 1e6:.1f} M tokens/s a thread; {json.dumps(row)}", file=sys.stderr)
        if arguments.timeline and len(found) == 2:
            plot_timeline(timeline, arguments.timeline)
    return found


def _proxies(folder: Path, quick: bool) -> dict[str, Any]:
    from benchmarks.gpu import proxies

    workers, count, most = ((1, 2), 1, 1 << 16) if quick else ((1, 6), 2, proxies.TOKENS)
    found = proxies.measure(folder, "cuda", workers, count, most)
    print("\n| proxies | parameters | tokens | an hour | seconds each |\n|---|---|---|---|---|")
    for name, row in found.items():
        size = f"{row['parameters']:,} | {row['tokens']:,}"
        print(f"| {name} | {size} | {row['an_hour']:,.0f} | {row['seconds_each']:.1f} |", flush=True)
    return found


def _encoder(quick: bool, model: str | None) -> dict[str, Any]:
    from benchmarks.gpu import encoder

    try:
        found = encoder.measure(model or encoder.MINILM, count=512 if quick else 16_384)
    except FileNotFoundError as error:
        print(f"\nencoder: {error}")
        return {}
    print("\n| encoder, 128 tokens a text | texts/s |\n|---|---|")
    for name, value in found.items():
        if name not in ("apart", "tokens"):
            print(f"| {name.replace('_', ' ')} | {value:,.0f} |")
    print(f"largest difference of an embedding's numbers between the devices: {found['apart']:.1e}", flush=True)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
