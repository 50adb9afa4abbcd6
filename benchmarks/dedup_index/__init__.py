"""How long it takes to add to an index of duplicates, batch after batch."""
