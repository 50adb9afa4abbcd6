"""Real pages for benchmarks: HTML of Debian's -doc packages, and the pages of POMONA_DATA where that is set.

python -m benchmarks.corpus --pages 20000 [--documents]
"""
