"""Builds that run as jobs; what runs jobs is in `trainer.jobs`."""
