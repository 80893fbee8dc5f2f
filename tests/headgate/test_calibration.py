"""D-12: phi is 1 for instances that are alike and large for instances with bursts; what a plan does under it."""

import json
import math
import os
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from headgate.bundle import put_blob
from headgate.calibration import scatter
from headgate.calibration.charts import out_of_control
from headgate.calibration.draw import BEGIN, LOOK_SECONDS, NOTHING_INJECTED, Draw, Injected, Part, drawn, stages_of
from headgate.calibration.history import PRESENCE_SECONDS, History, Row
from headgate.calibration.measuring import Options, live_steps, measure
from headgate.calibration.rehearsal import rate, rehearsed
from headgate.calibration.scatter import Past, dispersion_of, of_instances, of_release
from headgate.cli import main
from headgate.environment import Environment
from headgate.evidence import CANDIDATE, STABLE, Cell, Evidence
from headgate.evidence.dispersion import MIN_BLOCKS, Dispersion, Tier, measured
from headgate.evidence.histogram import EDGES
from headgate.evidence.readings import Arms, Block, Durations, Events
from headgate.evidence.split import LEVEL, Routed, log_wrong
from headgate.gates import Average, Gates, Rate, Slices
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.lifecycle import Began, Compiled, Decided, Observed, Outcome, Requested
from headgate.plan import CanaryStep, Plan
from headgate.stores import open_store
from headgate.topology import Topology, Variant

SECOND = 1_767_225_600
ANY = "sha256:" + "0" * 64


def paths(rng, seconds, hosts, sd, tau):
    """Lognormal AR(1) factors of mean 1, one path per instance."""
    if not sd:
        return np.ones((seconds, hosts))
    rho = math.exp(-1 / tau)
    noise = rng.standard_normal((seconds, hosts))
    z = np.empty_like(noise)
    z[0] = noise[0]
    for t in range(1, seconds):
        z[t] = rho * z[t - 1] + math.sqrt(1 - rho * rho) * noise[t]
    return np.exp(sd * z - sd * sd / 2)


def made(
    *,
    hours=3.0,
    hosts=2,
    per_second=20,
    share=0.02,
    sd=0.0,
    tau=30,
    common=0.0,
    slow=0.0,
    tilt=0.0,
    seed=3,
    event="errors",
):
    """Stable's history: instances with bursts of their own (`sd`), with common ones, with slow ones, or with none.

    `tilt`: the first instance's load swings by so much, in step with a failure rate that is common to all.
    """
    rng = np.random.default_rng(seed)
    seconds = int(3600 * hours)
    own, shared, pace = (paths(rng, seconds, *how, tau) for how in ((hosts, sd), (1, common), (hosts, slow)))
    second = np.repeat(np.arange(seconds), rng.poisson(per_second, seconds))
    swing = np.sin(2 * np.pi * second / 1800)
    first = rng.random(len(second)) < (1 + tilt * swing) / hosts
    host = np.where(first, 0, rng.integers(1, hosts, len(second)) if hosts > 1 else 0)
    chance = share * own[second, host] * shared[second, 0] * (1 + tilt * swing)
    us = np.exp(rng.normal(math.log(50_000), 0.5, len(second))) * pace[second, host]
    return History(
        second + SECOND,
        host,
        np.full(len(second), -1),
        np.ones(len(second), bool),
        np.searchsorted(EDGES, us),
        {event: rng.random(len(second)) < chance},
        tuple("abcdefgh"[:hosts]),
    )


# -- phi


QUIET = {
    "instances that are alike": {},
    "four of them": {"hosts": 4},
    "rare failures": {"share": 0.0005},
    "frequent events": {"share": 0.3},
    "bursts common to all": {"common": 1.0},
    "load that swings with the failures": {"tilt": 0.6},
}


@pytest.mark.parametrize("how", QUIET.values(), ids=QUIET)
def test_phi_is_near_1_without_bursts_of_single_instances(how):
    found = of_instances((history := made(hours=6, **how)), history.event("errors"))
    assert len(found) > 45
    assert dispersion_of(found).phi == pytest.approx(1, abs=4 * math.sqrt(2 / len(found)))


@pytest.mark.parametrize("hosts", [2, 4])
def test_phi_is_far_above_1_with_bursts_of_single_instances(hosts):
    history = made(hours=4, hosts=hosts, sd=0.8)
    found = dispersion_of(of_instances(history, history.event("errors")))
    assert (found.blocks, found.low > 2) == (48, True)


