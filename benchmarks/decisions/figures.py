"""What the experiments add up to. Pure: findings in, figures out; of every figure with a goal, smaller is better."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.decisions import limits
from benchmarks.decisions.cost import Cost
from benchmarks.decisions.experiments import COMPARED, RATE, Results, name_of
from benchmarks.decisions.release import ENGINES, PROMOTED, ROLLED_BACK, SERVED
from benchmarks.decisions.studies import (
    ALPHA,
    ALPHAS,
    BELOW,
    NOT_SLOWER,
    PHI,
    SAFE_DIFFERENCE,
    SAFE_RATIO,
    WINDOWS,
    Found,
    Key,
    Rule,
)
from benchmarks.decisions.traces import MINUTE, Effect, Floats, Law, chances

Figure = dict[str, Any]

HORIZON = 3600
"""Seconds of traffic that one run has; what is not found in it counts as found after twice as long."""
DOCUMENTED = 60 * MINUTE * RATE
"""Requests that Kayenta's guide asks for: an hour."""
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


@dataclass(frozen=True)
class Size:
    """How much is done, and how far chance may then take a figure from its goal."""

    share: int
    """One in so many of the runs is made."""
    slack: float
    """Goals on medians and percentiles are so many times as high: of few runs they vary."""
    most_seconds: int

    def wrong(self, total: int) -> float:
        """Share that may be wrong of so many runs: 5 %; of few, what an engine wrong in just 5 % exceeds once in 100."""
        return ALPHA if self.share == 1 else float(stats.binom.ppf(0.99, total, ALPHA)) / total


FULL = Size(share=1, slack=1.0, most_seconds=8 * 60)
QUICK = Size(share=10, slack=1.5, most_seconds=60)


def told(name: str, value: float, unit: str, against: str) -> Figure:
    """A figure that has no goal."""
    return {"name": name, "value": float(value), "unit": unit, "goal": None, "holds": None, "against": against}


def goal(name: str, value: float, unit: str, most: float, against: str) -> Figure:
    """A figure that has one."""
    return {**told(name, value, unit, against), "goal": most, "holds": bool(value <= most)}


def share_of(times: Floats) -> float:
    """Share of runs in which it came at all."""
    return float(np.isfinite(times).mean())


def interval(times: Floats) -> str:
    """How many of how many, and the 95 % limits of the share (Wilson).

    >>> interval(np.array([1.0] * 50 + [np.inf] * 950))
    '50 of 1,000, 95 % interval 3.81 % to 6.53 %'
    """
    hits, total, z = int(np.isfinite(times).sum()), len(times), 1.96
    share = hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    width = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return f"{hits:,} of {total:,}, 95 % interval {max(0.0, middle - width):.2%} to {middle + width:.2%}"


def quantile(times: Floats, q: float, never: float) -> float:
    """The smallest value that at least a share of `q` does not exceed; what never came counts as `never`.

    >>> quantile(np.array([1.0, 2.0, 3.0, np.inf]), 0.5, 9.0), quantile(np.array([1.0, np.inf]), 0.95, 9.0)
    (2.0, 9.0)
    """
    value = float(np.sort(times)[max(0, math.ceil(q * len(times)) - 1)])
    return value if math.isfinite(value) else never


def requests(times: Floats, q: float = 0.5, *, seconds: int = HORIZON, rate: int = RATE) -> float:
    """A quantile of the time until rollback, in requests."""
    return rate * quantile(times, q, 2.0 * seconds)


def found_in(times: Floats) -> str:
    """How often it was found, and when in most cases."""
    last = requests(times, 0.95)
    return f"found in {share_of(times):.1%} of {len(times):,}, 95 % within {last:,.0f}"


# Whole releases


