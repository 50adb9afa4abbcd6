"""Real sites that a crawl can be shown on without a network."""
