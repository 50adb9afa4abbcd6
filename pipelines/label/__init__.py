"""Grades of texts by a language model: labels from which a cheap model of quality is trained (arXiv 2406.04638)."""
