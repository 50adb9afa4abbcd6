"""datatrove's FineWeb example beside `pomona build`, over the same pages, with two workers each.

python -m benchmarks.fineweb [--pages 20000] [--workers 2] [--only without] [--json]
"""
