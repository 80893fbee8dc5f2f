"""Measurements, one command each: `python -m benchmarks.NAME [--seed N] [--quick] [--json FILE]`."""