def release_goals(found: Results, size: Size) -> list[Figure]:
    """G1, G7 and G8: what the program's judge does with whole releases."""
    ours = {world: found[name_of("Headgate", world)] for world in ("A/A", "A/A, diurnal", "A/A, shared bursts")}
    back = np.concatenate([each[ROLLED_BACK] for each in ours.values()])
    promoted = ours["A/A"][PROMOTED][np.isfinite(ours["A/A"][PROMOTED])] / MINUTE
    at_margin = found[name_of("Headgate", "errors x1.25")][PROMOTED]
    served = found[name_of("Headgate", "errors x2")][SERVED]
    kayenta = np.median(found[name_of("Kayenta 3 x 60 min", "errors x2")][SERVED])
    of = f"of {len(promoted):,} promoted; Kayenta 180, Flagger-like 6"
    return [
        goal("G1 A/A releases: wrongly rolled back", share_of(back), "share", size.wrong(len(back)), interval(back)),
        *(
            told(
                f"release, {world}, Headgate: rolled back",
                share_of(each[ROLLED_BACK]),
                "share",
                interval(each[ROLLED_BACK]),
            )
            for world, each in ours.items()
        ),
        goal("G7 A/A releases: time to promotion, median", quantile(promoted, 0.5, 0), "min", 12 * size.slack, of),
        goal("G7 A/A releases: time to promotion, 95 %", quantile(promoted, 0.95, 0), "min", 27 * size.slack, of),
        goal(
            "G7 releases at the margin (errors x1.25): wrongly promoted",
            share_of(at_margin),
            "share",
            size.wrong(len(at_margin)),
            interval(at_margin),
        ),
        goal(
            "G8 errors x2: requests served by the bad candidate, median",
            float(np.median(served)),
            "requests",
            1500 * size.slack,
            f"Kayenta {kayenta:,.0f}; 95 % of releases at most {quantile(served, 0.95, 0):,.0f}",
        ),
    ]


def release_figures(found: Results) -> list[Figure]:
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


def endings(found: Found, name: str) -> list[Figure]:
    """How releases ended: too bad a candidate should be rolled back, and serve little before."""
    back, promoted, served = found[ROLLED_BACK], found[PROMOTED], found[SERVED]
    last = np.minimum(back, promoted) / MINUTE
    return [
        told(
            f"{name}: rolled back", share_of(back), "share", f"{share_of(promoted):.1%} promoted, {len(back)} releases"
        ),
        told(f"{name}: minutes until its end, median", quantile(last, 0.5, math.nan), "min", "rolled back or promoted"),
        told(
            f"{name}: requests served by the candidate, median", float(np.median(served)), "requests", "until its end"
        ),
    ]


# Failures


def rate_goals(found: Results, size: Size) -> list[Figure]:
    """G3, G4 and G6: how soon a higher failure rate is found."""
    doubled, rare = found["failures, 1 % to 2 %"], found["failures, 0.1 % to 1.1 %"]
    ours = doubled[Key(Rule.HEADGATE)]
    mean = RATE * float(np.minimum(ours, 2 * HORIZON).mean())
    bound = limits.wald(limits.of_rates(0.02, 0.01, 0.1))
    equal, against = at_equal_alarms(found)
    late = after_onset(found["failures, 1 % to 2 % from minute 30"][Key(Rule.HEADGATE)])
    name = "failures, 1 % to 2 %"
    return [
        goal(
            f"G3 {name}: requests to rollback, median", requests(ours), "requests", 11_000 * size.slack, found_in(ours)
        ),
        goal(
            f"G3 {name}: requests to rollback, 95 %",
            requests(ours, 0.95),
            "requests",
            32_000 * size.slack,
            found_in(ours),
        ),
        goal(
            f"G3 {name}: mean requests to rollback / Wald's bound",
            mean / bound,
            "ratio",
            1.5 * size.slack,
            f"mean {mean:,.0f}, bound {bound:,.0f}",
        ),
        goal(
            f"G3 {name}: requests to rollback, median / Kayenta's documented setup",
            requests(ours) / DOCUMENTED,
            "ratio",
            size.slack / 30,
            f"{DOCUMENTED / requests(ours):.1f} times fewer than {DOCUMENTED:,}",
        ),
        goal(
            f"G3 {name}: requests to rollback, median / Kayenta's best window at equal false alarms",
            equal,
            "ratio",
            size.slack / 4,
            against,
        ),
        goal(
            "G4 failures, 0.1 % to 1.1 %: requests to rollback, median",
            requests(rare[Key(Rule.HEADGATE)]),
            "requests",
            4000 * size.slack,
            f"Kayenta {requests(rare[Key(Rule.KAYENTA)]):,.0f}",
        ),
        goal(
            f"G6 {name} from minute 30: requests from then to rollback, median",
            requests(late, seconds=HORIZON - ONSET),
            "requests",
            26_000 * size.slack,
            f"found in {share_of(late):.1%} of {len(late):,} that were not rolled back before",
        ),
    ]


