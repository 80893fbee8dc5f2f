"""Replay thousands of made-up release histories through the judge, and count how often it is wrong.

`python -m benchmarks.histories [--seed N] [--quick] [--json FILE]`. Every history is one release of 40 minutes at
most: shares 5, 25 and 50 %, 30 s of warm-up and at least 60 s each, 100 requests/s, judged after every second by the
program's own code.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from headgate.evidence import CANDIDATE, STABLE, Cell, Evidence, Mark
from headgate.evidence.blocks import Blocks
from headgate.evidence.marks import UNKNOWN, mark_of
from headgate.evidence.readings import ERRORS, Block
from headgate.evidence.thinning import length_at
from headgate.gates import Answer, Gates, Judge, Question, Split, judge

BEGIN = 1_800_000_000
"""UTC second at which every history begins."""
WEIGHTS = (0.05, 0.25, 0.5)
WARM_UP, DWELL, LIMIT = 30, 60, 2400
"""Seconds: not judged, least length of a step, most of a release."""
RATE = 100
"""Requests per second."""
GATES = Gates(invalid=None, abandoned=None, latency=None, disagreement=None)
"""Failures alone are judged."""


@dataclass(frozen=True)
class Traffic:
    """Who asks, and what fails."""

    keys: int = 0
    """Callers that come back, each always on the same side; 0 means a fresh key for every request."""
    errors: float = 0.01
    """Mean failure rate of stable, per request."""
    uneven: bool = False
    """Whether some callers fail much more often than others (gamma, shape 1/2)."""
    ratio: float = 1.0
    """Failure rate of the candidate / stable's."""


@dataclass(frozen=True)
class Requests:
    """All requests of one history in order of time."""

    second: NDArray[np.int64]
    key: NDArray[np.int64]
    place: NDArray[np.float64]
    """Where the key lies in [0, 1): the candidate has the keys below its weight."""
    luck: NDArray[np.float64]
    chance: NDArray[np.float64]
    """The request fails when `luck` is below this (times the ratio, at the candidate)."""


@dataclass(frozen=True)
class Ending:
    """How a history ended: FAIL rolled back, PASS promoted, NOT_ENOUGH_EVIDENCE ran out of time."""

    answer: Answer
    requests: int


def requests_of(traffic: Traffic, rng: np.random.Generator) -> Requests:
    """Make the requests of one history."""
    second = np.repeat(np.arange(LIMIT), rng.poisson(RATE, LIMIT))
    if not traffic.keys:
        key = np.arange(len(second))
        return Requests(second, key, rng.random(len(key)), rng.random(len(key)), np.full(len(key), traffic.errors))
    wishes = rng.lognormal(0, 1, traffic.keys)
    key = rng.choice(traffic.keys, size=len(second), p=wishes / wishes.sum())
    chance = np.full(traffic.keys, traffic.errors)
    if traffic.uneven:
        chance = np.minimum(rng.gamma(0.5, traffic.errors / 0.5, traffic.keys), 0.5)
    return Requests(second, key, rng.random(traffic.keys)[key], rng.random(len(second)), chance[key])


def evidence_of(
    requests: Requests, traffic: Traffic, *, revision: int, weight: float, since: int, until: int
) -> Evidence:
    """What the logs say when this weight holds from the second `since` until `until`."""
    now = slice(*np.searchsorted(requests.second, (since, until)))
    second, key = requests.second[now] + BEGIN, requests.key[now]
    candidate = requests.place[now] < weight
    failed = requests.luck[now] < requests.chance[now] * np.where(candidate, traffic.ratio, 1.0)
    counts: dict[Cell, dict[str, int]] = {}
    for variant, side in ((CANDIDATE, candidate), (STABLE, ~candidate)):
        totals = np.bincount(second[side] - BEGIN, minlength=LIMIT)
        failures = np.bincount(second[side & failed] - BEGIN, minlength=LIMIT)
        for offset in np.flatnonzero(totals):
            cell = Cell(BEGIN + int(offset), revision, variant)
            counts[cell] = {"requests": int(totals[offset]), "errors": int(failures[offset])}
            if not traffic.keys:
                counts[cell] |= {"units": int(totals[offset]), f"hit:{ERRORS}": int(failures[offset])}
    if not traffic.keys:
        return Evidence(counts)
    seen = marks_of(key, second, candidate, UNKNOWN)
    hits = marks_of(key[failed], second[failed], candidate[failed])
    return Evidence(counts, {revision: seen}, {ERRORS: {revision: hits}})


