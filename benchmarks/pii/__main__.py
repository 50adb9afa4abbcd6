"""Ask Pomona, Presidio and datatrove about the same texts; print precision and recall by kind, and speed on pages."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.environments import BENCH, ROOT, NotInstalled, python_of
from benchmarks.watch import ONE_THREAD
from filters.pii.credit_card import issuer, luhn

HERE = Path(__file__).parent
REQUIREMENTS = {
    "pomona": None,
    "presidio": HERE / "requirements-presidio.txt",
    "datatrove": HERE.parent / "fineweb" / "requirements-datatrove.txt",
}
ENVIRONMENTS = {"datatrove": "datatrove-fineweb"}  # that of another benchmark
KINDS = {
    "EMAIL_ADDRESS": "email",
    "IP_ADDRESS": "ip",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "credit_card",
    "IBAN_CODE": "iban",
    "US_SSN": "us_ssn",
    "STREET_ADDRESS": "street_address",
}
ASKED = {"presidio": {"email", "ip", "phone", "credit_card", "iban", "us_ssn"}, "datatrove": {"email", "ip"}}
"""What the others look for at all."""
Label = tuple[str, int, int, int]


def labelled(data: Path) -> tuple[list[str], set[Label]]:
    """Presidio's own made sentences, and the labels of the kinds that are compared."""
    texts: list[str] = []
    labels: set[Label] = set()
    with gzip.open(data / "pii" / "presidio_synth_v2_a.jsonl.gz", "rt", encoding="utf-8") as file:
        for number, line in enumerate(file):
            row = json.loads(line)
            texts.append(row["full_text"])
            for span in row["spans"]:
                if span["entity_type"] in KINDS:
                    labels.add((KINDS[span["entity_type"]], number, span["start_position"], span["end_position"]))
    return texts, labels


def pages(data: Path) -> list[str]:
    """The main text of the pages in html_gold."""
    texts: list[str] = []
    for index in sorted((data / "html_gold").glob("*/index.jsonl.gz")):
        with gzip.open(index, "rt", encoding="utf-8") as file:
            texts += [text for text in (json.loads(line).get("gold_text") for line in file) if text]
    return texts


def can_exist(kind: str, value: str) -> bool:
    """Whether a number that was made for a label lies in a range that is given to somebody."""
    if kind == "credit_card":
        return luhn(value) and issuer(value)[0] != ""
    if kind == "phone":
        return any(_in_plan(value, region) for region in (None, *_library().SUPPORTED_REGIONS))
    if kind == "street_address":
        return any(character.isdigit() for character in value) and any(character.isspace() for character in value)
    return True


def _in_plan(value: str, region: str | None) -> bool:
    library = _library()
    try:
        return library.is_valid_number(library.parse(value, region))
    except library.NumberParseException:
        return False


def _library() -> Any:
    import phonenumbers

    return phonenumbers


def asked(texts: list[str], others: list[str]) -> dict[str, Any]:
    """What each system finds, and its speed; a system that cannot be installed is left out, with a line."""
    place = BENCH / "pii"
    place.mkdir(parents=True, exist_ok=True)
    given = place / "texts.json"
    given.write_text(json.dumps({"labelled": texts, "pages": others}), encoding="utf-8")
    found: dict[str, Any] = {}
    for name, requirements in REQUIREMENTS.items():
        try:
            python = python_of(ENVIRONMENTS.get(name, name), requirements) if requirements else Path(sys.executable)
        except NotInstalled as error:
            print(error, file=sys.stderr)
            continue
        paths = [HERE] if requirements else [HERE, ROOT]
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(map(str, paths))}
        saved = place / f"{name}.json"
        command = [python, "-W", "ignore", HERE / f"run_{name}.py", given, saved]
        subprocess.run(command, check=True, env=environment, cwd=place)
        found |= json.loads(saved.read_text(encoding="utf-8"))
    return found


def scores(texts: list[str], labels: set[Label], found: dict[str, Any]) -> list[dict[str, Any]]:
    """By kind and system: precision and recall of spans that agree to the character."""
    rows: list[dict[str, Any]] = []
    for kind in dict.fromkeys(KINDS.values()):
        mine = {label for label in labels if label[0] == kind}
        real = {label for label in mine if can_exist(kind, texts[label[1]][label[2] : label[3]])}
        for name, result in found.items():
            spans = {
                (one, number, start, end)
                for number, some in enumerate(result["found"])
                for one, start, end in some
                if one == kind
            }
            if spans or name == "pomona" or kind in ASKED.get(name, ASKED["presidio"]):
                right = len(spans & mine)
                rows.append(
                    {
                        "kind": kind,
                        "system": name,
                        "labels": len(mine),
                        "can exist": len(real),
                        "found": len(spans),
                        "precision": right / len(spans) if spans else None,
                        "recall": right / len(mine),
                        "recall of what can exist": len(spans & real) / len(real) if real else None,
                    }
                )
    return rows


def table(rows: list[dict[str, Any]], found: dict[str, Any]) -> str:
    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    lines = [
        "| kind | system | labels | found | precision | recall | recall of what can exist |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['kind']} | {row['system']} | {row['labels']} ({row['can exist']}) | {row['found']}"
            f" | {shown(row['precision'])} | {shown(row['recall'])} | {shown(row['recall of what can exist'])} |"
        )
    lines += ["", "| system | MB/s, one core | of |", "|---|---|---|"]
    lines += [f"| {name} | {one['mb_per_second']:.2f} | {one['bytes'] / 1e6:.1f} MB |" for name, one in found.items()]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pii", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    folder = os.environ.get("POMONA_DATA")
    if not folder:
        print("POMONA_DATA is not set: it names the folder of evaluation data that this measures on", file=sys.stderr)
        return 2
    texts, labels = labelled(Path(folder))
    found = asked(texts, pages(Path(folder)))
    rows = scores(texts, labels, found)
    speeds = {name: one["mb_per_second"] for name, one in found.items()}
    print(json.dumps({"scores": rows, "mb_per_second": speeds}, indent=2) if arguments.json else table(rows, found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
