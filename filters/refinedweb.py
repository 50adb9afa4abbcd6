"""Rules ``refinedweb``: the document rules of RefinedWeb (Penedo et al. 2023, arXiv 2306.01116, section G.2).

RefinedWeb applies Gopher's quality and repetition rules to the document; its other steps work on URLs, on the language
(fastText, at least 0.65) and on single lines.
"""

from __future__ import annotations

from filters import gopher

__all__ = ["RULES"]

RULES = gopher.RULES
