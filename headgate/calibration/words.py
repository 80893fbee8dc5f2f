"""Say what a calibration found: to a person in a table and sentences, to a program as a document. Pure; no colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from headgate.calibration.history import History
from headgate.calibration.measuring import Measured, Noise, Rehearsals
from headgate.calibration.rehearsal import Rate, rate
from headgate.evidence.dispersion import LEVEL, MIN_BLOCKS

HEADINGS = ("GATE", "COUNTED", "BLOCKS", "PHI", "TIER", "FALSE ALARMS", "MISSED")
MANY = 0.2
"""Share of harmless rehearsals that may stay undecided before it is said what to do."""


def source_of(history: History, releases: Sequence[str], now: datetime) -> str:
    """What was measured on, for people."""
    parts = []
    if history.requests:
        count = len(history.hosts)
        instances = f"{count} instance" + ("" if count == 1 else "s")
        hours = history.seconds / 3600
        parts.append(
            f"{hours:.1f} h of stable's log until {now:%Y-%m-%d %H:%M}Z, {history.requests:,} requests, {instances}"
        )
    if releases:
        parts.append(f"releases {', '.join(dict.fromkeys(releases))}")
    return "; ".join(parts)


def rows_of(measured: Measured) -> Iterator[tuple[str, ...]]:
    """One line a gate, and one for all of them."""
    for noise in measured.noises:
        yield (
            noise.gate,
            noise.measure,
            f"{noise.used.blocks:,}",
            interval_of(noise),
            noise.tempering.tier + (f" / {noise.tempering.phi:.2g}" if noise.tempering.phi > 1 else ""),
            before_and_after(measured, noise.gate),
            "",
        )
    if measured.with_it and measured.without:
        others = {*measured.with_it.by_gate, *measured.without.by_gate} - {noise.gate for noise in measured.noises}
        for gate in sorted(others):
            yield (gate, "", "", "", "", before_and_after(measured, gate), "")
        missed = "-"
        if measured.harmed:
            found = measured.harmed.rolled_back
            missed = percent(rate(found.of - found.found, found.of))
        alarms = f"{percent(measured.without.rolled_back)} -> {percent(measured.with_it.rolled_back)}"
        yield ("all", "", "", "", "", alarms, missed)


def interval_of(noise: Noise) -> str:
    """Phi as stored."""
    blocks, phi, low, high = noise.used
    if not blocks:
        return "-"
    return f"{phi:.2f} ({low:.2f} to {high:.2f})" if blocks > 1 else f"{phi:.2f}"


def before_and_after(measured: Measured, gate: str) -> str:
    """False alarms of one gate, without and with the calibration."""
    if not measured.with_it or not measured.without:
        return "-"
    of = measured.with_it.rolled_back.of
    shares = [kind.by_gate[gate].found if gate in kind.by_gate else 0 for kind in (measured.without, measured.with_it)]
    return " -> ".join(f"{100 * found / of:.3g} %" for found in shares)


def percent(share: Rate) -> str:
    """A share with its interval.

    >>> percent(rate(3, 100)), percent(rate(100, 100))
    ('3 % (1.03 to 8.45)', '100 % (96.3 to 100)')
    """
    return f"{100 * share.found / max(1, share.of):.3g} % ({100 * share.low:.3g} to {100 * share.high:.3g})"


def told_of_rehearsals(measured: Measured, trials: int, effect: float) -> Iterator[str]:
    """How rehearsals ended, with what the intervals are of."""
    if not measured.with_it or not measured.without:
        yield "no rehearsals: they need two instances that served together, and a step with live traffic"
        return
    yield (
        f"{trials} rehearsals of each kind on that log; shares with 95 % intervals of the drawing (the log is one, "
        "and its stretches overlap)"
    )
    kinds = {"no harm, uncalibrated": measured.without, "no harm, calibrated": measured.with_it}
    if measured.harmed:
        kinds[f"failures x {effect:g}, calibrated"] = measured.harmed
    for name, kind in kinds.items():
        yield f"  {name}: {ends_of(kind)}"
    undecided = measured.with_it.undecided
    if undecided.found > MANY * undecided.of:
        yield (
            f"  {100 * undecided.found / undecided.of:.0f} % of harmless releases would not be decided within the "
            "plan's limits: raise limit_seconds, widen margins, or give more traffic or calmer instances"
        )
    if not measured.harmed:
        yield "  misses are not known: stable never failed, and a multiple of nothing is nothing"


def ends_of(kind: Rehearsals) -> str:
    """How one kind ended.

    >>> from headgate.calibration.measuring import Rehearsals
    >>> from headgate.calibration.rehearsal import rate
    >>> ends_of(Rehearsals(rate(1, 4), rate(3, 4), rate(0, 4), {}, 90.0, 5000.0))
    'rolled back 25 %, promoted 75 %, undecided 0 %; median 1.5 min, 5,000 requests'
    """
    shares = {"rolled back": kind.rolled_back, "promoted": kind.promoted, "undecided": kind.undecided}
    ends = ", ".join(f"{name} {100 * rate.found / max(1, rate.of):.3g} %" for name, rate in shares.items())
    return f"{ends}; median {kind.seconds / 60:.2g} min, {kind.requests:,.0f} requests"


def notes_of(
    measured: Measured, history: History, unreadable: int, block_seconds: int, releases: Sequence[str]
) -> Iterator[str]:
    """What a person should know about these numbers."""
    if len(history.hosts) == 1:
        rest = (
            "phi is of the releases alone" if releases else "nothing was measured: run two replicas, or give --release"
        )
        yield f"one instance answered everything, and alone it cannot show how much instances differ; {rest}"
    for noise in measured.noises:
        yield from notes_of_noise(noise, block_seconds)
    for gate, why in measured.unmeasured.items():
        yield f"{gate} {why}"
    if history.requests and len(history.hosts) > 1:
        yield "phi - 1 grows with traffic: measure at the traffic that releases will have"
    if releases:
        yield (
            "a small real difference of a past release's bundles makes phi larger than chance alone would; that only "
            "promoted releases count makes it smaller, where noise turned others back"
        )
    if history.unattributed:
        yield f"{history.unattributed:,} requests or outcomes belong to no known instance and were left out"
    if unreadable:
        yield f"{unreadable:,} damaged lines were left out"


def notes_of_noise(noise: Noise, block_seconds: int) -> Iterator[str]:
    """What a person should know about one gate's phi."""
    blocks = noise.used.blocks
    if not blocks:
        yield f"{noise.gate}: it never happened, so there is nothing to measure; its requests are taken as independent"
    elif blocks < MIN_BLOCKS:
        yield (
            f"{noise.gate}: {blocks} of the {MIN_BLOCKS} blocks of {block_seconds} s with at least one failure that "
            f"phi needs ({MIN_BLOCKS * block_seconds / 3600:g} h of them): until then it is judged by blocks of time, "
            "which takes longer"
        )
    if noise.used.phi > noise.found.phi:
        yield (
            f"{noise.gate}: measured as {noise.found.phi:.2f}; the plan's largest step compares fewer servers with a "
            f"larger share, where the same bursts weigh {noise.used.phi:.2f}"
        )


