"""What gates of measured values say in words."""

from __future__ import annotations

import pytest

from headgate.evidence.dispersion import Tier
from headgate.evidence.histogram import bin_of
from headgate.evidence.readings import Block, Durations
from headgate.gates.declared import Latency
from headgate.gates.durations import LatencyTrial

FAST, SLOW, SLOWEST = bin_of(4_000), bin_of(32_000), bin_of(1_500_000)


@pytest.mark.parametrize("tier", [Tier.EXACT, Tier.BLOCK])
def test_durations_are_told_in_milliseconds_of_both_sides(tier: Tier) -> None:
    trial = LatencyTrial.begin(Latency(), tier=tier, phi=1.0, start=0, minutes=60, after=0.5)
    assert trial.standing().seen == "durations of 0 candidate's and 0 stable's requests"
    trial = trial.after(Block(0, 1, 0.2, durations=Durations(candidate={SLOW: 9}, stable={FAST: 1000})))
    trial = trial.after(Block(1, 1, 0.2, durations=Durations(candidate={SLOWEST: 2}, stable={FAST: 500, SLOW: 3})))
    assert trial.standing().seen == (
        "candidate took 32.4 ms (p50), 1,530 ms (p99) in 11 requests, stable 4.21 ms, 4.21 ms in 1,503"
    )
