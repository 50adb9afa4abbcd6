"""Rate of the training loader from local disk, on one core."""
