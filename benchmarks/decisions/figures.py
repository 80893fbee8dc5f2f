"""What the experiments add up to: every goal, then what others make of it. Pure: findings in, figures out."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.decisions import limits
from benchmarks.decisions.comparison import (
    ONSET,
    after_onset,
    burst_comparison,
    duration_comparison,
    rate_comparison,
    release_comparison,
    shadow_comparison,
)
from benchmarks.decisions.cost import Cost
from benchmarks.decisions.experiments import RATE, Results, name_of
from benchmarks.decisions.release import PROMOTED, ROLLED_BACK, SERVED
from benchmarks.decisions.studies import (
    ALPHAS,
    BELOW,
    NOT_SLOWER,
    SAFE_DIFFERENCE,
    SAFE_RATIO,
    WINDOWS,
    Key,
    Rule,
)
from benchmarks.decisions.table import (
    HORIZON,
    Figure,
    Size,
    by_chance,
    found_in,
    goal,
    interval,
    quantile,
    requests,
    share_of,
    told,
)
from benchmarks.decisions.traces import MINUTE, Effect, Law, chances

DOCUMENTED = 60 * MINUTE * RATE
"""Requests that Kayenta's guide asks for: an hour."""


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
    chance = [max(1e-12, found["rare false alarms"][Key(Rule.HEADGATE, alpha)].mean()) for alpha in ALPHAS]
    log_alpha = float(np.interp(math.log(false), np.log(chance[::-1]), np.log(ALPHAS[::-1])))
    medians = [requests(found["failures, 1 % to 2 %"][Key(Rule.HEADGATE, alpha)]) for alpha in ALPHAS]
    median = float(np.interp(-log_alpha, -np.log(ALPHAS), medians))
    theirs = best * MINUTE * RATE
    against = f"{median:,.0f} at alpha = {math.exp(log_alpha):.2%}, {theirs:,} after {best} min; both {false:.3%} false"
    return median / theirs, against


def margin_figures(found: Results) -> list[Figure]:
    """Proofs of safety: how soon, and how often wrong where the truth is exactly at the margin."""
    lines = []
    for proof in (SAFE_RATIO, SAFE_DIFFERENCE):
        soon, wrong = found["margins, 1 %, A/A"][Key(proof)], found["margins, 1 % to 1.5 %"][Key(proof)]
        name = f"failures, 1 % to 1.5 %: wrongly proven, {proof}"
        lines += [
            goal(name, share_of(wrong), "share", by_chance(len(wrong)), interval(wrong)),
            told(f"failures, 1 %, A/A: requests to proof, {proof}", requests(soon), "requests", found_in(soon)),
        ]
    return lines


def burst_figures(found: Results, size: Size) -> list[Figure]:
    """G2: one arm has bursts of its own."""
    usual, busy = (found[f"bursts of one arm, {name}"] for name in ("A/A", "A/A, 1,000/s"))
    releases = found[name_of("Headgate", "A/A, bursts of one arm")][ROLLED_BACK]
    goals = {
        "G2 bursts of one arm, tempered: wrongly rolled back": usual[Key(Rule.TEMPERED)],
        "G2 bursts of one arm, 1,000/s, tempered: wrongly rolled back": busy[Key(Rule.TEMPERED)],
        "G2 bursts of one arm, block tier: wrongly rolled back": usual[Key(Rule.BLOCK_TIER)],
        "G2 bursts of one arm, 1,000/s, block tier: wrongly rolled back": busy[Key(Rule.BLOCK_TIER)],
        "G2 A/A releases, bursts of one arm, tempered: wrongly rolled back": releases,
    }
    return [
        goal(name, share_of(times), "share", size.wrong(len(times)), interval(times)) for name, times in goals.items()
    ]


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
    ]


def shadow_figures(found: Results, size: Size) -> list[Figure]:
    """G9: pairs against a limit of 2 %, and paired losses."""
    at_limit, above, below = (found[f"pairs, {share} % differ"] for share in (2, 4, 1))
    equal, worse = found["losses, A/A"], found["losses, +10 %"]
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
    return lines + [
        goal(name, share_of(one), "share", by_chance(len(one)), interval(one)) for name, one in wrong.items()
    ]


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
        *margin_figures(found),
        *cost_figures(cost),
        *rate_comparison(found),
        *burst_comparison(found),
        *duration_comparison(found),
        *shadow_comparison(found),
        *release_comparison(found),
    ]
    return sorted(lines, key=lambda line: (line["goal"] is None, order_of(line["name"])))


def order_of(name: str) -> int:
    """Place of a figure with a goal: G1 to G10, then the others."""
    first = name.split(maxsplit=1)[0]
    return int(first[1:]) if first[0] == "G" and first[1:].isdigit() else 11
