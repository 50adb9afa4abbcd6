"""Presidio's pattern recognisers, with an empty spaCy model: its own are downloaded from GitHub, and find names."""

from __future__ import annotations

import logging

import spacy
from finding import run  # type: ignore[import-not-found]
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import SpacyNlpEngine

logging.disable(logging.CRITICAL)
KINDS = {
    "EMAIL_ADDRESS": "email",
    "IP_ADDRESS": "ip",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "credit_card",
    "IBAN_CODE": "iban",
    "US_SSN": "us_ssn",
    "CRYPTO": "crypto",
}


class Blank(SpacyNlpEngine):
    """English words and no model."""

    def __init__(self) -> None:
        super().__init__()
        self.nlp = {"en": spacy.blank("en")}


ENGINE = AnalyzerEngine(nlp_engine=Blank(), supported_languages=["en"])


def finder(least: float):
    def find(text: str) -> list[tuple[str, int, int]]:
        found = ENGINE.analyze(text, language="en", entities=list(KINDS), score_threshold=least)
        return [(KINDS[one.entity_type], one.start, one.end) for one in found]

    return find


FINDERS = {"presidio": finder(0.0), "presidio, score 0.5": finder(0.5)}
run(FINDERS, {name: lambda texts, find=find: [find(text) for text in texts] for name, find in FINDERS.items()}, 300_000)