def at_equal_alarms(found: Results) -> tuple[float, str]:
    """Median requests of the program / Kayenta's best window, at the level at which both have equal false alarms.

    The best window is the shortest of those tried that finds 95 % of the candidates that fail twice as often.
    """
    power = {minutes: share_of(found["one window, 1 % to 2 %"][Key(Rule.KAYENTA, minutes)]) for minutes in WINDOWS}
    best = min((minutes for minutes in WINDOWS if power[minutes] >= 0.95), default=WINDOWS[-1])
    alarms = found["one window, A/A"][Key(Rule.KAYENTA, best)]
    false = max(share_of(alarms), 0.5 / len(alarms))
    chance = [float(found["rare false alarms"][Key(Rule.HEADGATE, alpha)].mean()) for alpha in ALPHAS]
    log_alpha = float(np.interp(math.log(false), np.log(chance[::-1]), np.log(ALPHAS[::-1])))
    medians = [requests(found["failures, 1 % to 2 %"][Key(Rule.HEADGATE, alpha)]) for alpha in ALPHAS]
    median = float(np.interp(-log_alpha, -np.log(ALPHAS), medians))
    theirs = best * MINUTE * RATE
    against = f"{median:,.0f} at alpha = {math.exp(log_alpha):.2%}, {theirs:,} after {best} min; both {false:.3%} false"
    return median / theirs, against


def after_onset(times: Floats) -> Floats:
    """Times since the change, of runs that were not rolled back before it."""
    return times[times > ONSET] - ONSET


def rate_figures(found: Results) -> list[Figure]:
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


def margin_figures(found: Results, size: Size) -> list[Figure]:
    """Proofs of safety: how soon, and how often wrong where the truth is exactly at the margin."""
    lines = []
    for proof in (SAFE_RATIO, SAFE_DIFFERENCE):
        soon, wrong = found["margins, 1 %, A/A"][Key(proof)], found["margins, 1 % to 1.5 %"][Key(proof)]
        name = f"failures, 1 % to 1.5 %: wrongly proven, {proof}"
        lines += [
            goal(name, share_of(wrong), "share", size.wrong(len(wrong)), interval(wrong)),
            told(f"failures, 1 %, A/A: requests to proof, {proof}", requests(soon), "requests", found_in(soon)),
        ]
    return lines


def burst_figures(found: Results, size: Size) -> list[Figure]:
    """G2: one arm has bursts of its own."""
    usual, busy, worse = (found[f"bursts of one arm, {name}"] for name in ("A/A", "A/A, 1,000/s", "x2"))
    releases = found[name_of("Headgate", "A/A, bursts of one arm")][ROLLED_BACK]
    goals = {
        "G2 bursts of one arm, tempered: wrongly rolled back": usual[Key(Rule.TEMPERED)],
        "G2 bursts of one arm, 1,000/s, tempered: wrongly rolled back": busy[Key(Rule.TEMPERED)],
        "G2 bursts of one arm, blocks of 60 s: wrongly rolled back": usual[Key(Rule.BLOCKS)],
        "G2 bursts of one arm, 1,000/s, blocks of 120 s: wrongly rolled back": busy[Key(Rule.LONG_BLOCKS)],
        "G2 A/A releases, bursts of one arm, tempered: wrongly rolled back": releases,
    }
    lines = [
        goal(name, share_of(times), "share", size.wrong(len(times)), interval(times)) for name, times in goals.items()
    ]
    for name, times in (("A/A", usual), ("A/A, 1,000/s", busy)):
        lines += [
            told(
                f"bursts of one arm, {name}, {rule}: rolled back",
                share_of(times[Key(rule)]),
                "share",
                interval(times[Key(rule)]),
            )
            for rule in (Rule.HEADGATE, Rule.BLOCKS, *RATE_RULES)
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
        for rule in (Rule.TEMPERED, Rule.BLOCKS, Rule.KAYENTA, Rule.KAYENTA_OFTEN)
    ]


