"""Decontamination: recall by format, false positives on real pages, size and speed beside datatrove."""