def test_phi_of_durations_counts_what_is_worse():
    plain, slow = (
        measure(Plan(model="m"), made(slow=slow), [], source="", options=Options(trials=0)) for slow in (0, 0.5)
    )
    phis = [{noise.gate: noise.found.phi for noise in one.noises}["latency"] for one in (plain, slow)]
    assert phis[0] < 1.6
    assert phis[1] > 5


@given(
    counts=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), min_size=2, max_size=6).filter(
        lambda counts: any(good for good, _ in counts) and any(bad for _, bad in counts)
    )
)
@settings(max_examples=60, deadline=None)
def test_a_stratum_of_equal_shares_is_pearsons_statistic(counts):
    """X^2 of the table / its degrees of freedom, with its exact mean instead of the asymptotic one."""
    size = max(good + bad for good, bad in counts)
    table = [(size - min(bad, size - 1), min(bad, size - 1)) for _, bad in counts]
    rows = [
        Row(SECOND, str(host), events=("errors",) * (n < bad))
        for host, (_, bad) in enumerate(table)
        for n in range(size)
    ]
    rows.append(Row(SECOND + 300, "0"))  # a block is measured when it is over
    history = History.of(rows)
    if not any(bad for _, bad in table):
        return
    (found,) = of_instances(history, history.event("errors"))
    total, degrees = size * len(table), len(table) - 1
    expected = stats.chi2_contingency(table, correction=False).statistic * (total - 1) / total / degrees
    assert found.ratio == pytest.approx(expected)
    assert found.leverage == pytest.approx(1 / len(table))


def test_a_key_that_fails_often_is_one_unit():
    rows = [Row(SECOND + n, "ab"[n % 2], f"k{n % 300}", events=("errors",) * (n % 2 == 0)) for n in range(300)]
    again = [Row(SECOND + n, "a", "k0", events=("errors",)) for n in range(300)]
    once, often = (of_instances(h, h.event("errors")) for h in map(History.of, (rows, rows + again)))
    assert [one.ratio for one in often] == pytest.approx([one.ratio for one in once], rel=0.02)


def live(second, weight, hits, units, durations=None):
    events = {"errors": Events(hits, units)}
    return Block(second, 7, weight, requests=sum(units), events=events, durations=durations or Durations())


def test_a_past_release_is_measured_by_the_rule_of_arms():
    rng = np.random.default_rng(5)
    samples = [(int(rng.binomial(60, 0.25)), 60, 0.25) for _ in range(40)]
    blocks = tuple(
        live(SECOND + 300 * n + 60 * part, w, Arms(x if part else 0, m - x if part else 0), Arms(100, 300))
        for n, (x, m, w) in enumerate(samples)
        for part in (0, 1)
    )
    found = of_release(Past("r", SECOND, Arms(1, 2), blocks), "errors")
    assert dispersion_of(found) == pytest.approx(measured(samples))
    assert [one.leverage for one in found] == pytest.approx([0.25 * 0.75 * 1.5] * 40)


def test_a_past_release_under_several_weights_is_one_sum_a_block():
    blocks = (
        live(SECOND, 0.05, Arms(9, 51), Arms(50, 950)),
        live(SECOND + 60, 0.5, Arms(24, 36), Arms(500, 500)),
        live(SECOND + 120, 1.0, Arms(9, 0), Arms(500, 0)),
    )
    (found,) = of_release(Past("r", SECOND, Arms(1, 1), blocks), "errors")
    assert found.ratio == pytest.approx((9 - 3 + 24 - 30) ** 2 / (60 * 0.05 * 0.95 + 60 * 0.25))


@pytest.mark.parametrize(("candidates", "stables", "weight"), [(1, 3, 0.25), (1, 3, 0.5), (1, 1, 0.5)])
def test_phi_of_the_log_is_carried_to_what_a_release_sees(candidates, stables, weight):
    """Four instances in the log; in the release, other numbers of servers at another weight, and other noise."""
    log = made(hours=10, hosts=4, per_second=30, sd=0.8, seed=1)
    ratios = of_instances(log, log.event("errors"))
    leverage = scatter.leverage_of([weight], candidates=candidates, stables=stables)
    carried = scatter.carried(dispersion_of(ratios), ratios, leverage)
    rng = np.random.default_rng(7)
    own = paths(rng, 36 * 3600, candidates + stables, 0.8, 30)
    arms = (own[:, :candidates].mean(1) * weight, own[:, candidates:].mean(1) * (1 - weight))
    hits = [rng.poisson(30 * 0.02 * arm).reshape(-1, 300).sum(1) for arm in arms]
    truth = measured((int(x), int(x + y), weight) for x, y in zip(*hits, strict=True))
    assert carried.phi == pytest.approx(truth.phi, rel=0.25)


