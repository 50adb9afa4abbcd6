"""Deduplication of ten million documents, made as they are read: recall, precision, time, memory and disk."""
