"""Benchmark items in training texts: an index of their n-grams, and a scan that finds the passages."""

from __future__ import annotations

from decontam.benchmark import Benchmark
from decontam.index import Index
from decontam.method import Method

__all__ = ["Benchmark", "Index", "Method"]
