"""Duplicates: exact by content, near by MinHash-LSH with every match verified, and an index that lasts across runs."""

from __future__ import annotations

from dedup.config import DedupConfig
from dedup.deduplicate import deduplicate
from dedup.index import Index, Replacement
from dedup.minhash import MinHashConfig
from dedup.segments import IndexRefusedError

__all__ = ["DedupConfig", "Index", "IndexRefusedError", "MinHashConfig", "Replacement", "deduplicate"]
