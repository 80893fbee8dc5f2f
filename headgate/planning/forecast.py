"""Lay a plan against its traffic: what each step must prove, and how long that takes if the candidate is like stable.

Pure. It follows the walk step by step; evidence carries over, as in the judge. Times come from the law of first passage
of the judge's own bets (`headgate.evidence.passage`), several proofs of one step being taken as independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import Field

from headgate.evidence.dispersion import Tier, tier
from headgate.evidence.passage import STEPS, Passage, Stretch, passage
from headgate.evidence.quantile import FEWEST
from headgate.gates import Calibration, Disagreement, Gate, Latency
from headgate.gates.declared import RateGate
from headgate.plan import Plan, Undecided
from headgate.planning.proofs import Bets, Matter, disagreement_matter, latency_matters, rate_matter
from headgate.planning.traffic import Traffic
from headgate.strategies import Step, steps_of
from headgate.topology import Variant
from headgate.values import Value

LIKELY = 0.95
"""The chance that a time called likely keeps."""
Z_LIKELY = 1.645
"""How many standard deviations above its mean a normal variable stays with that chance."""
LONGEST = 1e9
"""Seconds, 30 years: what takes longer never happens."""
ANY, OTHER = f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"
"""Bundles that stand for those to come."""

UNCALIBRATED = Calibration()
"""Nothing is known of over-dispersion: requests are taken as independent, as the judge takes them."""


class Need(Value):
    """What one proof of a step needs, if the candidate is like stable."""

    gate: str
    part: str = ""
    margin: str
    """What is proven, in words."""
    unit: str = "requests"
    median: float | None = None
    """Requests (pairs) in this step until it is proven, in half of all releases; None if it never is."""
    likely: float | None = None
    """The same in 95 % of them."""
    chance: float = Field(ge=0, le=1)
    """Chance that it is proven within the step's limit."""
    harm_median: float | None = None
    """Requests until harm of the size asked about is found at this step's share, in half of all releases, if nothing
    was seen before; None where no size is defined, or if it never is."""
    harm_likely: float | None = None

    @property
    def name(self) -> str:
        """Gate and part."""
        return f"{self.gate} {self.part}".strip()


class StepForecast(Value):
    """One step of the walk."""

    name: str
    weight: float
    needs: tuple[Need, ...]
    rate: float
    """Requests (pairs) per second that it judges."""
    warm_up_seconds: float
    dwell_seconds: float
    """How long it lasts at least after warm-up, requests asked for included."""
    limit_seconds: float
    """How long it may last, with what the plan's policy adds."""
    median_seconds: float | None
    """How long it lasts in half of all releases, warm-up included; None if it is never over."""
    likely_seconds: float | None
    """How long it lasts in 95 % of them, when earlier steps took their median."""
    chance: float
    """Chance that everything is proven within its limit."""

    @property
    def available(self) -> float:
        """Requests (pairs) that it can judge within its limit."""
        return self.rate * max(0.0, self.limit_seconds - self.warm_up_seconds)


class Forecast(Value):
    """The whole walk."""

    steps: tuple[StepForecast, ...]
    harm: float
    """Size of the harm asked about: times stable's rate, or times the limit."""
    unplanned: dict[str, str] = {}
    """Guards whose needs cannot be known before, and why."""

    @property
    def median_seconds(self) -> float | None:
        """How long the release takes in half of all cases."""
        known = [(step.median_seconds, step.likely_seconds) for step in self.steps]
        pairs = [(median, likely) for median, likely in known if median is not None and likely is not None]
        return median_of_sum(pairs) if len(pairs) == len(known) else total([median for median, _ in known])

    @property
    def likely_seconds(self) -> float | None:
        """How long it takes in 95 %: a step that takes longer leaves its evidence to the next."""
        medians = [step.median_seconds for step in self.steps]
        late = [
            total([*medians[:place], step.likely_seconds, *medians[place + 1 :]])
            for place, step in enumerate(self.steps)
        ]
        known = [seconds for seconds in late if seconds is not None]
        return max(known, default=0.0) if len(known) == len(late) else None


def median_of_sum(parts: list[tuple[float, float]]) -> float:
    """Median of a sum of skewed times, each given by its median and 95 % quantile: medians alone add up to less.

    Each is taken as lognormal, and so is the sum, with their mean and variance (Fenton 1960).

    >>> median_of_sum([(60.0, 60.0), (60.0, 60.0)]), round(median_of_sum([(87.0, 250.0), (125.0, 490.0)]))
    (120.0, 235)
    """
    spreads = [math.log(max(likely, median) / median) / Z_LIKELY if median > 0 else 0.0 for median, likely in parts]
    means = [median * math.exp(spread**2 / 2) for (median, _), spread in zip(parts, spreads, strict=True)]
    mean = math.fsum(means)
    variance = math.fsum([one**2 * math.expm1(spread**2) for one, spread in zip(means, spreads, strict=True)])
    return mean**2 / math.sqrt(mean**2 + variance) if mean > 0 else 0.0


