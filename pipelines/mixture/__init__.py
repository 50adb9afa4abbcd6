"""Weights that mean tokens: which documents a stage takes, how often, and in which order.

Everything here is a pure function of the documents' ids, their token counts and the recipe's seed.
"""

from __future__ import annotations

from pipelines.mixture.choice import SEQUENCE as SEQUENCE
from pipelines.mixture.choice import Chosen as Chosen
from pipelines.mixture.choice import Phase as Phase
from pipelines.mixture.choice import choose as choose
from pipelines.mixture.choice import order as order
from pipelines.mixture.choice import phased_order as phased_order
from pipelines.mixture.feasible import Infeasible as Infeasible
from pipelines.mixture.pieces import Pieces as Pieces
from pipelines.mixture.pieces import cut_tokens as cut_tokens
from pipelines.mixture.supply import Supply as Supply
from pipelines.mixture.supply import heldout as heldout
from pipelines.mixture.supply import shuffled as shuffled
