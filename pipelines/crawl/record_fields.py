"""Fields by which our crawler says, in a record's WARC header, what the site said elsewhere of the page's use."""

from __future__ import annotations

TDM_FIELD = "X-Pomona-Tdm"
"""What its tdmrep.json says of the page."""

TRAINING_FIELD = "X-Pomona-Training"
"""The tokens that stand for training to which its robots.txt refuses the page."""
