"""What others make of the same data, and the curves on which all rules lie. Pure; nothing here has a goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.decisions.experiments import COMPARED, RATE, Results, name_of
from benchmarks.decisions.release import ENGINES, PROMOTED, ROLLED_BACK, SERVED
from benchmarks.decisions.studies import PHI, Found, Key, Rule
from benchmarks.decisions.table import HORIZON, Figure, found_in, interval, quantile, requests, share_of, told
from benchmarks.decisions.traces import MINUTE, Effect, Floats, Law

ONSET = 1800
"""Second at which late changes come."""
RATE_RULES = (
    Rule.KAYENTA,
    Rule.KAYENTA_OFTEN,
    Rule.FLAGGER,
    Rule.ARGO,
    Rule.Z,
    Rule.BONFERRONI,
    Rule.OBRIEN_FLEMING,
    Rule.POCOCK,
    Rule.MSPRT,
)
DURATION_RULES = (Rule.KAYENTA_MEAN, Rule.KAYENTA_TAIL, Rule.FLAGGER, Rule.ARGO, Rule.WELCH, Rule.DKW)


def after_onset(times: Floats) -> Floats:
    """Times since the change, of runs that were not rolled back before it."""
    return times[times > ONSET] - ONSET


def release_comparison(found: Results) -> list[Figure]:
    """The same releases in the hands of others, and what else may go wrong."""
    lines = [
        line
        for world in COMPARED
        for engine in ENGINES
        if (engine, world) != ("Headgate", "A/A")
        for line in endings(found[name_of(engine, world)], f"release, {world}, {engine}")
    ]
    for world in ("A/A, warm-up of 30 s a step", "A/A, bursts of one arm", "errors x2 from minute 4"):
        lines += endings(found[name_of("Headgate", world)], f"release, {world}, Headgate")
    return lines


NEVER = 240.0
"""Minutes for a release that was open when it was given up: twice as long as it was given."""


def endings(found: Found, name: str) -> list[Figure]:
    """How releases ended: too bad a candidate should be rolled back, and serve little before."""
    back, promoted, served = found[ROLLED_BACK], found[PROMOTED], found[SERVED]
    last = np.minimum(back, promoted) / MINUTE
    return [
        told(
            f"{name}: rolled back", share_of(back), "share", f"{share_of(promoted):.1%} promoted, {len(back)} releases"
        ),
        told(f"{name}: minutes until its end, median", quantile(last, 0.5, NEVER), "min", "rolled back or promoted"),
        told(
            f"{name}: requests served by the candidate, median", float(np.median(served)), "requests", "until its end"
        ),
    ]


def rate_comparison(found: Results) -> list[Figure]:
    """What others do with the same failures, and what margins cost."""
    lines = []
    for rule in (Rule.HEADGATE, *RATE_RULES):
        for base in ("1 %", "0.1 %"):
            times = found[f"failures, {base}, A/A"][Key(rule)]
            lines.append(told(f"failures, {base}, A/A, {rule}: rolled back", share_of(times), "share", interval(times)))
        for change in ("1 % to 2 %", "0.1 % to 1.1 %"):
            times = found[f"failures, {change}"][Key(rule)]
            name = f"failures, {change}, {rule}: requests to rollback, median"
            lines.append(told(name, requests(times), "requests", found_in(times)))
        times = found["failures, 1 % to 2 % from minute 30"][Key(rule)]
        late, before = after_onset(times), float((times <= ONSET).mean())
        lines.append(
            told(
                f"failures, 1 % to 2 % from minute 30, {rule}: requests from then to rollback, median",
                requests(late, seconds=HORIZON - ONSET) if len(late) else 0.0,
                "requests",
                f"{before:.1%} were rolled back before",
            )
        )
    return lines


def burst_comparison(found: Results) -> list[Figure]:
    """One arm has bursts of its own: everyone without and with a cure."""
    usual, busy, worse = (found[f"bursts of one arm, {name}"] for name in ("A/A", "A/A, 1,000/s", "x2"))
    lines = []
    for name, times in (("A/A", usual), ("A/A, 1,000/s", busy)):
        lines += [
            told(
                f"bursts of one arm, {name}, {rule}: rolled back",
                share_of(times[Key(rule)]),
                "share",
                interval(times[Key(rule)]),
            )
            for rule in (Rule.HEADGATE, Rule.BLOCKS, Rule.LONG_BLOCKS, *RATE_RULES)
        ]
        phi = times[Key(PHI)]
        low, high = np.quantile(phi, (0.05, 0.95))
        between = f"1.3 times what each history says; 90 % of runs {low:.2f} to {high:.2f}"
        lines.append(told(f"bursts of one arm, {name}: tempered by, median", float(np.median(phi)), "ratio", between))
    return lines + [
        told(
            f"bursts of one arm, x2, {rule}: requests to rollback, median",
            requests(worse[Key(rule)]),
            "requests",
            found_in(worse[Key(rule)]),
        )
        for rule in (Rule.TEMPERED, Rule.BLOCKS, Rule.LONG_BLOCKS, Rule.KAYENTA, Rule.KAYENTA_OFTEN)
    ]


def duration_comparison(found: Results) -> list[Figure]:
    """What others do with the same durations."""
    lines = []
    for rule in (Rule.HEADGATE, *DURATION_RULES):
        for law in Law:
            equal = found[f"durations, {law}, {Effect.NONE}"][Key(rule)]
            lines.append(told(f"durations, {law}, A/A, {rule}: rolled back", share_of(equal), "share", interval(equal)))
            for effect in (Effect.SLOWER, Effect.TAIL):
                times = found[f"durations, {law}, {effect}"][Key(rule)]
                name = f"durations, {law}, {effect}, {rule}: requests to rollback, median"
                lines.append(told(name, requests(times), "requests", found_in(times)))
    return lines


def shadow_comparison(found: Results) -> list[Figure]:
    """Tests that look every minute, the pairing ignored or not; and spells, which only blocks survive."""
    equal, spells = found["losses, A/A"], found["losses, A/A in spells"]
    others = {
        f"pairs, 2 % differ, limit 2 %, {Rule.Z}: rolled back": found["pairs, 2 % differ"][Key(Rule.Z)],
        **{
            f"losses, {name}, {rule}: rolled back": times[Key(rule)]
            for name, times in (("A/A", equal), ("A/A in spells", spells))
            for rule in (Rule.BLOCKS, Rule.DIEBOLD_MARIANO, Rule.DIEBOLD_MARIANO_ONCE)
        },
        f"losses, A/A in spells, {Rule.HEADGATE}: rolled back": spells[Key(Rule.HEADGATE)],
    }
    return [told(name, share_of(one), "share", interval(one)) for name, one in others.items()]


@dataclass(frozen=True)
class Curve:
    """What one rule can be had for: each setting of its knob is a point."""

    rule: str
    false: Sequence[float]
    """Share of A/A runs of an hour that are rolled back."""
    requests: Sequence[float]
    """Mean requests until rollback when failures double; what is not found counts as an hour."""


ONE_LOOK = "Kayenta, one look"
COUNTED = 5
"""False alarms below which the point of a rule that has a level is left out: chance would place it anywhere."""


def curves_of(found: Results) -> list[Curve]:
    """Detection delay against false alarms, 1 % to 2 % failures."""
    equal, doubled = found["failures, 1 %, A/A"], found["failures, 1 % to 2 %"]
    ours = knobs(doubled, Rule.HEADGATE)
    chances_of_alarm = [float(found["rare false alarms"][key].mean()) for key in ours]
    curves = [Curve(Rule.HEADGATE, chances_of_alarm, [mean_requests(doubled[key]) for key in ours])]
    for rule in (Rule.Z, Rule.OBRIEN_FLEMING, Rule.POCOCK, Rule.MSPRT):
        keys = [key for key in knobs(doubled, rule) if np.isfinite(equal[key]).sum() >= COUNTED]
        curves.append(curve_of(rule, keys, equal, doubled))
    curves += [curve_of(rule, knobs(doubled, rule), equal, doubled) for rule in (Rule.FLAGGER, Rule.ARGO)]
    windows = found["one window, A/A"]
    return [*curves, curve_of(ONE_LOOK, list(windows), windows, found["one window, 1 % to 2 %"])]


def knobs(found: Found, rule: Rule) -> list[Key]:
    """All settings of a rule."""
    return [key for key in found if key.rule == rule and key.knob is not None]


def curve_of(rule: str, keys: Sequence[Key], equal: Found, doubled: Found) -> Curve:
    """A curve whose false alarms are counted."""
    return Curve(rule, [share_of(equal[key]) for key in keys], [mean_requests(doubled[key]) for key in keys])


def mean_requests(times: Floats) -> float:
    """Mean requests until rollback; what is not found in the hour counts as the hour."""
    return RATE * float(np.minimum(times, HORIZON).mean())
