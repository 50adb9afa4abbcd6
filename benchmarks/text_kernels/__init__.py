"""The text kernels beside datatrove, dolma and rensa, each in an environment of its own.

python -m benchmarks.text_kernels [--quick] [--peers rensa ...] [--work minhash ...] [--json]
"""
