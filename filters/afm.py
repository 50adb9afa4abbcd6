"""Rules ``afm``: the filters of Apple's foundation models, as far as they are told (arXiv 2407.21075, sections 3.1, 7).

The report says that documents pass filters for profanity and for personal data, then, after extraction, safety and
profanity filtering by heuristics and model classifiers; after global deduplication extensive quality filtering. It
publishes neither lists nor thresholds. So every number here is our option: Gopher's quality and repetition rules as
every open recipe has them, C4's marks of pages that are no text, profanity as the share of LDNOOBW's English words, at
most 5 of each kind of personal data (Dolma's number: above, a document is dropped and not redacted), and text in a
wrong encoding.

Of the twelve categories of its taxonomy the report names five: what is flagged as one of these is dropped. The other
seven are ours, and are only told (``tag``). A recipe changes either: ``{preset: safety}`` behind this one drops all
twelve, ``set: {safety.graphic_violence: {max: null}}`` takes one out, ``{preset: safety, action: tag}`` in place of the
five keeps everything for a safety-tuning set. Model quality and consent are steps of their own.
"""

from __future__ import annotations

from filters import c4, encoding, gopher
from filters.pii.span import KINDS
from filters.rule import Rule
from filters.safety import RULES as SAFETY
from filters.safety.taxonomy import taxonomy

__all__ = ["RULES"]

_NAMED = frozenset(f"safety.{one.name}" for one in taxonomy() if one.named_by == "AFM")

RULES = (
    *gopher.RULES,
    *(rule for rule in c4.RULES if rule.signal != "c4.sentences"),
    Rule(name="afm-profanity", signal="llama3.dirty_word_ratio", max=0.005),
    *(
        rule.model_copy(update={"name": f"afm-{rule.name}", "action": "drop" if rule.signal in _NAMED else "tag"})
        for rule in SAFETY
    ),
    *(Rule(name=f"afm-{kind.replace('_', '-')}", signal=f"pii.{kind}", max=5) for kind in KINDS),
    *(rule for rule in encoding.RULES if rule.signal in ("encoding.replacement_ratio", "encoding.mojibake_ratio")),
)
