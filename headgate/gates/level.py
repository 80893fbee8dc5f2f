"""Gates on the candidate alone: the promised level of service (R7), and rules that need no statistics. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from headgate.evidence.binomial import log_above, log_below
from headgate.evidence.dispersion import Tier
from headgate.evidence.histogram import bin_of
from headgate.evidence.mixture import log_mean
from headgate.evidence.readings import Block
from headgate.evidence.sequences import rate_interval
from headgate.gates.declared import Rules, ServiceLevel
from headgate.gates.question import Question
from headgate.gates.standing import Standing, going_on
from headgate.gates.verdict import Answer, Finding

SLOW = 0.01
"""Share of requests that may exceed a 99th percentile."""
MICROSECONDS = 1000
"""Per millisecond."""
WINDOWS = (5, 60)
"""Minutes over which burn rates are reported, paired as in the Site Reliability Workbook (Beyer et al. 2018, ch. 5)."""


@dataclass(frozen=True, slots=True)
class LevelTrial:
    """Is the error budget burnt faster than allowed, or the promised 99th percentile broken? Anytime-valid (R7).

    Alerts on windows look at a threshold again and again; here the burn rate is tested on all that was seen, and the
    burn of the two usual windows is reported beside it. What is promised is a share of requests, so every request
    counts and not every key: a thousandth of the requests failing is soon a tenth of the keys that ever failed one.
    """

    gate: ServiceLevel
    requests: int = 0
    failures: int = 0
    timed: int = 0
    slow: int = 0
    minutes: tuple[tuple[int, int, int], ...] = ()
    """Of the last hour: minute, the candidate's requests, its failures."""
    tier: Tier = Tier.EXACT

    def after(self, block: Block) -> LevelTrial:
        """The totals after one more block."""
        asked, failed = block.asked.candidate, min(block.failed.candidate, block.asked.candidate)
        durations = block.durations.candidate
        slow = 0
        if self.gate.p99_ms is not None:
            last = bin_of(self.gate.p99_ms * MICROSECONDS)  # a duration in the promised bin itself counts as kept
            slow = sum(count for place, count in durations.items() if place > last)
        return replace(
            self,
            requests=self.requests + asked,
            failures=self.failures + failed,
            timed=self.timed + sum(durations.values()),
            slow=self.slow + slow,
            minutes=with_minute(self.minutes, block.second // 60, asked, failed),
        )

    def needed(self, log_threshold: float) -> int | None:
        """The candidate's requests still to come until the promise is proven to be kept."""
        return going_on(self.standing().log_safe, log_threshold, self.requests)

    def standing(self) -> Standing:
        """How it stands."""
        budget = 1 - self.gate.objective
        tests = [(self.failures, self.requests, budget * self.gate.burn)]
        if self.gate.p99_ms is not None:
            tests.append((self.slow, self.timed, SLOW))
        stakes = [1 / len(tests)] * len(tests)
        harms = [log_above(min(hits, total), total, limit) for hits, total, limit in tests]
        safes = [log_below(min(hits, total), total, limit) for hits, total, limit in tests]
        burns = {
            f"burn_{minutes}_minutes": burn_rate(self.minutes, minutes, budget) for minutes in WINDOWS if self.minutes
        }
        share = self.failures / self.requests if self.requests else 0.0
        numbers = {
            "burn": share / budget,
            **burns,
            "candidate_requests": self.requests,
            "candidate_failures": self.failures,
        }
        if self.gate.p99_ms is not None:
            numbers |= {"slow": self.slow, "timed": self.timed}
        return Standing(
            log_mean(harms, stakes),
            min(safes),
            f"candidate burns its error budget of {budget:.3%} at {share / budget:.3g} times the promised speed",
            numbers,
            enough=bool(self.requests),
        )

    def intervals(self, level: float) -> dict[str, float]:
        """The candidate's share of failures."""
        low, high = rate_interval(self.failures, self.requests, level)
        return {"rate_low": low, "rate_high": high}


def with_minute(
    known: tuple[tuple[int, int, int], ...], minute: int, units: int, failures: int
) -> tuple[tuple[int, int, int], ...]:
    """The last hour, one more block in it."""
    kept = {at: (seen, failed) for at, seen, failed in known if at > minute - max(WINDOWS)}
    seen, failed = kept.get(minute, (0, 0))
    kept[minute] = (seen + units, failed + failures)
    return tuple((at, *counts) for at, counts in sorted(kept.items()))[-max(WINDOWS) :]


def burn_rate(minutes: Iterable[tuple[int, int, int]], last: int, budget: float) -> float:
    """Failures per request over the last so many minutes, as a multiple of the budget.

    >>> burn_rate([(0, 1000, 0), (59, 1000, 10)], 5, 0.001)
    10.0
    """
    known = list(minutes)
    newest = known[-1][0]
    units = sum(seen for at, seen, _ in known if at > newest - last)
    failures = sum(failed for at, _, failed in known if at > newest - last)
    return failures / units / budget if units else 0.0


@dataclass(frozen=True, slots=True)
class RulesTrial:
    """What needs no statistics: everything fails, servers crash, nothing comes any more."""

    rules: Rules
    in_a_row: int = 0
    """Requests of the candidate that all failed, up to now."""
    stable_good: int = 0
    """What stable answered well meanwhile."""
    candidate_at: int = 0
    """End of the last block with a judged request of the candidate."""

    def after(self, block: Block) -> RulesTrial:
        """The counts after one more block."""
        stable = max(0, block.asked.stable - block.failed.stable)
        if not block.asked.candidate:
            return replace(self, stable_good=self.stable_good + stable)
        failing = block.failed.candidate >= block.asked.candidate
        return RulesTrial(
            self.rules,
            self.in_a_row + block.failed.candidate if failing else 0,
            self.stable_good + stable if failing else 0,
            max(self.candidate_at, block.second + 1),
        )

    def findings(self, question: Question) -> list[Finding]:
        """Rules that are broken; none when none is."""
        found = []
        if self.in_a_row >= self.rules.all_failed and self.stable_good:
            reason = f"the candidate failed its last {self.in_a_row:,} requests, every one, while stable answered"
            found.append(Finding(gate="all failed", answer=Answer.FAIL, reason=reason))
        if question.crashes >= self.rules.crashes:
            reason = f"the candidate's servers were restarted {question.crashes} times (rule: {self.rules.crashes})"
            found.append(Finding(gate="crashes", answer=Answer.FAIL, reason=reason))
        if question.until and self.candidate_at:
            silent = question.until.timestamp() - self.candidate_at
            if silent > self.rules.stale_seconds:
                reason = f"no request of the candidate for {silent:.0f} s: what was proven before is not enough"
                found.append(Finding(gate="traffic", answer=Answer.NOT_ENOUGH_EVIDENCE, reason=reason))
        return found
