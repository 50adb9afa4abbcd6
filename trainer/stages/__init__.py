"""Training stages: data + loss + schedule, one file a kind."""

from __future__ import annotations
