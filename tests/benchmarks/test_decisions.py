"""The benchmark of decisions: its data are what they are said to be, rules match tables, reruns and documents agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks.decisions import __main__ as command
from benchmarks.decisions import limits, product, release, rivals, studies, traces
from benchmarks.decisions.comparison import RATE_RULES, curves_of
from benchmarks.decisions.cost import Cost, cost
from benchmarks.decisions.experiments import ALL, RATES, SHADOW, WORLDS, Results, results
from benchmarks.decisions.figures import figures_of
from benchmarks.decisions.plots import draw
from benchmarks.decisions.release import ENGINES
from benchmarks.decisions.studies import Key, Rule
from benchmarks.decisions.table import FULL, QUICK, all_hold, goal, line_of, quantile, told
from benchmarks.decisions.traces import Effect, LatencyTrace, Law, LossTrace, Noise, RateTrace
from headgate.evidence.histogram import BINS
from headgate.evidence.paired import bin_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
CHEAP = Cost(2000, "latency", 0.3, "latency", 30.0)


class Here(Executor):
    """Does everything at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


@pytest.fixture(scope="module")
def found() -> Results:
    """Every experiment, with a few runs each."""
    return results([replace(each, runs=min(each.runs, 20)) for each in ALL], share=10, seed=1, pool=Here())


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


# Data


@pytest.mark.parametrize("noise", Noise)
def test_noise_does_not_change_the_mean_rate(noise: Noise) -> None:
    counts = RateTrace(0.01, 0.02, 0.3, noise=noise).draw(200, rng())
    assert counts.routed.mean() / counts.requests == pytest.approx(0.3, rel=0.01)
    assert counts.candidate.sum() / counts.routed.sum() == pytest.approx(0.02, rel=0.05)
    assert counts.stable.sum() / (counts.requests - counts.routed).sum() == pytest.approx(0.01, rel=0.05)
    minutes = counts.by(60)
    assert (minutes.seconds, minutes.requests, minutes.candidate.shape) == (60, 6000, (200, 60))
    assert minutes.candidate.sum() == counts.candidate.sum()


def test_a_late_change_comes_at_its_second() -> None:
    counts = RateTrace(0.01, 0.05, 0.5, onset=1800).draw(50, rng()).by(1800)
    rates = counts.candidate.sum(axis=0) / counts.routed.sum(axis=0)
    assert rates == pytest.approx([0.01, 0.05], rel=0.05)


def test_only_bursts_of_one_arm_disperse_labels() -> None:
    for noise, low, high in ((Noise.CALM, 1.0, 1.0), (Noise.SHARED, 1.0, 1.0), (Noise.OWN, 2.0, 10.0)):
        hits, both = RateTrace(0.01, 0.01, noise=noise).history(20, 300, 1, rng())
        assert low <= product.tempering(hits[0], both[0], 0.1).phi <= high


@pytest.mark.parametrize("law", Law)
def test_bins_have_the_chances_of_the_law(law: Law) -> None:
    good, slow, tail = (traces.chances(law, effect) for effect in Effect)
    assert len(good) == BINS
    assert [each.sum() for each in (good, slow, tail)] == pytest.approx([1, 1, 1])
    means = [each @ np.log(rivals.MIDDLES) for each in (good, slow, tail)]
    assert means[1] - means[0] == pytest.approx(np.log(1.1), abs=0.002)
    p99 = [rivals.MIDDLES[np.searchsorted(np.cumsum(each), 0.99)] for each in (good, tail)]
    assert p99[1] / p99[0] == pytest.approx(2, rel=0.13)
    assert np.cumsum(tail)[np.cumsum(good) < 0.97] == pytest.approx(np.cumsum(good)[np.cumsum(good) < 0.97])


def test_histograms_add_up_in_longer_steps() -> None:
    drawn = LatencyTrace(Law.GAMMA, noise=Noise.SHARED, horizon=900).draw(3, rng())
    minutes = drawn.by(60)
    assert minutes.ends.tolist() == [60 * minute for minute in range(1, 16)]
    assert (minutes.candidate + minutes.stable).sum(axis=2).tolist() == [[6000] * 15] * 3


def test_losses_are_binned_as_the_program_bins_them() -> None:
    candidate, stable = (each[0, 0] for each in LossTrace(0.1, horizon=60).draw(1, rng()))
    bins = traces.bins_of(candidate, stable)
    assert bins.tolist() == [bin_of(one, other) for one, other in zip(candidate, stable, strict=True)]


