"""Headgate: release a model a little at a time, and stop it the moment the evidence turns."""

__version__ = "0.1.0"