def total(parts: list[float | None]) -> float | None:
    """The sum, if every part is known."""
    known = [part for part in parts if part is not None]
    return math.fsum(known) if len(known) == len(parts) else None


@dataclass(frozen=True, slots=True)
class Past:
    """A step that is over: under which weight, and for how long it was judged."""

    weight: float
    seconds: float
    """Judged ones, after warm-up."""


def forecast(plan: Plan, traffic: Traffic, *, calibration: Calibration = UNCALIBRATED, harm: float = 2.0) -> Forecast:
    """What each step of `plan` needs under `traffic`.

    Args:
        plan: its strategy, schedule, gates and limits.
        traffic: how much there is, and what stable's looks like; taken as steady.
        calibration: over-dispersion of the gates (R10); a tempered gate needs phi times as many units.
        harm: size of the harm whose delay is told: times stable's rate.

    Raises `Rejected` for a plan that fits nowhere (`strategies.steps_of`).
    """
    steps = steps_of(plan, model="-", candidate=ANY, stable=Variant(bundle=OTHER, replicas=plan.replicas), salt="-")
    past: list[Past] = []
    answers = 0.0
    found, unplanned = [], {}
    for step in steps:
        look = Outlook(plan, traffic, calibration, harm, step, tuple(past), answers)
        found.append(look.forecast())
        unplanned.update(look.unplanned())
        lasts = min(found[-1].median_seconds or math.inf, found[-1].limit_seconds)
        answers += lasts * traffic.rate * traffic.units * (1 - step.topology.weight)
        if step.topology.weight:
            past.append(Past(step.topology.weight, max(0.0, lasts - plan.warm_up_seconds)))
    return Forecast(steps=tuple(found), harm=harm, unplanned=unplanned)


@dataclass(frozen=True, slots=True)
class Law:
    """When one proof is there, in seconds after the step's warm-up."""

    matter: Matter
    rate: float
    """Units per second that count, over-dispersion taken off."""
    shown: float
    """Requests (pairs) per second."""
    delay: float
    """Seconds before anything is bet."""
    passage: Passage | None

    def chance(self, seconds: float) -> float:
        """Chance that it is proven by then."""
        return self.passage.chance(max(0.0, seconds - self.delay) * self.rate) if self.passage else 0.0

    def requests(self, chance: float) -> float | None:
        """Requests until it is proven with this chance."""
        seconds = seconds_until(self.chance, chance) if self.passage else None
        return None if seconds is None else seconds * self.shown


