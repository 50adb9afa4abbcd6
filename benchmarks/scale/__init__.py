"""How cost grows with the data, and what 10^12 tokens would take at the rates that were measured.

run [--base 2000] [--factors 1,3,10]              measures, and writes result.json, the figures and docs/scale.md
plan --tokens 1e12 --price-per-core-hour 0.04     plans from result.json
page                                              writes the figures and docs/scale.md again

python -m benchmarks.scale run
"""