# Durations


DURATION_GOALS = {
    (Law.LOGNORMAL, Effect.SLOWER): 4000,
    (Law.GAMMA, Effect.SLOWER): 8000,
    (Law.LOGNORMAL, Effect.TAIL): 3500,
    (Law.GAMMA, Effect.TAIL): 3500,
    (Law.BIMODAL, Effect.TAIL): 8000,
}


def duration_figures(found: Results, size: Size) -> list[Figure]:
    """G5: how soon slower answers are found."""
    lines = []
    for (law, effect), most in DURATION_GOALS.items():
        times = found[f"durations, {law}, {effect}"][Key(Rule.HEADGATE)]
        bound = limits.wald(limits.of_arms(chances(law, effect), chances(law), 0.1))
        against = f"{found_in(times)}; Wald's bound {bound:,.0f} on the mean"
        name = f"G5 durations, {law}, {effect}: requests to rollback, median"
        lines.append(goal(name, requests(times), "requests", most * size.slack, against))
    equal = np.concatenate([found[f"durations, {law}, {Effect.NONE}"][Key(Rule.HEADGATE)] for law in Law])
    lines.append(
        goal("durations, A/A: wrongly rolled back", share_of(equal), "share", size.wrong(len(equal)), interval(equal))
    )
    for law in Law:
        soon = found[f"durations, {law}, {Effect.NONE}"][Key(NOT_SLOWER)]
        name = f"durations, {law}, A/A: requests to proof, {NOT_SLOWER}"
        lines.append(told(name, requests(soon), "requests", found_in(soon)))
    wrong = np.concatenate([found[f"durations, {law}, {Effect.TAIL}"][Key(NOT_SLOWER)] for law in Law])
    name = f"durations, {Effect.TAIL}: wrongly proven, {NOT_SLOWER}"
    return [
        *lines,
        goal(name, share_of(wrong), "share", size.wrong(len(wrong)), interval(wrong)),
        *duration_rivals(found),
    ]


def duration_rivals(found: Results) -> list[Figure]:
    """What others do with the same durations."""
    lines = []
    for rule in DURATION_RULES:
        for law in Law:
            equal = found[f"durations, {law}, {Effect.NONE}"][Key(rule)]
            lines.append(told(f"durations, {law}, A/A, {rule}: rolled back", share_of(equal), "share", interval(equal)))
            for effect in (Effect.SLOWER, Effect.TAIL):
                times = found[f"durations, {law}, {effect}"][Key(rule)]
                name = f"durations, {law}, {effect}, {rule}: requests to rollback, median"
                lines.append(told(name, requests(times), "requests", found_in(times)))
    return lines


# Shadow


def shadow_figures(found: Results, size: Size) -> list[Figure]:
    """G9: pairs against a limit of 2 %, and paired losses."""
    at_limit, above, below = (found[f"pairs, {share} % differ"] for share in (2, 4, 1))
    equal, worse, spells = (found[f"losses, {name}"] for name in ("A/A", "+10 %", "A/A in spells"))
    rows = (
        ("G9 pairs, 4 % differ, limit 2 %: pairs to rollback, median", above[Key(Rule.HEADGATE)], 700),
        ("G9 pairs, 1 % differ, limit 2 %: pairs to proof, median", below[Key(BELOW)], 1300),
        ("G9 losses, +10 %: pairs to rollback, median", worse[Key(Rule.HEADGATE)], 1600),
    )
    lines = [
        goal(name, quantile(pairs, 0.5, 2.0 * PAIRS), "pairs", most * size.slack, f"found in {share_of(pairs):.1%}")
        for name, pairs, most in rows
    ]
    wrong = {
        "pairs, 2 % differ, limit 2 %: wrongly rolled back": at_limit[Key(Rule.HEADGATE)],
        "pairs, 2 % differ, limit 2 %: wrongly proven": at_limit[Key(BELOW)],
        "losses, A/A: wrongly rolled back": equal[Key(Rule.HEADGATE)],
    }
    lines += [goal(name, share_of(one), "share", size.wrong(len(one)), interval(one)) for name, one in wrong.items()]
    others = {
        f"pairs, 2 % differ, limit 2 %, {Rule.Z}: rolled back": at_limit[Key(Rule.Z)],
        **{
            f"losses, {name}, {rule}: rolled back": times[Key(rule)]
            for name, times in (("A/A", equal), ("A/A in spells", spells))
            for rule in (Rule.BLOCKS, Rule.DIEBOLD_MARIANO, Rule.DIEBOLD_MARIANO_ONCE)
        },
        f"losses, A/A in spells, {Rule.HEADGATE}: rolled back": spells[Key(Rule.HEADGATE)],
    }
    return lines + [told(name, share_of(one), "share", interval(one)) for name, one in others.items()]


