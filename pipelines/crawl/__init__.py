"""A polite crawler: robots.txt obeyed, every address accounted for, WARC 1.1 written."""
