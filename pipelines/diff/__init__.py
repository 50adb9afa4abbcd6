"""What a change of a recipe did: two runs, record by record. `pomona diff`."""