def marks_of(
    key: NDArray[np.int64], second: NDArray[np.int64], candidate: NDArray[np.bool_], place: int = 0
) -> dict[int, Mark]:
    """The first mark of every key."""
    keys, first = np.unique(key, return_index=True)
    sides = zip(keys.tolist(), second[first].tolist(), candidate[first].tolist(), strict=True)
    return {found: mark_of(at, CANDIDATE if side else STABLE, place) for found, at, side in sides}


def ending_of(traffic: Traffic, seed: tuple[int, ...]) -> Ending:
    """Walk one release through the judge."""
    requests = requests_of(traffic, np.random.default_rng(seed))
    seen, now = Evidence(), 0
    splits: tuple[Split, ...] = ()
    for revision, (weight, after) in enumerate(zip(WEIGHTS, (*WEIGHTS[1:], 1.0), strict=True), start=1):
        since = now
        splits = (*splits, Split(revision=revision, weight=weight, judged_from=at(since + WARM_UP)))
        question = Question(gates=GATES, guards=("errors",), splits=splits, next_weight=after, horizon_seconds=LIMIT)
        logged = partial(evidence_of, requests, traffic, revision=revision, weight=weight)
        folded, answer, ahead = Judge.begin(question), Answer.NOT_ENOUGH_EVIDENCE, seen
        for block, ahead in blocks_ahead(seen, logged, question, since):  # noqa: B007 - the last one is used below
            folded = folded.after(block)
            now = block.second - BEGIN + length_at(block.second, BEGIN + WARM_UP)
            if block.revision != revision:
                continue
            answer = folded.verdict(question).answer
            if answer is Answer.FAIL or (answer is Answer.PASS and now >= since + DWELL):
                break
        seen = ahead.until(at(now))
        if seed[-1] % 100 == 0:  # the way above is the judge's own; now and then, ask the judge itself
            assert judge(seen, question).answer == answer
        if answer is not Answer.PASS:
            break
    return Ending(answer, int((requests.second < now).sum()))


def blocks_ahead(
    seen: Evidence, logged: Callable[..., Evidence], question: Question, since: int
) -> Iterator[tuple[Block, Evidence]]:
    """The blocks of a step as they come, each with evidence that holds at least it.

    Closed blocks never change, so the logs are read ahead a stretch at a time, each longer than the one before.
    """
    walk, read, news = Blocks(question.shares), since, seen
    while read < LIMIT:
        until = min(LIMIT, read + max(150, read - since))
        news = news.merge(logged(since=read, until=until))
        seen, read = seen.merge(news), until
        yield from ((block, seen) for block in walk.after(news, until=BEGIN + until))
        news = Evidence()


def at(offset: int) -> datetime:
    """A moment of a history."""
    return datetime.fromtimestamp(BEGIN + offset, UTC)


def endings(traffic: Traffic, histories: int, seed: tuple[int, ...], pool: ProcessPoolExecutor) -> list[Ending]:
    """Many histories, each with its own seed."""
    seeds = [(*seed, number) for number in range(histories)]
    return list(pool.map(partial(ending_of, traffic), seeds, chunksize=10))


def interval(hits: int, total: int) -> tuple[float, float]:
    """95 % limits of a share (Wilson).

    >>> [round(limit, 4) for limit in interval(50, 1000)]
    [0.0381, 0.0653]
    """
    z, share = 1.96, hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    width = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return middle - width, middle + width


