"""Observations into evidence: the gateway's log, and pairs from the prediction logs."""
