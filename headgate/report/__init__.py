"""The page a person reads after a release, and the same numbers as JSON."""