# Limits and rules of others

BOUNDS = {  # weight, bad, base -> Wald's bound
    (0.05, 0.02, 0.01): 16_300,
    (0.1, 0.02, 0.01): 8700,
    (0.5, 0.02, 0.01): 3500,
    (0.1, 0.05, 0.01): 880,
    (0.1, 0.011, 0.001): 2400,
}


@pytest.mark.parametrize(("case", "most"), BOUNDS.items(), ids=str)
def test_wald(case: tuple[float, float, float], most: float) -> None:
    weight, bad, base = case
    assert limits.wald(limits.of_rates(bad, base, weight)) == pytest.approx(most, rel=0.02)


def test_group_sequential_bounds_are_those_of_tables() -> None:
    fifths = (0.2, 0.4, 0.6, 0.8, 1.0)
    assert rivals.lan_demets(fifths, 0.025) == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=1e-3)
    pocock = rivals.lan_demets(fifths, 0.025, rivals.pocock)
    assert pocock == pytest.approx([2.438, 2.427, 2.410, 2.397, 2.386], abs=1e-3)
    assert rivals.lan_demets((1.0,), 0.05) == pytest.approx([stats.norm.isf(0.05)])


def test_kayenta_estimates_a_shift_and_its_limit() -> None:
    candidate, stable = rng().normal(1.0, 1.0, (300, 40)), rng().normal(0.0, 1.0, (300, 40))
    low, shift = rivals.shift_interval(candidate, stable, 0.98)
    assert shift.mean() == pytest.approx(1.0, abs=0.05)
    assert (low > 1.0).mean() == pytest.approx(0.01, abs=0.012)
    assert np.isneginf(rivals.shift_interval(candidate[:, :2], stable[:, :2], 0.98)[0]).all()


def test_rules_say_when_they_roll_back() -> None:
    bad = np.array([[True] * 3, [False, True, True], [False] * 3])
    assert rivals.first(bad, [60, 120, 180]).tolist() == [60, 120, np.inf]
    assert rivals.failing(bad, forgiven=1, checks=3).tolist() == [120, 180, np.inf]
    assert rivals.failing(bad, forgiven=1, checks=2).tolist() == [120, np.inf, np.inf]


def test_z_is_the_pooled_one() -> None:
    counts = traces.Counts(60, 0.5, 1000, *(np.array([[count]]) for count in (500, 10, 5)))
    assert rivals.z_path(counts)[0, 0] == pytest.approx((0.02 - 0.01) / np.sqrt(0.015 * 0.985 * 2 / 500))


def test_a_threshold_without_data_says_nothing() -> None:
    counts = traces.Counts(60, 0.1, 1000, *(np.zeros((2, 60), int) for _ in range(3)))
    assert np.isinf(np.stack(list(studies.thresholds(counts, rng(), curves=True).values()))).all()
    assert np.isinf(np.stack(list(studies.sequential(counts, 0.01, curves=False).values()))).all()


# The program's statistics


def test_rare_false_alarms_are_as_often_as_counted_ones() -> None:
    alphas = (0.1, 0.05, 0.001)
    levels = [product.level(alpha) for alpha in alphas]
    values = product.false_alarms(rng(), runs=400, levels=levels, failures=2.0, weight=0.1, minutes=10)
    chance = values.mean(axis=0)
    assert (chance <= alphas).all()
    counts = RateTrace(0.01, 0.01, horizon=600).draw(800, rng())
    counted = studies.passed(lambda run: product.harm(counts, run), 800, alphas)[0.1]
    spread = np.sqrt(chance[0] / 800) + values[:, 0].std() / 20
    assert np.isfinite(counted).mean() == pytest.approx(chance[0], abs=3 * spread)


def test_a_release_ends_one_way() -> None:
    bad = release.by_judge(WORLDS["errors x2"], 3, rng())
    assert np.isfinite(bad[release.ROLLED_BACK]).all()
    assert np.isinf(bad[release.PROMOTED]).all()
    assert (bad[release.SERVED] > 0).all()


def test_blocks_of_a_release_cover_it() -> None:
    for world in WORLDS.values():
        lengths = release.lengths_of(world)
        assert (lengths.sum(), lengths[0], lengths[-1]) == (7200, 5, 60)


def test_costs_are_measured() -> None:
    seen = cost(1, blocks=20)
    assert 100 < seen.state_bytes < 20_000
    assert 0 < seen.update_ms < seen.judging_ms


