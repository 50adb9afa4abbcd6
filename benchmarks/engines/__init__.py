"""What the engines cost: `local` over the bare kernels, and Ray and Beam over `local`.

python -m benchmarks.engines [--pages 20000] [--seconds 300] [--part overhead|engines] [--engine ray] [--json]
"""