def test_bursts_that_outlast_a_block_are_noticed():
    how = {"hours": 8, "sd": 0.8}
    noises = [
        measure(QUICK, made(**how, tau=tau), [], source="", options=Options(trials=0)).noises[0] for tau in (10, 900)
    ]
    assert [noise.bursts_are_long for noise in noises] == [False, True]


def test_metrics_of_ones_own_and_slices():
    """Events come a while after their requests; slices take the phi of the errors."""
    rng = np.random.default_rng(2)
    asked = [(SECOND + n // 4, "ab"[n % 2], f"k{n}") for n in range(4 * 10_000)]
    rows = [Row(second, host, key) for second, host, key in asked]
    rows += [
        Row(second + 120, "", key, unit=False, events=("refund",))
        for (second, host, key), chance in zip(asked, rng.random(len(asked)), strict=True)
        if chance < 0.05
    ]
    plan = Plan(model="m", gates=Gates(latency=None, invalid=None, metrics={"refund": Rate()}, slices=Slices()))
    found = measure(plan, History.of(rows), [], source="", options=Options(trials=0))
    refund = next(noise for noise in found.noises if noise.gate == "refund")
    assert refund.found.blocks == 33
    assert refund.found.phi == pytest.approx(1, abs=1)
    assert "slices" not in found.calibration.dispersions
    failing = measure(plan, made(hours=3), [], source="", options=Options(trials=0)).calibration.dispersions
    assert failing["slices"] == failing["errors"]


def test_durations_of_a_past_release():
    fast, slow = {40: 50}, {40: 25, 60: 25}
    blocks = tuple(live(SECOND + 300 * n, 0.5, Arms(), Arms(50, 50), Durations(slow, fast)) for n in range(3))
    name = "above the median"
    assert [one.ratio > 5 for one in of_release(Past("r", SECOND, Arms(1, 1), blocks), name)] == [True] * 3


# -- history


def test_history_keeps_what_belongs_to_an_instance():
    rows = [
        Row(SECOND + 9, "b", "k"),
        Row(SECOND + 1, "a", "j", bin=-7),
        Row(SECOND + 2, "", events=("errors",)),
        Row(SECOND + 30, "", "k", unit=False, events=("refund",)),
        Row(SECOND + 31, "", "unknown", unit=False, events=("refund",)),
    ]
    found = History.of(rows)
    assert (found.requests, found.hosts, found.unattributed, found.seconds) == (2, ("a", "b"), 2, 30)
    assert found.host.tolist() == [0, 1, 1]
    assert found.event("refund").tolist() == [False, False, True]
    assert found.bin.tolist() == [-1, -1, -1]


def test_no_history_is_no_trouble():
    empty = History.of([])
    assert (empty.requests, empty.seconds, empty.stretches()) == (0, 0, ())
    assert of_instances(empty, empty.event("errors")) == []
    assert out_of_control(empty, empty.event("errors")) == []
    assert not scatter.slower(empty, "above the median").any()


def test_stretches_are_times_with_the_same_instances():
    first = [Row(SECOND + n, "ab"[n % 2]) for n in range(2 * PRESENCE_SECONDS)]
    alone = [Row(SECOND + 600 + n, "b") for n in range(PRESENCE_SECONDS)]
    second = [Row(SECOND + 900 + n, "bc"[n % 2]) for n in range(PRESENCE_SECONDS)]
    found = History.of(first + alone + second).stretches()
    assert [(one.since - SECOND, one.until - SECOND, one.hosts) for one in found] == [
        (0, 600, (0, 1)),
        (900, 1200, (1, 2)),
    ]


# -- rehearsals


QUICK = Plan(
    model="m",
    schedule=(CanaryStep(percent=25, limit_seconds=1200), CanaryStep(percent=50, limit_seconds=1200)),
    gates=Gates(latency=None, invalid=None, abandoned=None),
)


def draws(history, candidates=1, injected=NOTHING_INJECTED, seed=1):
    rng = np.random.default_rng(seed)
    return Draw(drawn(stages_of(history), rng), candidates, injected, ("errors",), rng)


@pytest.mark.parametrize("weight", [0.05, 0.25, 0.5, 0.9])
def test_a_draw_has_the_share_of_its_step(weight):
    draw = draws(made(hours=1, hosts=3))
    blocks = [draw.block(look, 1, Part(1, weight), judged=True) for look in range(300)]
    routed = sum((block.routed for block in blocks), Arms())
    assert log_wrong([Routed(1, weight, routed)]) < -math.log(LEVEL)
    assert routed.candidate / routed.both == pytest.approx(weight, rel=0.1)
    assert all(block.asked.both == block.requests == block.units.both for block in blocks)


def test_a_draw_goes_round_once_and_warm_up_counts_nothing():
    history = made(hours=0.5)
    draw = draws(history)
    warm = draw.block(0, 1, Part(1, 0.5), judged=False)
    assert (warm.requests, warm.events, warm.units) == (0, {}, Arms())
    assert sum(warm.reference.values()) == warm.routed.stable > 0
    seconds = []
    while draw.used < draw.stage.looks:
        seconds.append(draw.block(draw.used, 6, Part(1, 0.5), judged=True).second)
    assert seconds == sorted(set(seconds))
    assert draw.used * LOOK_SECONDS == 1800
    assert warm.second == int(BEGIN.timestamp())


def test_a_key_counts_once_in_a_draw():
    rows = [Row(SECOND + n // 4, "ab"[n % 2], f"k{n % 40}", events=("errors",) * (n % 3 == 0)) for n in range(4800)]
    draw = draws(History.of(rows))
    blocks = [draw.block(look, 1, Part(1, 0.5), judged=True) for look in range(100)]
    assert sum(block.units.both for block in blocks) == 40
    assert sum(block.event("errors").hits.both for block in blocks) <= 40
    assert sum(block.requests for block in blocks) > 3000


def test_injected_failures_multiply_the_share():
    history = made(hours=2)
    draw = draws(history, injected=Injected.of(history, 3.0))
    blocks = [draw.block(look, 1, Part(1, 0.5), judged=True) for look in range(700)]
    hits = sum((block.event("errors").hits for block in blocks), Arms())
    assert hits.candidate / hits.stable == pytest.approx(3, rel=0.15)
    assert Injected.of(History.of([]), 2.0).chance == 0


def test_without_bursts_nothing_changes_and_harm_is_found():
    found = measure(QUICK, made(hours=4, hosts=4, per_second=40), [], source="x", options=Options(trials=25))
    assert found.without == found.with_it
    assert found.with_it.rolled_back.low <= 0.05
    assert found.harmed.rolled_back.found >= 20
    assert {noise.tempering.tier for noise in found.noises} == {Tier.EXACT}


def test_with_bursts_the_calibration_keeps_alpha():
    """The trap: every bet on single requests is wrong where one instance has bursts of its own."""
    history = made(hours=4, per_second=60, sd=0.8)
    found = measure(QUICK, history, [], source="x", options=Options(trials=40))
    (errors,) = found.noises
    assert errors.tempering.tier is Tier.TEMPERED
    assert found.without.rolled_back.low > 0.2
    assert found.with_it.rolled_back.low <= 0.05
    assert found.with_it.rolled_back.found <= 4


def test_the_same_seed_finds_the_same():
    history = made(hours=1)
    one, same, other = (measure(QUICK, history, [], source="x", options=Options(trials=3, seed=s)) for s in (1, 1, 2))
    assert one == same
    assert one.with_it != other.with_it


def test_gates_that_nothing_is_known_of_need_no_proof_but_keep_their_share():
    gates = Gates(metrics={"refund": Rate(), "basket": Average(margin=1)})
    silent = rehearsed(Plan(model="m", gates=gates), ["errors", "refund"])
    assert silent.gates.shares == gates.shares
    assert [name for name, gate in silent.gates.named.items() if gate.guard] == ["errors", "refund"]


def test_a_plan_without_live_steps_has_no_rehearsals():
    plan = Plan(model="m", strategy="blue-green")
    assert live_steps(plan) == ()
    assert measure(plan, made(hours=1), [], source="x", options=Options()).with_it is None


@pytest.mark.parametrize(("found", "of"), [(0, 100), (5, 100), (100, 100)])
def test_a_share_has_its_interval(found, of):
    exact = stats.binomtest(found, of).proportion_ci(0.95, "wilson")
    assert rate(found, of)[2:] == pytest.approx((exact.low, exact.high), abs=1e-6)


# -- is stable in control?


def test_a_history_in_control_gives_no_signal_and_a_broken_hour_does():
    quiet = made(hours=6, per_second=30)
    assert out_of_control(quiet, quiet.event("errors")) == []
    rng = np.random.default_rng(1)
    minute = (quiet.second - quiet.second[0]) // 60
    broken = quiet.event("errors") | ((minute >= 200) & (minute < 240) & (rng.random(len(minute)) < 0.03))
    found = out_of_control(quiet, broken)
    assert "CUSUM" in {signal.chart for signal in found}
    assert all(200 <= (signal.minute - SECOND) // 60 <= 240 for signal in found)


# -- the command


class World:
    """An environment that serves `co2`, with its gateway's log."""

    def __init__(self, folder):
        self.environment = Environment(home=str(folder), store=f"file://{folder / 'store'}")
        self.gateway = self.environment.folder / "gateway"
        self.gateway.mkdir(parents=True)
        self.store = open_store(self.environment.store)
        self.journal = EnvironmentJournal(self.store, "production", "co2", "test")
        self.journal.claim("r", 1)
        topology = Topology(model="co2", stable=Variant(bundle=ANY))
        self.journal.wish(topology, because="r", claim=self.journal.refresh().claim)

    def log(self, history, *, name="access.jsonl", model="co2", end=None, **more):
        end = end or datetime.now(UTC) - timedelta(seconds=5)
        last = int(history.second[-1])
        names = ["127.0.0.1:900" + str(n) for n in range(len(history.hosts))]
        lines = []
        for second, host, place, bad in zip(
            history.second, history.host, history.bin, history.event("errors"), strict=True
        ):
            t = (end - timedelta(seconds=last - int(second))).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            line = {
                "t": t, "id": "1", "model": model, "rev": 2, "assigned": "stable", "answered": "stable",
                "code": 500 if bad else 200, "attempts": 1, "host": names[host], "us": EDGES[place], "ms": 1, **more,
            }  # fmt: skip
            lines.append(json.dumps(line))
        with (self.gateway / name).open("a") as file:
            file.write("\n".join(lines) + "\n")

    @property
    def stored(self):
        return self.journal.refresh().calibration

    def release(self, name, outcome=Outcome.PROMOTED, model="co2"):
        """A past release of 40 blocks of 300 s at 50 %."""
        journal = ReleaseJournal(self.store, name, "test")
        counts = {}
        rng = np.random.default_rng(9)
        for second in range(SECOND, SECOND + 300 * 40, 10):
            for variant in (CANDIDATE, STABLE):
                hits = int(rng.poisson(2))
                counts[Cell(second, 7, variant)] = {"requests": 100, "units": 100, "hit:errors": hits, "errors": hits}
        at = datetime.fromtimestamp(SECOND, UTC)
        facts = [
            Requested(plan=Plan(model="folder"), source=ANY, model=model, version="1.0.0"),
            Compiled(bundle=ANY, stable=ANY),
            Began(step="canary 50 %", revision=7, weight=0.5, mirror=0, judged_from=at),
            Observed(
                step="canary 50 %", evidence=put_blob(self.store, Evidence(counts).to_json()), cursor={}, watermark=at
            ),
            *([Decided(outcome=outcome, reason="for a test")] if outcome else []),
        ]
        for fact in facts:
            journal.record(fact)


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path))
    for name in ("HEADGATE_STORE", "HEADGATE_PORT"):
        monkeypatch.delenv(name, raising=False)
    return World(tmp_path)


@pytest.fixture
def run(capsys):
    def command(*words):
        with pytest.raises(SystemExit) as left:
            main(["calibrate", "co2", *words])
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return command


SHORT = ("--trials", "2", "--set", "schedule=[{percent=50, limit_seconds=300}]")


def test_calibrate_measures_and_stores(world, run):
    world.log(made(hours=3, per_second=5, sd=1.0))
    code, out, _ = run(*SHORT, "--json")
    document = json.loads(out)
    assert (code, document["stored"], document["instances"]) == (0, True, 2)
    errors = document["gates"]["errors"]
    assert errors["stored"]["blocks"] >= MIN_BLOCKS
    assert world.stored.dispersions["errors"] == Dispersion(**errors["stored"])
    assert document["source"] == world.stored.source
    assert "invalid" not in world.stored.dispersions
    code, out, _ = run(*SHORT, "--dry-run")
    assert code == 0
    for said in ("GATE", "errors", "invalid: it never happened", "FALSE ALARMS", "nothing was stored: a dry run"):
        assert said in out


def test_calibrate_reads_rotated_files_and_passes_over_damaged_lines(world, run):
    half = datetime.now(UTC) - timedelta(hours=0.5)
    world.log(made(hours=0.4, per_second=4), name="access-4.jsonl", end=half)
    world.log(made(hours=0.4, per_second=4, seed=4))
    with (world.gateway / "access.jsonl").open("a") as file:
        file.write('{"t": 1}\nno json\n{"torn')
    old = world.gateway / "access-3.jsonl"
    old.write_text("not even read\n")
    os.utime(old, (1, 1))
    _, out, _ = run(*SHORT, "--json")
    document = json.loads(out)
    assert document["unreadable"] == 2
    assert document["requests"] == pytest.approx(2 * 0.4 * 3600 * 4, rel=0.1)
    assert document["seconds"] > 0.8 * 3600


def test_too_little_history_is_not_stored_unless_one_asks_for_it(world, run):
    """It leads to the block tier, which is far slower than no calibration at all."""
    world.log(made(hours=0.5, per_second=5))
    code, out, _ = run(*SHORT)
    assert code == 0
    assert "errors: 6 of the 30 blocks of 300 s with at least one failure that phi needs (2.5 h of them)" in out
    assert "nothing was stored: there is too little" in out
    assert not world.stored.dispersions
    _, out, _ = run(*SHORT, "--short")
    assert "judged by blocks of time" in out
    assert world.stored.dispersions["errors"].blocks == 6


def test_hours_leave_out_what_is_older(world, run):
    world.log(made(hours=1, per_second=3))
    _, out, _ = run(*SHORT, "--hours", "0.25", "--json")
    assert json.loads(out)["seconds"] == pytest.approx(900, abs=15)


NOTHING = {
    "no log": lambda world: None,
    "another model": lambda world: world.log(made(hours=0.1), model="other"),
    "the candidate's alone": lambda world: world.log(made(hours=0.1), assigned="candidate", answered="candidate"),
    "without instances": lambda world: world.log(made(hours=0.1), host=""),
}


@pytest.mark.parametrize("prepare", NOTHING.values(), ids=NOTHING)
def test_nothing_to_measure_is_refused(prepare, world, run):
    prepare(world)
    code, _, err = run(*SHORT)
    assert code == 2
    assert "logged no request that stable answered for co2 in 24 h" in err
    assert not world.stored.dispersions


def test_one_instance_alone_shows_no_difference_of_instances(world, run):
    world.log(made(hours=0.2, hosts=1))
    code, out, _ = run(*SHORT)
    assert code == 2
    assert "alone it cannot show how much instances differ" in out
    assert "nothing was stored" in out
    assert not world.stored.dispersions


def test_past_releases_are_measured_too(world, run):
    world.release("co2-1")
    code, out, _ = run(*SHORT, "--release", "co2-1", "--json")
    document = json.loads(out)
    assert (code, document["requests"]) == (0, 0)
    assert document["gates"]["errors"]["measured"]["blocks"] == 40
    assert document["gates"]["errors"]["measured"]["phi"] < 2
    assert document["source"] == "releases co2-1"
    assert world.stored.dispersions["errors"].blocks == 40


REFUSED = {
    "rolled back": ({"outcome": Outcome.ROLLED_BACK}, "is rolled back: for a test"),
    "ended by a person": ({"outcome": Outcome.ABORTED}, "is aborted: for a test"),
    "still open": ({"outcome": None}, "is still open"),
    "of another model": ({"model": "other"}, "is of other in production, not of co2"),
}


@pytest.mark.parametrize(("how", "said"), REFUSED.values(), ids=REFUSED)
def test_releases_that_say_nothing_of_chance_are_refused(how, said, world, run):
    world.release("past", **how)
    code, _, err = run("--release", "past")
    assert code == 2
    assert said in err


def test_unknown_names_are_refused(world, run):
    assert run("--release", "nobody")[0] == 2
    assert run("--set", "nonsense=1")[0] == 2