# Figures

SOME = [replace(each, runs=6, chunk=3) for each in (*RATES[3:6], *SHADOW[1:4])]


def test_equal_seeds_give_equal_results() -> None:
    one, again, other = (results(SOME, share=1, seed=seed, pool=Here()) for seed in (1, 1, 2))
    assert one.keys() == again.keys()
    assert all(np.array_equal(one[name][key], again[name][key]) for name in one for key in one[name])
    assert any(not np.array_equal(one[name][key], other[name][key]) for name in one for key in one[name])


def test_what_was_never_found_counts_as_slow() -> None:
    times = np.array([1.0, 2.0, np.inf, np.inf])
    assert [quantile(times, share, 9.0) for share in (0.25, 0.5, 0.75)] == [1.0, 2.0, 9.0]


def test_goals_hold_or_not() -> None:
    good, bad, open_ = goal("a", 1, "s", 1, ""), goal("b", 2, "s", 1, ""), told("c", 3, "s", "")
    assert [each["holds"] for each in (good, bad, open_)] == [True, False, None]
    assert all_hold([good, open_])
    assert not all_hold([good, bad])
    assert "goal <= 1" in line_of(bad)
    assert "FAILS" in line_of(bad)
    assert "goal" not in line_of(open_)
    assert (FULL.wrong(200), QUICK.wrong(200) > 0.05) == (0.05, True)


PLACES: dict[str, list[str]] = {
    "RULE": sorted(Rule, key=len, reverse=True),
    "ENGINE": sorted(ENGINES, key=len, reverse=True),
    "WORLD": sorted(WORLDS, key=len, reverse=True),
    "LAW": list(Law),
    "EFFECT": [Effect.SLOWER, Effect.TAIL],
}


def documented(name: str, text: str) -> bool:
    """Whether the document has the name, or a pattern of it whose places it lists."""
    if f"`{name}`" in text:
        return True
    return any(
        documented(name.replace(value, place, 1), text)
        for place, values in PLACES.items()
        for value in values
        if place not in name and value in name and f"`{value}`" in text
    )


def test_every_figure_is_explained(found: Results) -> None:
    figures = figures_of(found, CHEAP, FULL)
    text = DOCUMENT.read_text()
    assert [figure["name"] for figure in figures if not documented(figure["name"], text)] == []
    names = [figure["name"] for figure in figures]
    assert len(set(names)) == len(names)
    for number in range(1, 11):
        assert any(name.startswith(f"G{number} ") for name in names)
    assert {str(rule) for rule in RATE_RULES} <= {key.rule for key in found["failures, 1 %, A/A"]}


def test_the_command_writes_figures_and_plots(
    found: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "results", lambda *_, **__: found)
    monkeypatch.setattr(command, "cost", lambda _seed: CHEAP)
    monkeypatch.setattr(command, "processor_seconds", lambda: 1.0)  # of this process, which runs other tests as well
    told_all = figures_of(found, CHEAP, QUICK)
    missed = goal("missed", 2, "s", 1, "")
    for figures, code in ((told_all[-5:], 0), ([*told_all[-5:], missed], 1)):
        monkeypatch.setattr(command, "figures_of", lambda *_, figures=figures: list(figures))
        options = ["--quick", "--json", str(tmp_path / "figures.json"), "--plots", str(tmp_path / "plots")]
        assert command.main(options) == code
    written = json.loads((tmp_path / "figures.json").read_text())
    assert set(written["figures"][0]) == {"name", "value", "unit", "goal", "holds", "against"}
    assert "all of it" in capsys.readouterr().out
    assert len(list((tmp_path / "plots").glob("*.svg"))) == 3


def test_plots_are_the_same_for_the_same_findings(found: Results, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    for one, two in zip(draw(found, tmp_path / "one"), draw(found, tmp_path / "two"), strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_curves_have_a_point_for_each_setting(found: Results) -> None:
    by_rule = {curve.rule: curve for curve in curves_of(found)}
    assert len(by_rule[Rule.HEADGATE].false) == len(studies.ALPHAS)
    assert all(len(curve.false) == len(curve.requests) for curve in by_rule.values())
    assert Key(Rule.HEADGATE, 0.05) in found["failures, 1 % to 2 %"]


def test_figures_that_cannot_be_written_are_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.main(["--json", str(tmp_path / "nowhere" / "figures.json")])
    assert "there is no folder" in capsys.readouterr().err
