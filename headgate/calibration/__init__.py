"""Measure what traffic without any harm looks like, before a plan's gates may block a release.

The pure parts (`scatter`, `draw`, `rehearsal`, `charts`, `measuring`) work on arrays and are given their randomness;
`reading` is the shell that opens logs and ledgers. Nothing here is the judge: verdicts only use the phi that comes out.
"""