@dataclass(frozen=True, slots=True)
class Outlook:
    """One step, seen from its beginning."""

    plan: Plan
    traffic: Traffic
    calibration: Calibration
    harm: float
    step: Step
    past: tuple[Past, ...]
    answers: float
    """Stable's answers in the steps before."""

    @property
    def gates(self) -> Mapping[str, Gate]:
        """What must be proven here."""
        return {name: self.plan.gates.named[name] for name in self.step.guards}

    @property
    def rate(self) -> float:
        """Requests (pairs) per second."""
        if self.step.topology.weight:
            return self.traffic.rate
        return self.traffic.rate * self.step.topology.mirror if self.traffic.pairs is None else self.traffic.pairs

    def matters(self, name: str, gate: Gate, weight: float) -> tuple[Matter, ...]:
        """What the gate must prove before the next step, on traffic with this weight."""
        after = self.step.next_weight
        match gate:
            case RateGate():
                found = rate_matter(name, gate, self.traffic, weight=weight, after=after, harm=self.harm)
                return (found,) if found else ()
            case Latency():
                return latency_matters(name, gate, self.traffic, weight=weight, after=after)
            case Disagreement():
                return (disagreement_matter(name, gate, self.traffic, harm=self.harm),)
        return ()

    def unplanned(self) -> dict[str, str]:
        """Guards of this step that nothing can be said of."""
        reasons = {}
        for name, gate in self.gates.items():
            if self.tier_of(name, gate) is Tier.BLOCK:
                reasons[name] = "it is judged by blocks of time, whose scatter is not known before"
            elif not self.matters(name, gate, self.step.topology.weight):
                known = (
                    "its share under stable is not known" if isinstance(gate, RateGate) else "its scatter is not known"
                )
                reasons[name] = known
        return reasons

    def tier_of(self, name: str, gate: Gate) -> Tier:
        """By which statistics the gate will be judged; disagreements have no block tier."""
        chosen = tier(self.calibration.dispersions.get(name)).tier
        return Tier.EXACT if chosen is Tier.BLOCK and isinstance(gate, Disagreement) else chosen

    def laws(self) -> list[Law]:
        """When each proof of this step is there."""
        log_beta = -math.log(self.plan.gates.beta)
        weight = self.step.topology.weight
        found = []
        for name, gate in self.gates.items():
            if self.tier_of(name, gate) is Tier.BLOCK:
                continue
            rate = self.units_per_second / tier(self.calibration.dispersions.get(name)).phi
            before = [(self.matters(name, gate, past.weight), past.seconds * rate) for past in self.past if weight]
            for place, matter in enumerate(self.matters(name, gate, weight)):
                stretches = [Stretch(matters[place].safe.walk, units) for matters, units in before]
                law = passage(matter.safe.logs, stretches, matter.safe.walk, log_threshold=log_beta)
                delay = self.unlearned_seconds if isinstance(gate, Latency) else 0.0
                found.append(Law(matter, rate, self.rate, delay, law))
        return found

    @property
    def units_per_second(self) -> float:
        """New units per second; every pair is one."""
        return self.rate * self.traffic.units if self.step.topology.weight else self.rate

    @property
    def unlearned_seconds(self) -> float:
        """Seconds after warm-up until stable's durations are known well enough to bet on the candidate's."""
        stable = self.traffic.rate * self.traffic.units * (1 - self.step.topology.weight)
        missing = FEWEST - self.answers
        return max(0.0, missing / stable - self.plan.warm_up_seconds) if missing > 0 and stable else 0.0

    def forecast(self) -> StepForecast:
        """How long the step takes, and each of its proofs."""
        plan, step, laws = self.plan, self.step, self.laws()
        warm_up, rate = plan.warm_up_seconds, self.rate
        limit = step.limit_seconds
        if plan.policy.undecided is Undecided.EXTEND:
            limit += plan.policy.extend_seconds
        dwell = step.dwell_seconds
        if step.dwell_requests:
            dwell = max(dwell, min(step.dwell_requests / rate, LONGEST) if rate else LONGEST)

        def chance(seconds: float) -> float:
            """Chance that everything is proven by then, after warm-up."""
            return math.prod(law.chance(seconds) for law in laws)

        def lasting(part: float) -> float | None:
            """Seconds after which the step is over with this chance."""
            proven = seconds_until(chance, part)
            return None if proven is None or dwell >= LONGEST else warm_up + max(dwell, proven)

        in_time = limit - warm_up
        return StepForecast(
            name=step.name,
            weight=step.topology.weight,
            needs=tuple(self.need(law, in_time) for law in laws),
            rate=rate,
            warm_up_seconds=warm_up,
            dwell_seconds=dwell,
            limit_seconds=limit,
            median_seconds=lasting(0.5),
            likely_seconds=lasting(LIKELY),
            chance=chance(in_time) if dwell <= in_time else 0.0,
        )

    def need(self, law: Law, in_time: float) -> Need:
        """One proof in numbers."""
        matter = law.matter
        return Need(
            gate=matter.gate,
            part=matter.part,
            margin=matter.margin,
            unit=self.step.unit,
            median=law.requests(0.5),
            likely=law.requests(LIKELY),
            chance=law.chance(in_time) if in_time > 0 else 0.0,
            harm_median=self.until_harm(law, matter.harm, 0.5),
            harm_likely=self.until_harm(law, matter.harm, LIKELY),
        )

    def until_harm(self, law: Law, bets: Bets | None, chance: float) -> float | None:
        """Requests until harm is found by this gate alone: joint evidence of several is found sooner."""
        if bets is None:
            return None
        part = self.plan.gates.alpha * self.plan.gates.shares[law.matter.gate]
        found = passage(bets.logs, (), bets.walk, log_threshold=-math.log(part))
        if not found or not law.rate:
            return None
        seconds = found.units(chance) / law.rate
        return seconds * law.shown if seconds < LONGEST else None


def seconds_until(chance: Callable[[float], float], part: float) -> float | None:
    """The first time at which a growing chance reaches `part`; None if it does not within 30 years."""
    if chance(0.0) >= part:
        return 0.0
    if chance(LONGEST) < part:
        return None
    low, high = 0.0, 1.0
    while chance(high) < part:
        low, high = high, 2 * high
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if chance(middle) >= part else (middle, high)
        if high - low < 1e-4 * high:
            break
    return high
