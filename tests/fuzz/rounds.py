"""How much is tried: one round in the ordinary suite, as many as POMONA_FUZZ says when somebody fuzzes."""

from __future__ import annotations

import os
from typing import Final

ROUNDS: Final = range(int(os.environ.get("POMONA_FUZZ", "1")))
"""Each round tries other examples; Hypothesis would keep all of one long round in memory."""
