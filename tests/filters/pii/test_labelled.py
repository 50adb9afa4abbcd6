"""Presidio's made sentences: what their labels say, as far as the labelled numbers could exist."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from filters.pii import find

KINDS = {
    "EMAIL_ADDRESS": "email",
    "IP_ADDRESS": "ip",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "credit_card",
    "IBAN_CODE": "iban",
    "US_SSN": "us_ssn",
    "STREET_ADDRESS": "street_address",
}
LEAST_RECALL = {"email": 1, "ip": 1, "iban": 1, "us_ssn": 1, "credit_card": 0.95, "phone": 0.8, "street_address": 0.11}
"""Five of 56 telephone numbers lie outside their country's plan, two of 83 cards outside every issuer's range; what is
labelled as a street is mostly a name or the number of a room."""


@pytest.mark.data
def test_labelled(pomona_data: Path) -> None:
    labelled: set[tuple[str, int, int, int]] = set()
    found: set[tuple[str, int, int, int]] = set()
    with gzip.open(pomona_data / "pii" / "presidio_synth_v2_a.jsonl.gz", "rt", encoding="utf-8") as file:
        for number, line in enumerate(file):
            row = json.loads(line)
            labelled |= {
                (KINDS[span["entity_type"]], number, span["start_position"], span["end_position"])
                for span in row["spans"]
                if span["entity_type"] in KINDS
            }
            found |= {(span.kind, number, span.start, span.end) for span in find(row["full_text"])}
    wrong = found - labelled  # not one that is none; of addresses two, which are labelled in pieces or in part
    assert {kind for kind, *_ in wrong} <= {"street_address"}
    assert len(wrong) <= 0.05 * sum(kind == "street_address" for kind, *_ in found)
    counts, right = (Counter(kind for kind, *_ in some) for some in (labelled, found))
    assert min(counts.values()) >= 7
    assert not [kind for kind, least in LEAST_RECALL.items() if right[kind] < least * counts[kind]]
