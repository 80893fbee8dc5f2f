"""Thin retryable Prefect shells: one act or one decision each, named for it. They hold no state and no logic."""
