"""Thin retryable Prefect shells: one port call or one decision each, named for the act."""
