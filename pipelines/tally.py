"""Documents and tokens before and after a change: the columns that `pomona diff` and `pomona whatif` share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Moves:
    """Documents and tokens that there were, and what is gained and lost."""

    before: int = 0
    after: int = 0
    gained: int = 0
    lost: int = 0
    tokens_before: int = 0
    tokens_gained: int = 0
    tokens_lost: int = 0
