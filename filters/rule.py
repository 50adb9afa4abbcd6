"""A rule: the values of a signal that a document, or one of its lines, may have."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Action", "Rule", "is_line_signal"]

Action = Literal["blank", "drop", "drop_line", "redact", "tag"]
"""Take out the sentences that fail; drop the document; drop the line; replace the personal data that the signal counts;
only list the rule as failed."""


def is_line_signal(signal: str) -> bool:
    """Whether a signal is one of single lines: those of the family ``line`` and of families named ``…_lines``."""
    family = signal.partition(".")[0]
    return family == "line" or family.endswith("_lines")


class Rule(BaseModel):
    """Bounds on one signal, both inclusive: a document fails where its value is below ``min`` or above ``max``.

    These are the comparisons of datatrove's filters (they drop on ``<`` and ``>``, so that a value equal to the
    threshold stays). A value that was not measured (NaN or null) fails: what cannot be shown to keep a rule does not
    keep it. A rule on a signal of lines (``line.words``) is asked of each line, and drops the lines that fail it
    before anything of the document is measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        min_length=1, description="what the ledger gives as the reason, kebab-case, e.g. gopher-few-stop-words"
    )
    signal: str = Field(min_length=1, description="column of the signals, e.g. gopher.stop_words")
    min: float | None = Field(default=None, description="smallest value allowed; none where null")
    max: float | None = Field(default=None, description="largest value allowed; none where null")
    action: Action = Field(
        default="drop",
        description="drop the document, drop the line, blank the sentence, redact what the signal counts, or only list "
        "the rule as failed",
    )
    sources: tuple[str, ...] = Field(default=(), description="sources it applies to; all where empty")
    kinds: tuple[str, ...] = Field(default=(), description="kinds it applies to; all where empty")
    languages: tuple[str, ...] = Field(default=(), description="languages it applies to; all where empty")
    except_languages: tuple[str, ...] = Field(default=(), description="languages it does not apply to")
    second_languages: tuple[str, ...] = Field(
        default=(), description="second languages of mixed documents that it applies to; any or none where empty"
    )

    @model_validator(mode="after")
    def _check_bounds(self) -> Rule:
        if self.min is None and self.max is None:
            raise ValueError(f"rule {self.name}: found neither min nor max, expected at least one bound")
        for bound in (self.min, self.max):
            if bound is not None and math.isnan(bound):
                raise ValueError(f"rule {self.name}: found the bound NaN, expected a number")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"rule {self.name}: found min {self.min} above max {self.max}, so that nothing could pass")
        return self

    @model_validator(mode="after")
    def _check_action(self) -> Rule:
        if is_line_signal(self.signal) != (self.action == "drop_line"):
            raise ValueError(
                f"rule {self.name}: found action {self.action!r} on {self.signal}; 'drop_line' goes with signals of "
                "lines (line.words), and they with no other action"
            )
        if self.second_languages and self.action == "drop_line":
            raise ValueError(
                f"rule {self.name}: found second_languages on {self.signal}; the second language is told of what the "
                "rules on lines leave, and they cannot go by it"
            )
        if self.action == "blank" and not (self.signal.startswith("safety_sentences.") and self.max is not None):
            raise ValueError(
                f"rule {self.name}: found action 'blank' on {self.signal}, expected a signal of the family "
                "safety_sentences and a max, e.g. {signal: safety_sentences.hate_speech, max: 0.5, action: blank}"
            )
        if self.action == "redact" and not (self.signal.startswith("pii.") and self.max is not None):
            raise ValueError(
                f"rule {self.name}: found action 'redact' on {self.signal}, expected a signal of the family pii and a "
                "max, e.g. {signal: pii.email, max: 0, action: redact}"
            )
        return self