PAIRS = 36_000
"""Pairs of a run."""


def cost_figures(cost: Cost) -> list[Figure]:
    """G10: what judging costs."""
    return [
        goal("G10 state of one metric, largest", cost.state_bytes, "bytes", 10_240, f"pickled; {cost.largest}"),
        goal(
            "G10 update of one metric by one block, slowest", cost.update_ms, "ms", 1, f"{cost.slowest}, 5 s at 100/s"
        ),
        goal("G10 judging 20 metrics x 50 slices", cost.judging_ms, "ms", 50, "one more block and a verdict"),
    ]


def figures_of(found: Results, cost: Cost, size: Size) -> list[Figure]:
    """All figures: those with a goal first."""
    lines = [
        *release_goals(found, size),
        *rate_goals(found, size),
        *burst_figures(found, size),
        *duration_figures(found, size),
        *shadow_figures(found, size),
        *margin_figures(found, size),
        *cost_figures(cost),
        *rate_figures(found),
        *release_figures(found),
    ]
    return sorted(lines, key=lambda line: (line["goal"] is None, order_of(line["name"])))


def order_of(name: str) -> int:
    """Place of a figure with a goal: G1 to G10, then the others."""
    first = name.split(maxsplit=1)[0]
    return int(first[1:]) if first[0] == "G" and first[1:].isdigit() else 11


def line_of(found: Figure) -> str:
    """One figure as a line of the table."""
    most = "" if found["goal"] is None else f"goal <= {found['goal']:g}"
    holds = {None: "", True: "holds", False: "FAILS"}[found["holds"]]
    value = f"{found['value']:,.6g}"
    return f"{found['name']:<96} {value:>10} {found['unit']:<9} {most:<18} {holds:<6} {found['against']}".rstrip()


def all_hold(found: Iterable[Figure]) -> bool:
    """Whether no goal was missed."""
    return all(each["holds"] is not False for each in found)


# Curves, for the plots


@dataclass(frozen=True)
class Curve:
    """What one rule can be had for: each setting of its knob is a point."""

    rule: str
    false: Sequence[float]
    """Share of A/A runs of an hour that are rolled back."""
    requests: Sequence[float]
    """Mean requests until rollback when failures double; what is not found counts as an hour."""


def curves_of(found: Results) -> list[Curve]:
    """Detection delay against false alarms, 1 % to 2 % failures."""
    equal, doubled = found["failures, 1 %, A/A"], found["failures, 1 % to 2 %"]
    curves = []
    for rule in (Rule.HEADGATE, Rule.Z, Rule.OBRIEN_FLEMING, Rule.POCOCK, Rule.MSPRT, Rule.FLAGGER, Rule.ARGO):
        keys = [key for key in doubled if key.rule == rule and key.knob is not None]
        false = [share_of(equal[key]) for key in keys]
        if rule is Rule.HEADGATE:
            false = [float(found["rare false alarms"][key].mean()) for key in keys]
        curves.append(Curve(rule, false, [mean_requests(doubled[key]) for key in keys]))
    windows = [Key(Rule.KAYENTA, minutes) for minutes in WINDOWS]
    false = [share_of(found["one window, A/A"][key]) for key in windows]
    return [
        *curves,
        Curve("Kayenta, one look", false, [mean_requests(found["one window, 1 % to 2 %"][key]) for key in windows]),
    ]


def mean_requests(times: Floats) -> float:
    """Mean requests until rollback; what is not found in the hour counts as the hour."""
    return RATE * float(np.minimum(times, HORIZON).mean())