def warnings_of(measured: Measured) -> Iterator[str]:
    """What makes the numbers doubtful."""
    for noise in measured.noises:
        if noise.bursts_are_long:
            yield (
                f"{noise.gate}: phi is {noise.longer:.2f} in blocks twice as long, so bursts outlast a block; measure "
                "again with larger --block-seconds"
            )
    for gate, signals in measured.signals.items():
        first = min(signals, key=lambda signal: signal.minute)
        yield (
            f"{gate}: stable itself was out of control at {datetime.fromtimestamp(first.minute, UTC):%Y-%m-%d %H:%M}Z "
            f"({', '.join(signal.chart for signal in signals)}): {first.hits:,} of {first.requests:,} in that minute, "
            f"usual is {first.usual:.3%}; phi holds that trouble too"
        )


def document_of(measured: Measured, history: History, unreadable: int, *, stored: bool, source: str) -> dict[str, Any]:
    """The same for a program."""
    kinds = {"without": measured.without, "with": measured.with_it, "harmed": measured.harmed}
    return {
        "source": source,
        "seconds": history.seconds,
        "requests": history.requests,
        "instances": len(history.hosts),
        "unattributed": history.unattributed,
        "unreadable": unreadable,
        "level": LEVEL,
        "gates": {
            noise.gate: {
                "measure": noise.measure,
                "measured": noise.found._asdict(),
                "stored": noise.used._asdict(),
                "tier": noise.tempering.tier,
                "divide_by": noise.tempering.phi,
                "phi_in_longer_blocks": noise.longer,
            }
            for noise in measured.noises
        },
        "unmeasured": measured.unmeasured,
        "rehearsals": {name: document_of_rehearsals(kind) if kind else None for name, kind in kinds.items()},
        "signals": {gate: [signal._asdict() for signal in signals] for gate, signals in measured.signals.items()},
        "stored": stored,
    }


def document_of_rehearsals(kind: Rehearsals) -> dict[str, Any]:
    """One kind of rehearsals for a program."""
    return {
        "rolled_back": kind.rolled_back._asdict(),
        "promoted": kind.promoted._asdict(),
        "undecided": kind.undecided._asdict(),
        "by_gate": {gate: rate._asdict() for gate, rate in kind.by_gate.items()},
        "median_seconds": kind.seconds,
        "median_requests": kind.requests,
    }
