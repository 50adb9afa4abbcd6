"""Near-duplicates on labelled pairs, beside datatrove, text-dedup and rensa."""
