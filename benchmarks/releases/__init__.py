"""Whole releases under live requests, and how often they end rightly: real processes, real requests, the real judge."""
