"""Evidence: counts per block of time, revision and variant, merged by adding. It never judges."""
