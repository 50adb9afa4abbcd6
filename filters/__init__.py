"""Signals measured on text, and the rules that decide on them. Measuring never decides, and deciding never measures.

signals = filters.measure(text, ["gopher", "c4"])
decisions = filters.decide(signals, filters.rules("gopher") + filters.rules("c4"))

Rules on single lines come first, and what is measured is what they leave:

struck = filters.strike_lines(text, filters.rules("c4_lines"))
signals = filters.measure(struck["text"], ["c4"])
"""

from __future__ import annotations

from filters.decision import decide
from filters.family import Family, families, family, presets, rules
from filters.line_decision import strike_lines
from filters.rule import Rule
from filters.signals import measure

__all__ = ["Family", "Rule", "decide", "families", "family", "measure", "presets", "rules", "strike_lines"]
