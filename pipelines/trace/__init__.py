"""From a loss back to documents, sources and rules: `pomona trace`."""