@dataclass(frozen=True)
class Scenario:
    """One line of the table."""

    name: str
    traffic: Traffic
    histories: int
    wrong: Answer | None
    """The answer that is wrong here, at most `LEVEL` of the times; None: harm is real, and speed is measured."""
    most: int = 0
    """Requests within which every harm must be found."""


LEVEL = 0.05
MANY = 500
"""Of fewer histories, the goal is what an engine that is wrong in exactly 5 % exceeds in one series of a hundred."""
RETURNING = Traffic(keys=20_000, uneven=True)
SCENARIOS = (
    Scenario("A/A, callers return, uneven", RETURNING, 2000, Answer.FAIL),
    Scenario("A/A, fresh keys", Traffic(), 500, Answer.FAIL),
    Scenario("at the margin (x1.25), fresh keys", Traffic(ratio=1.25), 500, Answer.PASS),
    Scenario("at the margin (x1.25), callers return", Traffic(keys=20_000, ratio=1.25), 500, Answer.PASS),
    Scenario("x2, few callers (300) that all fail", Traffic(keys=300, ratio=2.0), 100, Answer.PASS),
    Scenario("x2, fresh keys", Traffic(ratio=2.0), 300, None, 100_000),
    Scenario("x2, callers return, uneven", Traffic(keys=20_000, uneven=True, ratio=2.0), 300, None, LIMIT * RATE),
)


def figures_of(scenario: Scenario, ended: Sequence[Ending]) -> list[dict[str, Any]]:
    """What is measured of one scenario."""
    if scenario.wrong:
        hits, total = sum(end.answer is scenario.wrong for end in ended), len(ended)
        low, high = interval(hits, total)
        what = "rolled back" if scenario.wrong is Answer.FAIL else "promoted"
        against = f"{hits} of {total}, 95 % interval {low:.2%} to {high:.2%}"
        most = LEVEL if total >= MANY else float(binom.ppf(0.99, total, LEVEL)) / total
        return [figure(f"{scenario.name}: wrongly {what}", hits / total, "share", most, against)]
    needed = sorted(end.requests if end.answer is Answer.FAIL else 2 * LIMIT * RATE for end in ended)
    missed = f"{sum(end.answer is not Answer.FAIL for end in ended)} of {len(ended)} not rolled back"
    name = f"{scenario.name}: requests to rollback"
    return [
        figure(f"{name}, median", needed[len(needed) // 2], "requests", 30_000, missed),
        figure(f"{name}, most", needed[-1], "requests", scenario.most, missed),
    ]


def figure(name: str, value: float, unit: str, goal: float | None, against: str) -> dict[str, Any]:
    """One figure; of one that has a goal, smaller is better."""
    holds = None if goal is None else value <= goal
    return {"name": name, "value": value, "unit": unit, "goal": goal, "holds": holds, "against": against}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every scenario, print the table, write the figures."""
    parser = argparse.ArgumentParser(description="replay made-up release histories through the judge")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the histories")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    figures: list[dict[str, Any]] = []
    with ProcessPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        for index, scenario in enumerate(SCENARIOS):
            histories = max(5, scenario.histories // 20) if options.quick else scenario.histories
            ended = endings(scenario.traffic, histories, (options.seed, index), pool)
            found = figures_of(scenario, ended)
            figures += found
            for line in found:
                held = "holds" if line["holds"] else "FAILS"
                print(
                    f"{line['name']:<68} {line['value']:>10,.6g}  goal <= {line['goal']:<8g} {held} ({line['against']})"
                )
            spread = {answer.value: sum(end.answer is answer for end in ended) for answer in Answer}
            median = sorted(end.requests for end in ended)[len(ended) // 2]
            told = ", ".join(f"{name} {count}" for name, count in spread.items() if count)
            print(f"    {told}; median {median:,} requests", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"figures": figures}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
