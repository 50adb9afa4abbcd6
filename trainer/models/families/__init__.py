"""One file a model family: its presets and its weight map to and from the transformers class of that family."""

from __future__ import annotations
