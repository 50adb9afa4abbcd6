"""Languages told right, beside bare lid.176: sentences of FLORES, lines of the Universal Declaration (POMONA_DATA)."""
