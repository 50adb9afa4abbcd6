"""Rules ``afm``: the heuristics of Apple's foundation models, as far as they are told (arXiv 2407.21075, section 3.1).

The report says that pages pass a profanity filter, a filter for personal data, heuristics and model classifiers before
and after global deduplication, and publishes neither lists nor thresholds. So every number here is our option: Gopher's
quality and repetition rules as every open recipe has them, C4's marks of pages that are no text, profanity as the share
of LDNOOBW's English words, at most 5 spans of personal data (Dolma's number: above, a document is dropped and not
redacted), and text in a wrong encoding. Its quality classifier, safety models and consent are steps of their own.
"""

from __future__ import annotations

from filters import c4, encoding, gopher
from filters.rule import Rule

__all__ = ["RULES"]

RULES = (
    *gopher.RULES,
    *(rule for rule in c4.RULES if rule.signal != "c4.sentences"),
    Rule(name="afm-profanity", signal="llama3.dirty_word_ratio", max=0.005),
    Rule(name="afm-email-addresses", signal="pii.email", max=5),
    Rule(name="afm-ip-addresses", signal="pii.ip", max=5),
    *(rule for rule in encoding.RULES if rule.signal in ("encoding.replacement_ratio", "encoding.mojibake_ratio")),
)
