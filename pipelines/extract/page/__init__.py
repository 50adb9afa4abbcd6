"""The `auto` engine: one compiled pass over a page, its blocks classified by small learned models."""
